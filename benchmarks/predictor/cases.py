"""Which networks predictions are held against, and which of them choose the figures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from dis2_edge.recipe import Recipe
from dis2_edge.sensors import Sensor
from dis2_edge.task import Task

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
    precision: Literal["fp32", "fp16", "int8"]
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
    precisions: tuple[Literal["fp32", "int8"], ...] = ("fp32", "int8")
    for precision in precisions:
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


def gpu_cases() -> Iterator[Case]:
    """Every network that is measured on a GPU, in half precision; families judge each other there."""
    full = "rgb+ndsm"
    for size in (256, 512, 1024):
        for network, width, scenario in (("dis2", 1.0, full), ("dis2", 0.5, full), ("dis2", 1.0, "rgb")):
            yield Case(network, width, size, scenario, "fp16", True)
        yield Case("single", 1.0, size, "rgb", "fp16", True)
        yield Case("early_fusion", 1.0, size, full, "fp16", True)
        yield Case("feature_mean", 1.0, size, full, "fp16", True)


def recipe_of(case: Case) -> Recipe:
    """The recipe that its network is built by."""
    return Recipe(network=case.network, width=case.width, preset=case.preset)  # type: ignore[arg-type]
