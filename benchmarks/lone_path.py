"""Does infrared alone cost what a plain DeepLabV3 costs? CSK-Net's file against an independently written one, in turn.

    python -m benchmarks.lone_path [--size 512] [--width 1.0] [--threads 2] [--rounds 60] [--clock wall] [--out FILE]

Both networks have the same weights (random, calibrated on random frames: only the time says something), and both files
come from the same exporter, in FP32 and INT8. The plain file is opened a second time as a control: what two sessions on
one file differ by is what this machine cannot tell apart. Ratios are of medians over the plain network's; the interval
is that of 95 % of 2,000 draws of the rounds with replacement. Ends with 0 where every interval lies within 3 %.

`--clock processor` counts the processor's time of one thread in the place of the wall's: of what others do on a busy
machine only their share of caches and cores' units then counts.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.plain_deeplab import UNITS, PlainDeepLab, weights_of
from dis2_edge.files import write_json
from dis2_edge.recipe import Recipe
from dis2_edge.sensors import Sensor
from dis2_edge.task import Task
from dis2_edge.terminal import progress, say, table
from dis2_edge.timing import WARM_UP, Latency, describe_machine, summarise, take_turns, usable_cores
from dis2_quantize.rounding import placement
from dis2_quantize.writing.export import export
from dis2_runtime.engines.onnx_runtime import open_model
from dis2_train import networks
from dis2_train.networks.csknet import CskNet
from dis2_train.networks.widths import scaled

PRECISIONS = ("fp32", "int8")
CLOCKS = ("wall", "processor")
PLAIN, OURS, CONTROL = "plain DeepLabV3", "csknet, infrared alone", "plain DeepLabV3 again"
MOST = 0.03
"""Share of the plain network's time that the lone path may differ by."""
DRAWS = 2000
INFRARED = "ir"
CLASSES = ("background", "car", "person", "bike", "curve")
COLOURS = ("#000000", "#4040c0", "#c04040", "#40c040", "#c0c040")


@dataclass(frozen=True)
class Ratio:
    """One contestant's median over the plain network's."""

    precision: str
    """Of the files."""
    contestant: str
    """Whose time stands above."""
    latency: Latency
    """Its calls."""
    ratio: float
    """Its median over that of the plain network."""
    low: float
    """Lower end of the 95 % interval."""
    high: float
    """Upper end."""

    @property
    def holds(self) -> bool:
        """Whether the whole interval lies within 3 %."""
        return 1 - MOST <= self.low <= self.high <= 1 + MOST


def main(argv: Sequence[str] | None = None) -> int:
    """Write the files, time them in turn, print ratios and the verdict; 1 where it is not within 3 %."""
    args = _arguments(argv)
    network = csknet(args.width, args.size)
    found: list[Ratio] = []
    with tempfile.TemporaryDirectory(prefix="dis2-bench-") as folder:
        for precision in PRECISIONS:
            files = write(network, precision, Path(folder))
            found += ratios(precision, timed(network.task, files, args.threads, args.rounds, args.clock))
    show(found, args)
    if args.out:
        machine = asdict(describe_machine(("numpy", "onnxruntime", "torch")))
        settings = {"threads": args.threads, "clock": args.clock, "size": args.size, "width": args.width}
        write_json(args.out, {"machine": machine, **settings, "ratios": [asdict(row) for row in found]})
    return 0 if verdict(found)[0] else 1


def csknet(width: float, size: int) -> CskNet:
    """An untrained CSK-Net over camera and infrared bytes at `size` x `size`."""
    rgb = Sensor("rgb", "optical", 3, "uint8", "DN", 0, 255, (110.0, 100.0, 90.0), (50.0, 48.0, 46.0))
    infrared = Sensor(INFRARED, "thermal", 1, "uint8", "DN", 0, 255, (90.0,), (40.0,))
    network = networks.build(
        Recipe(network="csknet", width=width), Task((rgb, infrared), CLASSES, COLOURS, (size, size))
    )
    assert isinstance(network, CskNet)
    return network.eval()


def write(network: CskNet, precision: str, folder: Path) -> dict[str, Path]:
    """One file a contestant; `PLAIN` and `CONTROL` are the same one."""
    task = network.task
    plain = PlainDeepLab(1, len(task.classes), scaled(network.recipe.width), parts=UNITS)
    plain.load_state_dict(weights_of(network.state_dict(), INFRARED, task.sensor_names[0]))
    files = {name: folder / f"{number}-{precision}.onnx" for number, name in enumerate((PLAIN, OURS))}
    for module, file in zip((plain.eval(), network.deployable(INFRARED)), files.values(), strict=True):
        _write(module, task, precision, file)
    return {**files, CONTROL: files[PLAIN]}


def timed(task: Task, files: Mapping[str, Path], threads: int, rounds: int, clock: str) -> dict[str, Latency]:
    """Latency of each file on a random frame, all in turn, by one of `CLOCKS`."""
    frame = np.random.default_rng(0).integers(0, 256, (*task.grid, 1), dtype=np.uint8)
    models = {name: open_model(file, threads) for name, file in files.items()}
    calls = {name: lambda turn, model=model: model.run({INFRARED: frame}) for name, model in models.items()}
    return take_turns(calls, rounds, "time") if clock == "wall" else by_processor(calls, rounds)


def by_processor(calls: Mapping[str, Callable[[int], object]], rounds: int) -> dict[str, Latency]:
    """Processor time of each call, once a round in turn."""
    samples: dict[str, list[float]] = {name: [] for name in calls}
    for turn in progress(range(WARM_UP + rounds), "time"):
        for name, call in calls.items():
            start = time.process_time_ns()
            call(turn)
            samples[name].append((time.process_time_ns() - start) / 1e6)
    return {name: summarise(taken[WARM_UP:], WARM_UP) for name, taken in samples.items()}


def ratios(precision: str, taken: Mapping[str, Latency]) -> list[Ratio]:
    """Each contestant over the plain network, rounds drawn together, since a machine drifts for all."""
    samples = {name: np.array(latency.samples_ms) for name, latency in taken.items()}
    count = len(samples[PLAIN])
    drawn = np.random.default_rng(0).integers(0, count, (DRAWS, count))
    base = np.median(samples[PLAIN][drawn], axis=1)
    rows = []
    for name, latency in taken.items():
        low, high = np.percentile(np.median(samples[name][drawn], axis=1) / base, (2.5, 97.5))
        ratio = np.median(samples[name]) / np.median(samples[PLAIN])
        rows.append(Ratio(precision, name, latency, float(ratio), float(low), float(high)))
    return rows


def verdict(found: Sequence[Ratio]) -> tuple[bool, str]:
    """Whether the lone path is within 3 % at every precision, and a sentence; a wide control says why it is not."""
    ours, control = ([row for row in found if row.contestant == name] for name in (OURS, CONTROL))
    if all(row.holds for row in ours):
        return True, "infrared alone is within 3 % of a plain DeepLabV3, at both precisions"
    if not all(row.holds for row in control):
        return (
            False,
            "not shown: this machine cannot tell two sessions on one file apart to 3 %; run it when it is quiet",
        )
    wide = ", ".join(f"{row.precision} {row.low:.3f} to {row.high:.3f}" for row in ours if not row.holds)
    return False, f"not within 3 %: {wide}"


def show(found: Sequence[Ratio], args: argparse.Namespace) -> None:
    """One line a file, then the verdict."""
    rows = [
        (
            row.precision,
            row.contestant,
            f"{row.latency.median_ms:.2f}",
            "-" if row.latency.p95_ms is None else f"{row.latency.p95_ms:.2f}",
            row.latency.n,
            f"{row.ratio:.3f}",
            f"{row.low:.3f} to {row.high:.3f}",
        )
        for row in found
    ]
    title = (
        f"{args.size} x {args.size}, width {args.width:g}, batch 1, {args.threads} threads, in turn, {args.clock} clock"
    )
    table(title, ("precision", "file", "median ms", "p95 ms", "n", "over plain", "95 % interval"), rows)
    machine = describe_machine(("numpy", "onnxruntime", "torch"))
    say(f"{machine.cpu}, {machine.cores} cores, onnxruntime {machine.packages['onnxruntime']}")
    say(verdict(found)[1])


def _write(module: nn.Module, task: Task, precision: str, file: Path) -> None:
    traced = placement.trace(module)
    if precision == "int8":
        traced = placement.place(traced, "minmax", (), task.used(INFRARED))
        with torch.no_grad():
            traced(torch.randn(1, 1, *task.grid, generator=torch.Generator().manual_seed(0)))
        placement.freeze(traced)
    export(traced, task, INFRARED, file, {})


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    text = (__doc__ or "").split("\n\n")[0]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lone_path", description=text.replace("%", "%%"))
    parser.add_argument("--size", type=int, default=512, help="side of the frames in pixels, a multiple of 16")
    parser.add_argument("--width", type=float, default=1.0, help="factor on every channel count")
    parser.add_argument("--threads", type=int, default=usable_cores(), help="threads of every file")
    parser.add_argument("--rounds", type=int, default=60, help="timed calls of each file")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="processor: of one thread, for a busy machine")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write the figures as JSON")
    args = parser.parse_args(argv)
    if args.clock == "processor":
        args.threads = 1
    return args


if __name__ == "__main__":
    sys.exit(main())
