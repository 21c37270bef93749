"""Model files to hold predictions against: our networks with drawn weights, which are as fast as trained ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import onnx
import torch

from dis2_edge.costs import LayerCost, read_costs, write_costs
from dis2_edge.recipe import Recipe
from dis2_edge.scenario import sensors_of
from dis2_edge.sensors import Sensor
from dis2_edge.task import Task
from dis2_quantize.costs import layer_costs
from dis2_quantize.rounding import placement
from dis2_quantize.writing.export import export
from dis2_train import networks

SENSORS = (
    Sensor("rgb", "optical", 3, "uint8", "DN", 0, 255, (110.0, 100.0, 90.0), (50.0, 48.0, 46.0)),
    Sensor("ndsm", "height", 1, "float32", "metres", -10, 200, (4.0,), (5.0,)),
)
CLASSES = ("road", "roof", "low", "tree", "car")


@dataclass(frozen=True)
class Case:
    """One model file."""

    network: str
    """Key `network` of its recipe."""
    width: float
    """Key `width`."""
    size: int
    """Height and width of the grid."""
    scenario: str
    """The sensors that it reads."""
    precision: Literal["fp32", "int8"]
    """Number format of its convolutions."""
    judged: bool
    """Whether it is kept out of the calibration, to judge it."""
    preset: str = "default"
    """Key `preset`."""

    @property
    def name(self) -> str:
        """Its name, also that of its file."""
        kind = self.network if self.preset == "default" else f"{self.network}-{self.preset}"
        return f"{kind}-w{self.width:g}-{self.size}-{self.scenario}-{self.precision}"


def cases() -> Iterator[Case]:
    """Every file: DIS2 and one sensor alone calibrate; other networks, another width and other sizes judge."""
    full = "rgb+ndsm"
    for precision in ("fp32", "int8"):
        for width, size, scenario in ((1.0, 256, full), (0.5, 512, full), (0.5, 256, "rgb"), (0.25, 128, full)):
            yield Case("dis2", width, size, scenario, precision, False)
        for width, size in ((1.0, 256), (0.5, 512)):
            yield Case("single", width, size, "rgb", precision, False)
        for width, size, scenario in ((1.0, 512, full), (1.0, 384, "rgb"), (0.75, 320, full), (0.375, 192, "ndsm")):
            yield Case("dis2", width, size, scenario, precision, True)
        for width, size in ((1.0, 256), (0.5, 512), (0.25, 128)):
            yield Case("early_fusion", width, size, full, precision, True)
        for width, size in ((0.5, 384), (1.0, 256)):
            yield Case("feature_mean", width, size, full, precision, True)
    yield Case("dis2", 1.0, 256, full, "fp32", True, "paper")


def task_of(case: Case) -> Task:
    """The task of `case`: colour and height, or colour alone, five classes."""
    sensors = SENSORS[:1] if case.network == "single" else SENSORS
    return Task(sensors, CLASSES, ("#808080", "#aa3333", "#22aa22", "#227722", "#222277"), (case.size, case.size))


def written(case: Case, folder: Path) -> tuple[Path, tuple[LayerCost, ...]]:
    """The file of `case` below `folder`, made where it is not there yet, and what its layers cost."""
    file = folder / f"{case.name}.onnx"
    if not file.with_suffix(".costs.json").exists():
        _write(case, file)
        write_costs(file.with_suffix(".costs.json"), layer_costs(onnx.load(file)))
    return file, read_costs(file.with_suffix(".costs.json"))


def _write(case: Case, file: Path) -> None:
    task = task_of(case)
    recipe = Recipe(network=case.network, width=case.width, preset=case.preset)  # type: ignore[arg-type]
    graph = placement.trace(networks.build(recipe, task).eval().deployable(case.scenario))
    if case.precision == "int8":
        graph = placement.place(graph, "minmax")
        random = torch.Generator().manual_seed(0)
        frames = (
            torch.randn(1, task.sensor(name).channels, *task.grid, generator=random)
            for name in sensors_of(case.scenario)
        )
        with torch.no_grad():
            graph(*frames)
        placement.freeze(graph)
    export(graph, task, case.scenario, file, {"recipe_hash": "drawn"})
