"""A quantised run of a board with a GPU: rows, recipe and costs, but files that hold nothing."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from tiny_bundle import NDSM, RGB, task_of

from dis2_boards.figures import Figure, Roofline
from dis2_boards.profile import Board, load
from dis2_edge.costs import LayerCost, write_costs
from dis2_edge.manifest import ModelRow

TASK = task_of(RGB, NDSM)
ORIN = load("orin-nx-16gb")


def figure(value: float, unit: str) -> Figure:
    return Figure(value, unit, "made up", "made up")


def roofline_of(**changes: object) -> Roofline:
    """1000 GOP/s half attained, 10 GB/s half attained, 100 us a layer."""
    parts = {
        "peaks": {"fp16": figure(1000, "GOP/s"), "int8": figure(2000, "GOP/s")},
        "efficiency": {"fp16": figure(0.5, "share"), "int8": figure(0.5, "share")},
        "bandwidth": figure(10, "GB/s"),
        "bandwidth_efficiency": figure(0.5, "share"),
        "overhead": figure(100, "us"),
    }
    return Roofline(**{**parts, **changes})  # type: ignore[arg-type]


def board_of(roofline: Roofline | None = None, **changes: object) -> Board:
    """The Orin with a made-up roofline."""
    return dataclasses.replace(ORIN, roofline=roofline or roofline_of(), **changes)  # type: ignore[arg-type]


def layers_of(precision: str, ms: float) -> list[LayerCost]:
    """A layer that computes and one that moves bytes: together `ms` on that roofline, launches included."""
    per_ms = {"fp16": 500_000_000, "int8": 1_000_000_000}[precision]
    busy = LayerCost("busy", "Conv", precision, int(per_ms * (ms - 0.2) / 2), 8, 4, 1000)  # type: ignore[arg-type]
    wide = LayerCost("wide", "Resize", "fp16", 8, int(5e6 * (ms - 0.2) / 2), 1_000_000, 2_000_000)
    return [busy, LayerCost("view", "Reshape", "fp16", 0, 10_000_000, 0, 2_000_000), wide]


def make_costed(folder: Path, ms: dict[str, float]) -> Path:
    """A QRUN whose files take `ms`, by precision, in the full scenario and half as long in the others."""
    (folder / "models").mkdir(parents=True)
    rows = []
    for scenario in TASK.scenarios:
        for precision, whole in ms.items():
            file = f"models/{scenario.replace('+', '-')}-{precision}-trt-tensor.onnx"
            (folder / file).write_bytes(b"")
            taken = whole if scenario == TASK.full else whole / 2
            write_costs((folder / file).with_suffix(".costs.json"), layers_of(precision, taken))
            rows.append(ModelRow(scenario, precision, "trt", "tensor", file, 0.99, 0.1))  # type: ignore[arg-type]
    (folder / "recipe.toml").write_text('network = "linear"\n')
    index = {"name": "tiny", "network": "linear", "recipe_hash": "0" * 64, "task": TASK.to_table()}
    index |= {"statistics": [], "models": [dataclasses.asdict(row) for row in rows], "goldens": []}
    (folder / "quantized.json").write_text(json.dumps(index))
    return folder
