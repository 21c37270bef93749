"""What each rewrite of the INT8 file gains: the file as it is, and files that lack one rewrite, in turn, in one run.

    python -m benchmarks.rewrites [--size 512] [--threads 2] [--rounds 20] [--out figures.json]

Full-width DIS2, default preset, both sensors, five classes, random weights calibrated on random frames: only the time
says something. Ratios are of medians; a machine that drifts drifts for all.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn

from dis2_edge.files import write_json
from dis2_edge.recipe import Recipe
from dis2_edge.sensors import Sensor
from dis2_edge.task import Task
from dis2_edge.terminal import say, table
from dis2_edge.timing import Latency, describe_machine, take_turns, usable_cores
from dis2_quantize.rounding import placement
from dis2_quantize.writing import export as exporting
from dis2_quantize.writing.ort import units
from dis2_quantize.writing.ort.operators import constant
from dis2_runtime.engines.onnx_runtime import open_model
from dis2_train import networks
from dis2_train.networks.dis2 import fusion

AS_IT_IS = "as it is"
CLASSES = ("road", "roof", "lawn", "tree", "car")
COLOURS = ("#808080", "#aa3333", "#88cc66", "#227722", "#dddd33")


class _Resize(torch.autograd.Function):
    """ONNX Runtime's own integer Resize, channels last."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        batch, height, width, channels = x.shape
        return x.new_zeros(batch, 2 * height, 2 * width, channels)

    @staticmethod
    def symbolic(graph: Any, x: Any) -> Any:
        batch, height, width, channels = x.type().sizes()
        scales = constant(graph, torch.tensor([1.0, 2.0, 2.0, 1.0]))
        empty = constant(graph, torch.zeros(0))
        way = {"mode_s": "linear", "coordinate_transformation_mode_s": "half_pixel"}
        return graph.op("Resize", x, empty, scales, **way).setType(
            x.type().with_sizes([batch, 2 * height, 2 * width, channels])
        )


def _resized(self: units.IntegerEnlarge, x: Tensor) -> Tensor:
    out: Tensor = _Resize.apply(x)  # type: ignore[no-untyped-call]
    return out


def _same(network: nn.Module) -> nn.Module:
    return network


WITHOUT: dict[str, Callable[[], Any]] = {
    AS_IT_IS: contextlib.nullcontext,
    "keys: 8x8 a slot at most": lambda: mock.patch.object(fusion, "MOST_KEYS", 10**6),
    "linear layers in integers": lambda: mock.patch.object(placement, "worth_integers", return_value=False),
    "enlarging as sums": lambda: mock.patch.object(units.IntegerEnlarge, "forward", _resized),
    "regrouping early": lambda: mock.patch.object(placement, "regroup_early", _same),
    "stems that read bytes": lambda: mock.patch.object(placement, "reads_bytes", return_value=False),
    "outputs by sixteens": lambda: mock.patch.object(units, "OUTPUTS_AT_ONCE", 1),
    "one scale a concatenation": lambda: mock.patch.object(placement, "_share_at_concatenations"),
    "fused attention": lambda: mock.patch.object(exporting, "fuse_attention", _same),
}
"""Each rewrite, and how a file is written without it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Write a file less each rewrite, time them in turn, print it and, on request, write it."""
    args = _arguments(argv)
    task = aerial_task(args.size)
    with tempfile.TemporaryDirectory(prefix="dis2-bench-") as folder:
        files = {name: Path(folder) / f"{number}.onnx" for number, name in enumerate(WITHOUT)}
        for name, file in files.items():
            say(f"write {name if name == AS_IT_IS else f'less {name}'}")
            with WITHOUT[name]():
                write(task, file)
        taken = timed(task, files, args.threads, args.rounds)
    show(taken, args.threads)
    if args.out:
        machine = asdict(describe_machine(("numpy", "onnxruntime", "torch")))
        rows = {name: asdict(latency) for name, latency in taken.items()}
        write_json(args.out, {"machine": machine, "threads": args.threads, "size": args.size, "less": rows})
    return 0


def aerial_task(size: int) -> Task:
    """Camera and height at `size` x `size`, five classes."""
    rgb = Sensor("rgb", "optical", 3, "uint8", "DN", 0, 255, (110.0, 100.0, 90.0), (50.0, 48.0, 46.0))
    ndsm = Sensor("ndsm", "height", 1, "float32", "metres", -10, 200, (4.0,), (5.0,))
    return Task((rgb, ndsm), CLASSES, COLOURS, (size, size))


def write(task: Task, file: Path) -> None:
    """The INT8 file of both sensors; every call starts from the same weights and frames."""
    torch.manual_seed(0)
    network = networks.build(Recipe(), task).eval()
    traced = placement.trace(network.deployable(task.full))
    placed = placement.place(traced, "minmax", (), task.used(task.full))
    with torch.no_grad():
        placed(*(torch.randn(1, sensor.channels, *task.grid) for sensor in task.sensors))
    placement.freeze(placed)
    exporting.export(placed, task, task.full, file, {})


def timed(task: Task, files: dict[str, Path], threads: int, rounds: int) -> dict[str, Latency]:
    """Latency of each file on random frames, all in turn."""
    random = np.random.default_rng(0)
    rgb = random.integers(0, 256, (*task.grid, 3), dtype=np.uint8)
    frames = {"rgb": rgb, "ndsm": random.random((*task.grid, 1), dtype=np.float32) * 20}
    models = {name: open_model(file, threads) for name, file in files.items()}
    calls = {name: lambda turn, model=model: model.run(frames) for name, model in models.items()}
    return take_turns(calls, rounds, "time")


def show(taken: dict[str, Latency], threads: int) -> None:
    """One line a rewrite: what the file takes without it, and what the rewrite gains."""
    base = taken[AS_IT_IS].median_ms
    rows = [
        (name, f"{latency.median_ms:.1f}", f"{latency.median_ms - base:.1f}", f"{latency.median_ms / base:.2f}")
        for name, latency in taken.items()
    ]
    n = taken[AS_IT_IS].n
    title = f"DIS2, both sensors, INT8, batch 1, {threads} threads: medians of {n} calls in turn"
    table(title, ("less", "ms", "gain ms", "ratio"), rows)
    machine = describe_machine(("numpy", "onnxruntime", "torch"))
    say(f"{machine.cpu}, {machine.cores} cores, onnxruntime {machine.packages['onnxruntime']}")


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rewrites", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--size", type=int, default=512, help="side of the frames in pixels")
    parser.add_argument("--threads", type=int, default=usable_cores(), help="threads of every file")
    parser.add_argument("--rounds", type=int, default=20, help="timed calls of each file")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write the figures as JSON")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
