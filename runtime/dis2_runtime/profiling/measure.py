"""Measure one bundle on labelled data: confusion counts and latency of every scenario and precision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from dis2_edge.bundle import Bundle
from dis2_edge.dataset import DataSet
from dis2_edge.errors import DataError
from dis2_edge.manifest import Precision
from dis2_edge.report.pictures import error_share
from dis2_edge.report.schema import Measured
from dis2_edge.scores import Counts, confusion
from dis2_edge.terminal import progress
from dis2_edge.timing import Latency, summarise, time_ms
from dis2_runtime.engine import Answer, Engine
from dis2_runtime.engines import Wanted, open_engine

WARM_UP = 10
"""Calls before timing starts, beyond those with which an engine opens."""
FEWEST = 20
"""Calls that are timed at least, however slow a model is."""
_IN_TURN = 8
"""Unlike images that the timed calls take in turn, so that no cache serves one image again and again."""


@dataclass(frozen=True)
class Labelled:
    """One image on the bundle's grid, with its truth."""

    id: str
    """Its name in the data set."""
    frames: dict[str, npt.NDArray[Any]]
    """HxWxC of each sensor, holes filled."""
    truth: npt.NDArray[np.uint8]
    """HxW class index."""


@dataclass
class Findings:
    """What came of a bundle."""

    rows: list[Measured] = field(default_factory=list)
    """One a scenario and precision."""
    error_shares: dict[str, list[float]] = field(default_factory=dict)
    """Image -> share of wrong pixels in each row, to tell the worst image."""


def measure_bundle(
    bundle: Bundle,
    images: Images,
    precisions: Sequence[str],
    threads: int,
    calls: int,
    seconds: float,
    wanted: Wanted = "auto",
) -> Findings:
    """Count every image in every scenario and precision, then time each model.

    A model is timed `calls` times, or as often as fits in `seconds` but at least `FEWEST` times, on full frames.
    """
    findings = Findings()
    for precision in precisions:
        with open_engine(bundle, cast(Precision, precision), threads, wanted) as engine:
            counts = _count(engine, images, precision, findings)
            sample = [images.read(name) for name in images.names[:_IN_TURN]]
            for scenario in progress(engine.scenarios, f"{bundle.manifest.network} {precision}: time scenarios"):
                latency = _time(engine, scenario, sample, calls, seconds)
                table = tuple(tuple(int(cell) for cell in row) for row in counts[scenario])
                findings.rows.append(Measured(scenario, precision, table, len(images.names), latency))
    return findings


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


def _count(engine: Engine, images: Images, precision: str, findings: Findings) -> dict[str, Counts]:
    """Confusion counts Kx(K+1) of each scenario over all images."""
    classes = images.classes
    counts: dict[str, Counts] = {name: np.zeros((classes, classes + 1), np.int64) for name in engine.scenarios}
    for name in progress(images.names, f"{images.network} {precision}: count images"):
        image = images.read(name)
        for scenario in engine.scenarios:
            mask = engine.infer(scenario, image.frames).mask
            counts[scenario] += confusion(image.truth, mask, classes)
            findings.error_shares.setdefault(name, []).append(error_share(mask, image.truth, classes))
    return counts


def _time(engine: Engine, scenario: str, images: Sequence[Labelled], calls: int, seconds: float) -> Latency:
    """Time the engine in `scenario`, one call after the other, into buffers that are used again as in flight."""
    into = Answer.empty(*images[0].truth.shape)
    samples: list[float] = []
    while len(samples) < WARM_UP + calls:
        image = images[len(samples) % len(images)]
        samples.append(time_ms(_call(engine, scenario, image, into)))
        if len(samples) >= WARM_UP + FEWEST and sum(samples) > 1000 * seconds:
            break
    return summarise(samples[WARM_UP:], WARM_UP)


def _call(engine: Engine, scenario: str, image: Labelled, into: Answer) -> Callable[[], object]:
    return lambda: engine.infer(scenario, image.frames, into)
