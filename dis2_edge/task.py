"""A task: which sensors are looked through, at which grid, to tell which classes apart.

The task is what a network was trained for. It travels from data set to checkpoint to bundle, and is all that the
runtime knows about sensors, classes, grid and normalisation.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dis2_edge import scenario as scenarios
from dis2_edge.errors import RecipeError, UserError
from dis2_edge.sensors import Sensor
from dis2_edge.settings import from_table, nearest

_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True)
class Task:
    """Sensors, classes and grid of one segmentation problem."""

    sensors: tuple[Sensor, ...]
    """In recipe order, which is the order of every scenario's name."""
    classes: tuple[str, ...]
    """Name of each class; its place is its index in a mask."""
    colours: tuple[str, ...]
    """One `#rrggbb` for each class."""
    grid: tuple[int, int]
    """Height and width, in pixels, of the network's input and of its mask."""
    ignore: int = 255
    """Index in labels and masks that stands for no class."""

    def __post_init__(self) -> None:
        names = self.sensor_names
        if not names or len(set(names)) != len(names):
            raise RecipeError(f"sensors {list(names)}", expected="one or more, each name once")
        if len(self.colours) != len(self.classes) or not self.classes:
            found = f"{len(self.classes)} classes and {len(self.colours)} colours"
            raise RecipeError(found, expected="one colour a class")
        if not all(self.classes) or len(set(self.classes)) != len(self.classes):
            raise RecipeError(f"classes {list(self.classes)}", expected="each name once, none empty")
        for colour in self.colours:
            if not _COLOUR.fullmatch(colour):
                raise RecipeError(f"colour {colour!r}", expected="#rrggbb, six hexadecimal digits")
        if not len(self.classes) <= self.ignore <= 255:
            raise RecipeError(f"ignore is {self.ignore}", expected=f"{len(self.classes)}..255, outside the classes")
        if min(self.grid) < 1:
            raise RecipeError(f"grid {self.grid}", expected="two sizes of 1 pixel or more")

    @property
    def sensor_names(self) -> tuple[str, ...]:
        """Names of the sensors in recipe order."""
        return tuple(sensor.name for sensor in self.sensors)

    @property
    def scenarios(self) -> tuple[str, ...]:
        """Every scenario, the full one first."""
        return scenarios.all_scenarios(self.sensor_names)

    @property
    def full(self) -> str:
        """The scenario with every sensor."""
        return scenarios.full_scenario(self.sensor_names)

    def sensor(self, name: str) -> Sensor:
        """The sensor called `name`; an unknown one is a RecipeError that names the nearest."""
        for sensor in self.sensors:
            if sensor.name == name:
                return sensor
        raise RecipeError(f"unknown sensor {name!r}", mend=nearest(name, self.sensor_names))

    def used(self, scenario: str) -> tuple[Sensor, ...]:
        """The sensors of `scenario`, in its order."""
        return tuple(self.sensor(name) for name in scenarios.sensors_of(scenario))

    def to_table(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_table(cls, table: Mapping[str, Any], *, where: str, error: type[UserError] = RecipeError) -> Task:
        """The task written by `to_table`; what does not fit is raised as `error`."""
        return from_table(cls, table, where=where, error=error)
