"""Released DIS2, in torch eager and exported, against our bundles: this computer's CPU, same threads, one run.

    python -m benchmarks.host [BUNDLE ...] [--size 512] [--threads 2] [--rounds 20] [--out figures.json]

Contestants take turns call by call, so that a machine that drifts drifts for all. The released model starts from
normalised tensors and ends at probabilities; a bundle does more in its time: from raw frames to mask and confidence.
Without a BUNDLE one is made by the real stages, trained for an epoch only: its speed is real, its masks are not.
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
from benchmarks.released import ReleasedDis2
from dis2_edge.bundle import Bundle, read
from dis2_edge.errors import BundleError, UserError
from dis2_edge.files import write_json
from dis2_edge.goldens import frames_of, read_golden
from dis2_edge.prepare import normalise
from dis2_edge.scenario import sensors_of
from dis2_edge.terminal import say, table
from dis2_edge.timing import Latency, describe_machine, take_turns, usable_cores
from dis2_runtime.engine import Engine
from dis2_runtime.engines import open_engine
from dis2_runtime.engines.onnx_runtime import open_session

RELEASED = "released, torch eager"
EXPORTED = "released, ONNX Runtime"
COLUMNS = ("scenario", "contestant", "median ms", "p95 ms", "n", "released / this", "agreement with FP32 %")

PRECISIONS: tuple[Literal["fp32", "int8"], ...] = ("fp32", "int8")

Frames = Mapping[str, npt.NDArray[np.generic]]
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
    """Median of the released model over this one's."""
    agreement: float | None
    """Share of mask pixels equal to the bundle's FP32 mask, over all goldens; None for the released model."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark, print it and, on request, write it; 2 when the user can mend what went wrong."""
    args = _arguments(argv)
    try:
        with contextlib.ExitStack() as stack:
            folders = args.bundles or [made_bundle(stack.enter_context(_scratch()), args.size)]
            figures = [figure for folder in folders for figure in compare(read(folder), args.threads, args.rounds)]
            spent = [spending(read(folder), args.threads) for folder in folders]
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


def compare(bundle: Bundle, threads: int, rounds: int) -> list[Figure]:
    """Every scenario of `bundle`: the released model of its task against its FP32 and INT8 files."""
    torch.set_num_threads(threads)
    released = ReleasedDis2(bundle.manifest.task)
    goldens = golden_frames(bundle)
    held = {row.precision for row in bundle.manifest.models}
    precisions = [name for name in PRECISIONS if name in held]
    with contextlib.ExitStack() as stack:
        engines: dict[str, Engine] = {}
        for name in precisions:
            engines[name] = stack.enter_context(open_engine(bundle, name, threads))
        return [
            figure
            for scenario in bundle.manifest.task.scenarios
            for figure in _scenario_figures(bundle, scenario, released, engines, goldens, rounds)
        ]


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


def spending(bundle: Bundle, threads: int) -> tuple[str, list[operators.Share], str]:
    """What the full scenario of `bundle` spends its time on, in INT8 where it has it: what holds the ratio back.

    A title, each kind of operator, and for INT8 how near its convolutions come to the machine's peak.
    """
    held = {row.precision for row in bundle.manifest.models}
    row = bundle.model(bundle.manifest.task.full, "int8" if "int8" in held else "fp32")
    file = bundle.file(row.file)
    shares = operators.profile(file, dict(golden_frames(bundle)[0]), threads)
    reached = ""
    if row.precision == "int8":
        ours, most = peak.achieved_gops(file, shares), peak.peak_gops(threads)
        reached = f"integer convolutions and what stands between them: {ours:.0f} GOP/s, {100 * ours / most:.0f} %"
        reached += f" of the {most:.0f} that one alone reaches here"
    return f"{row.scenario} {row.precision} of bundle {bundle.id}", shares, reached


def made_bundle(folder: Path, size: int) -> Path:
    """A bundle of the default DIS2 at `size` x `size`, five classes, through the stages that users run."""
    from dis2_boards.packing.pack import pack
    from dis2_boards.profile import load as board_of
    from dis2_edge.dataset import open_dataset
    from dis2_edge.recipe import Recipe
    from dis2_quantize.run import quantize
    from dis2_train.fitting.fit import train
    from dis2_train.synth.make import synthesise

    crop = min(128, size // 16 * 16)
    recipe = Recipe(epochs=1, batch=2, crop=crop, evaluate_every=1, quantize_epochs=0, calibration_images=2)
    data = open_dataset(synthesise(folder / "data", "aerial", 4, size, 0))
    run = train(recipe, data, folder / "run", device="cpu")
    quantize(run, recipe, data, folder / "quantized", ("fp32", "int8"))
    return pack(folder / "quantized", board_of("host"), folder / "bundle").path


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
    released: ReleasedDis2,
    engines: Mapping[str, Engine],
    goldens: Sequence[Frames],
    rounds: int,
) -> list[Figure]:
    inputs = [_normalised(bundle, scenario, frames) for frames in goldens]
    calls: dict[str, Callable[[int], object]] = {RELEASED: in_turn(partial(released.infer, scenario), inputs)}
    calls[EXPORTED] = in_turn(exported(released, scenario, torch.get_num_threads()), inputs)
    calls |= {name: in_turn(partial(engine.infer, scenario), goldens) for name, engine in engines.items()}
    taken = take_turns(calls, rounds, f"{bundle.id} {scenario}")
    baseline_ms = taken[RELEASED].median_ms
    return [
        Figure(
            bundle=bundle.id,
            scenario=scenario,
            contestant=name,
            latency=latency,
            ratio=baseline_ms / latency.median_ms,
            agreement=None if name in (RELEASED, EXPORTED) else agreement(engines, name, scenario, goldens),
        )
        for name, latency in taken.items()
    ]


def exported(released: ReleasedDis2, scenario: str, threads: int) -> Callable[[Mapping[str, torch.Tensor]], object]:
    """The released model's plain export under ONNX Runtime, with the session options that our own files get."""
    with tempfile.TemporaryDirectory(prefix="dis2-bench-") as folder:
        released.write(scenario, Path(folder) / "released.onnx")
        session, _ = open_session(Path(folder) / "released.onnx", threads)
    return lambda frames: session.run(None, {name: frame.numpy() for name, frame in frames.items()})


def _normalised(bundle: Bundle, scenario: str, frames: Frames) -> dict[str, torch.Tensor]:
    """What the released model starts from: (1, C, H, W) float32 a sensor."""
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
    parser.add_argument("--size", type=int, default=512, help="side in pixels of the bundle that is made")
    parser.add_argument("--threads", type=int, default=usable_cores(), help="threads of every contestant")
    parser.add_argument("--rounds", type=int, default=20, help="timed calls of each contestant and scenario")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write the figures as JSON")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
