"""A network as anybody would run it against our bundles of it: this computer's CPU, same threads, one run.

    python -m benchmarks.host [BUNDLE ...] [--size 512] [--threads 2] [--rounds 20] [--out figures.json]
    python -m benchmarks.host --network csknet [--size 512] [--width 0.5]
    python -m benchmarks.host BUNDLE --run RUN

Of DIS2 that is the released model, in torch eager and exported. Of every other network, and with `--run` of the run
that BUNDLE was made of, it is the plain export: torch.onnx.export of the network itself in FP32, under ONNX Runtime.
Contestants take turns call by call, so that a machine that drifts drifts for all. The models that we are held against
start from normalised tensors and end at probabilities or logits; a bundle does more in its time: from raw frames to
mask and confidence. Without a BUNDLE one is made by the real stages, trained for an epoch only: its speed is real, its
masks are not.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from benchmarks import operators, peak
from benchmarks.plain_export import write_plain
from benchmarks.released import ReleasedDis2
from dis2_edge.bundle import Bundle, read
from dis2_edge.errors import BundleError, UserError
from dis2_edge.files import write_json
from dis2_edge.goldens import frames_of, read_golden
from dis2_edge.prepare import normalise
from dis2_edge.recipe import Recipe
from dis2_edge.scenario import sensors_of
from dis2_edge.settings import from_table
from dis2_edge.terminal import say, table
from dis2_edge.timing import Latency, describe_machine, take_turns, usable_cores
from dis2_runtime.engine import Engine
from dis2_runtime.engines import open_engine
from dis2_runtime.engines.onnx_runtime import open_session
from dis2_train.checkpoint import Checkpoint, load

RELEASED = "released, torch eager"
EXPORTED = "released, ONNX Runtime"
PLAIN = "plain export, ONNX Runtime"
COLUMNS = ("scenario", "contestant", "median ms", "p95 ms", "n", "first / this", "agreement with FP32 %")

PRECISIONS: tuple[Literal["fp32", "int8"], ...] = ("fp32", "int8")

HASTY = {"epochs": 1, "batch": 2, "evaluate_every": 1, "quantize_epochs": 0, "calibration_images": 2}
"""Keys of a recipe whose run is to be had in a moment."""

Frames = Mapping[str, npt.NDArray[np.generic]]
Rival = Callable[[Mapping[str, torch.Tensor]], object]
"""Takes normalised frames (1, C, H, W), by sensor."""
T = TypeVar("T")


@dataclass(frozen=True)
class Figure:
    """One contestant in one scenario."""

    bundle: str
    """Id of the bundle whose task, frames and files were used."""
    scenario: str
    contestant: str
    latency: Latency
    ratio: float
    """Median of the scenario's first contestant over this one's."""
    agreement: float | None
    """Share of mask pixels equal to the bundle's FP32 mask, over all goldens; None for what is no bundle."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark, print it and, on request, write it; 2 when the user can mend what went wrong."""
    args = _arguments(argv)
    try:
        with contextlib.ExitStack() as stack:
            scratch = stack.enter_context(_scratch())
            folders, run = args.bundles, load(args.run) if args.run else None
            if not folders:
                made, folder = made_bundle(scratch, args.size, args.network, args.width)
                folders, run = [folder], None if args.network == "dis2" else made
            figures = [figure for folder in folders for figure in compare(read(folder), args.threads, args.rounds, run)]
            spent = [row for folder in folders for row in spending(read(folder), args.threads)]
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    show(figures, args.threads)
    for title, shares, reached in spent:
        operators.show(title, shares)
        if reached:
            say(reached)
    if args.out:
        machine = asdict(describe_machine(("numpy", "onnxruntime", "torch")))
        rows = [asdict(figure) for figure in figures]
        write_json(args.out, {"machine": machine, "threads": args.threads, "figures": rows})
    return 0


def compare(bundle: Bundle, threads: int, rounds: int, run: Checkpoint | None = None) -> list[Figure]:
    """Every scenario of `bundle`: its FP32 and INT8 files against `run` exported plainly, or the released DIS2."""
    torch.set_num_threads(threads)
    goldens = golden_frames(bundle)
    held = {row.precision for row in bundle.manifest.models}
    precisions = [name for name in PRECISIONS if name in held]
    released = ReleasedDis2(bundle.manifest.task) if run is None else None
    with contextlib.ExitStack() as stack:
        engines: dict[str, Engine] = {}
        for name in precisions:
            engines[name] = stack.enter_context(open_engine(bundle, name, threads))
        found = []
        for scenario in bundle.manifest.task.scenarios:
            rivals = plain_rival(run, scenario, threads) if run else released_rivals(released, scenario, threads)
            found += _scenario_figures(bundle, scenario, rivals, engines, goldens, rounds)
        return found


def plain_rival(run: Checkpoint, scenario: str, threads: int) -> dict[str, Rival]:
    """The network of `run` as torch exports it, under ONNX Runtime."""
    with tempfile.TemporaryDirectory(prefix="dis2-bench-") as folder:
        write_plain(run.network, scenario, Path(folder) / "plain.onnx")
        return {PLAIN: rival(Path(folder) / "plain.onnx", threads)}


def released_rivals(released: ReleasedDis2 | None, scenario: str, threads: int) -> dict[str, Rival]:
    """The released DIS2 in torch eager, and exported."""
    assert released is not None
    return {RELEASED: partial(released.infer, scenario), EXPORTED: exported(released, scenario, threads)}


def in_turn(call: Callable[[T], object], inputs: Sequence[T]) -> Callable[[int], object]:
    """A call of the round's number that takes `inputs` one after the other."""
    return lambda turn: call(inputs[turn % len(inputs)])


def golden_frames(bundle: Bundle) -> list[Frames]:
    """Raw frames of every golden of `bundle`; what is timed and compared is fed with them."""
    task = bundle.manifest.task
    goldens = bundle.manifest.goldens
    arrays = [read_golden(bundle.file(golden.file), task) for golden in goldens]
    pairs = zip(arrays, goldens, strict=True)
    frames: list[Frames] = [frames_of(held, task.sensors, task.grid, golden.file) for held, golden in pairs]
    if not frames:
        raise BundleError("the bundle holds no goldens", expected="one or more, whose frames are timed")
    return frames


def agreement(engines: Mapping[str, Engine], precision: str, scenario: str, goldens: Sequence[Frames]) -> float | None:
    """Share of pixels whose class at `precision` is the class in FP32; None without FP32 files."""
    if "fp32" not in engines:
        return None
    pairs = [[engines[name].infer(scenario, frames).mask for name in (precision, "fp32")] for frames in goldens]
    return float(np.mean([np.mean(found == reference) for found, reference in pairs]))


def spending(bundle: Bundle, threads: int) -> list[tuple[str, list[operators.Share], str]]:
    """What each scenario of `bundle` spends its time on, in INT8 where it has it: what holds the ratio back.

    Of each a title, each kind of operator, and for INT8 how near its convolutions come to the machine's peak.
    """
    held = {row.precision for row in bundle.manifest.models}
    frames, found = dict(golden_frames(bundle)[0]), []
    most = peak.peak_gops(threads) if "int8" in held else 0.0
    for scenario in bundle.manifest.task.scenarios:
        row = bundle.model(scenario, "int8" if "int8" in held else "fp32")
        shares = operators.profile(bundle.file(row.file), frames, threads)
        reached = ""
        if row.precision == "int8":
            ours = peak.achieved_gops(bundle.file(row.file), shares)
            reached = f"integer convolutions and what stands between them: {ours:.0f} GOP/s, {100 * ours / most:.0f} %"
            reached += f" of the {most:.0f} that one alone reaches here"
        found.append((f"{row.scenario} {row.precision} of bundle {bundle.id}", shares, reached))
    return found


def made_bundle(folder: Path, size: int, network: str = "dis2", width: float = 1.0) -> tuple[Checkpoint, Path]:
    """A run and its bundle of `network` at `size` x `size`, five classes, through the stages that users run."""
    from dis2_boards.packing.pack import pack
    from dis2_boards.profile import load as board_of
    from dis2_edge.dataset import open_dataset
    from dis2_quantize.run import quantize
    from dis2_train.fitting.fit import train
    from dis2_train.synth.make import synthesise

    crop = min(128, size // 16 * 16)
    named = {"network": network, "width": width, "crop": crop}
    recipe = from_table(Recipe, {**named, **HASTY}, where="--network")
    data = open_dataset(synthesise(folder / "data", "aerial", 4, size, 0))
    run = train(recipe, data, folder / "run", device="cpu")
    quantize(run, recipe, data, folder / "quantized", ("fp32", "int8"))
    return run, pack(folder / "quantized", board_of("host"), folder / "bundle").path


def show(figures: Sequence[Figure], threads: int) -> None:
    """Print one table a bundle, and what it was measured on."""
    for bundle in dict.fromkeys(figure.bundle for figure in figures):
        rows = [_cells(figure) for figure in figures if figure.bundle == bundle]
        table(f"bundle {bundle}: batch 1, {threads} threads, contestants in turn", COLUMNS, rows)
    machine = describe_machine(("numpy", "onnxruntime", "torch"))
    versions = ", ".join(f"{name} {version}" for name, version in machine.packages.items())
    say(f"{machine.cpu}, {machine.cores} cores, {machine.os}, Python {machine.python}, {versions}")


def _scenario_figures(
    bundle: Bundle,
    scenario: str,
    rivals: Mapping[str, Rival],
    engines: Mapping[str, Engine],
    goldens: Sequence[Frames],
    rounds: int,
) -> list[Figure]:
    inputs = [_normalised(bundle, scenario, frames) for frames in goldens]
    calls: dict[str, Callable[[int], object]] = {name: in_turn(call, inputs) for name, call in rivals.items()}
    calls |= {name: in_turn(partial(engine.infer, scenario), goldens) for name, engine in engines.items()}
    taken = take_turns(calls, rounds, f"{bundle.id} {scenario}")
    baseline_ms = next(iter(taken.values())).median_ms
    return [
        Figure(
            bundle=bundle.id,
            scenario=scenario,
            contestant=name,
            latency=latency,
            ratio=baseline_ms / latency.median_ms,
            agreement=None if name in rivals else agreement(engines, name, scenario, goldens),
        )
        for name, latency in taken.items()
    ]


def exported(released: ReleasedDis2, scenario: str, threads: int) -> Rival:
    """The released model's plain export under ONNX Runtime, with the session options that our own files get."""
    with tempfile.TemporaryDirectory(prefix="dis2-bench-") as folder:
        released.write(scenario, Path(folder) / "released.onnx")
        return rival(Path(folder) / "released.onnx", threads)


def rival(file: Path, threads: int) -> Rival:
    """A file of normalised frames under ONNX Runtime."""
    session, _ = open_session(file, threads)
    return lambda frames: session.run(None, {name: frame.numpy() for name, frame in frames.items()})


def _normalised(bundle: Bundle, scenario: str, frames: Frames) -> dict[str, torch.Tensor]:
    """What a rival starts from: (1, C, H, W) float32 a sensor."""
    task = bundle.manifest.task
    return {
        name: torch.from_numpy(normalise(frames[name], task.sensor(name))).unsqueeze(0) for name in sensors_of(scenario)
    }


def _cells(figure: Figure) -> tuple[str, ...]:
    latency = figure.latency
    p95 = "-" if latency.p95_ms is None else f"{latency.p95_ms:.1f}"
    agreed = "-" if figure.agreement is None else f"{100 * figure.agreement:.2f}"
    middle = f"{latency.median_ms:.1f}", p95, str(latency.n)
    return figure.scenario, figure.contestant, *middle, f"{figure.ratio:.1f}", agreed


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="dis2-bench-") as folder:
        yield Path(folder)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.host", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("bundles", type=Path, nargs="*", metavar="BUNDLE", help="bundles to time; none makes one")
    parser.add_argument("--run", type=Path, help="the run that the bundles were made of: its plain export is the rival")
    parser.add_argument("--network", default="dis2", help="network of the bundle that is made")
    parser.add_argument("--width", type=float, default=1.0, help="its width")
    parser.add_argument("--size", type=int, default=512, help="side in pixels of the bundle that is made")
    parser.add_argument("--threads", type=int, default=usable_cores(), help="threads of every contestant")
    parser.add_argument("--rounds", type=int, default=20, help="timed calls of each contestant and scenario")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write the figures as JSON")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
