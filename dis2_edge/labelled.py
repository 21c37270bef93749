"""Labelled images on a bundle's grid, from a described data set: what accuracy is measured on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dis2_edge.bundle import Bundle
from dis2_edge.dataset import DataSet
from dis2_edge.errors import DataError

__all__ = ["Images", "Labelled"]


@dataclass(frozen=True)
class Labelled:
    """One image on the bundle's grid, with its truth."""

    id: str
    """Its name in the data set."""
    frames: dict[str, npt.NDArray[Any]]
    """HxWxC of each sensor, holes filled."""
    truth: npt.NDArray[np.uint8]
    """HxW class index."""


class Images:
    """The labelled images that a bundle is measured on, read as it needs them."""

    def __init__(self, bundle: Bundle, data: DataSet, split: str, limit: int = 0) -> None:
        self._task = bundle.manifest.task
        self._data = _fitting(bundle, data)
        self._split = split
        self.network, self.classes = bundle.manifest.network, len(self._task.classes)
        ids = self._data.ids(split)
        self.in_split = len(ids)
        self.names = _evenly(ids, limit)
        if not self.names:
            raise DataError(f"split {split!r} of {data.name} is empty", mend="choose another --split")

    def read(self, name: str) -> Labelled:
        """The image called `name`; DataError when it has no labels."""
        sample = self._data.on_grid(self._data.read(self._split, name), self._task)
        if sample.label is None:
            raise DataError(f"{name} in split {self._split!r} has no labels", expected="labels to compare masks with")
        return Labelled(name, dict(sample.frames), sample.label)


def _fitting(bundle: Bundle, data: DataSet) -> DataSet:
    """The data set as `bundle` sees it; DataError when its classes or sensors are others."""
    task = bundle.manifest.task
    if data.task.classes != task.classes:
        found = f"{data.name} has the classes {list(data.task.classes)}"
        raise DataError(found, expected=f"{list(task.classes)}, those of {bundle.path}")
    missing = [name for name in task.sensor_names if name not in data.task.sensor_names]
    if missing:
        raise DataError(f"{data.name} has no sensor {missing[0]!r}", expected=f"{list(task.sensor_names)}")
    for sensor in task.sensors:
        theirs = data.task.sensor(sensor.name)
        if (theirs.channels, theirs.dtype) != (sensor.channels, sensor.dtype):
            found = f"{data.name}: {sensor.name} is {theirs.channels} x {theirs.dtype}"
            raise DataError(found, expected=f"{sensor.channels} x {sensor.dtype}, as {bundle.path} was trained on")
    return data.narrowed(task.sensor_names, task.grid)


def _evenly(ids: Sequence[str], limit: int) -> tuple[str, ...]:
    """At most `limit` ids spread over the whole list; 0 takes all."""
    if not 0 < limit < len(ids):
        return tuple(ids)
    return tuple(ids[round(place)] for place in np.linspace(0, len(ids) - 1, limit))
