"""Make a run folder of a checkpoint in the released format, so that every later stage takes it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dis2_edge.errors import CheckpointError, RecipeError
from dis2_edge.files import check_free, sha256
from dis2_edge.labels import palette
from dis2_edge.recipe import Recipe
from dis2_edge.sensors import Sensor
from dis2_edge.statistics import SensorStatistics, measure
from dis2_edge.task import Task
from dis2_train import checkpoint, networks
from dis2_train.networks.seam import Network
from dis2_train.scoring import not_measured, score, scored_split

if TYPE_CHECKING:
    from dis2_edge.dataset import DataSet

ORIGIN = "imported from"
"""Key of metrics.json that names the file that a run was made of, and its hash."""


@dataclass(frozen=True)
class Names:
    """What a checkpoint does not say of itself. Empty values are taken from the data set, or from habit."""

    sensors: tuple[str, ...] = ()
    """Names of the two sensors: the one in the place of the released RGB, then the one in that of nDSM."""
    classes: tuple[str, ...] = ()
    """Names of the classes, in the order of their indices."""
    colours: tuple[str, ...] = ()
    """One `#rrggbb` a class."""
    mean: tuple[float, ...] = ()
    """Mean of each channel, first sensor's first, that inputs are normalised by; empty for raw values."""
    std: tuple[float, ...] = ()
    """Standard deviation of each channel; empty for raw values."""
    measured: bool = False
    """Normalise by mean and std of the data set's training split instead."""


def import_run(
    source: Path, out: Path, *, size: tuple[int, int] = (0, 0), names: Names | None = None, data: DataSet | None = None
) -> dict[str, Any]:
    """Write the checkpoint at `source` as the run folder `out`, whole or not at all, and return its metrics.

    `size` is the height and width it was trained on; (0, 0) takes a square. With `data` its sensors are described, its
    statistics measured and, where it has labels, the network scored on it; without, the run says that nothing was
    measured. Nothing in `source` is executed. Raises CheckpointError when the weights are others than named.
    """
    names = names or Names()
    check_free(out)
    released = networks.load_official(source, size)
    sensors = _sensor_names(names, data)
    statistics: tuple[SensorStatistics, ...] = ()
    if data is not None:
        data = data.narrowed(sensors, released.task.grid)
        _check_channels(released.task, data.task)
        statistics = measure(data, "train" if "train" in data.splits else scored_split(data))
    task = _task(released.task, sensors, names, data, statistics)
    recipe = Recipe(preset="paper", sensors=sensors, grid=task.grid)
    released.task, released.recipe = task, recipe  # its parts stand by place: names change nothing in them
    metrics = {**_figures(released, data), ORIGIN: f"{source.name}, sha256 {sha256(source)}"}
    checkpoint.save(out, released, recipe=recipe, statistics=statistics, metrics=metrics)
    return metrics


def _figures(network: Network, data: DataSet | None) -> dict[str, Any]:
    if data is None:
        return not_measured("no data were given when the checkpoint was imported")
    if not data.description.labels:
        return not_measured(f"the data set {data.name!r} has no labels")
    return score(network, data)


def _sensor_names(names: Names, data: DataSet | None) -> tuple[str, ...]:
    """The names of the two places: as given, as released where the data have them, else as the data have them."""
    released = ("rgb", "ndsm")
    held = data.task.sensor_names if data else released
    chosen = names.sensors or (released if set(released) <= set(held) else held)
    if len(chosen) != 2:
        raise RecipeError(
            f"{len(chosen)} sensors ({', '.join(chosen)})",
            expected="two: the one in the place of RGB, then the one in that of nDSM",
            mend="name them: --sensors RGB NDSM",
        )
    return tuple(chosen)


def _check_channels(released: Task, described: Task) -> None:
    for theirs, ours in zip(released.sensors, described.sensors, strict=True):
        if theirs.channels != ours.channels:
            raise CheckpointError(
                f"the checkpoint reads {theirs.channels} channels in the place of {theirs.name}, "
                f"the data set's {ours.name!r} has {ours.channels}",
                mend="name the sensors in the released order, RGB's place first: --sensors RGB NDSM",
            )


def _task(
    released: Task, sensors: Sequence[str], names: Names, data: DataSet | None, statistics: Sequence[SensorStatistics]
) -> Task:
    """The task of the run: form and grid from the weights, meaning from the user or the data set."""
    if data is not None:
        described = data.task.sensors
    else:
        pairs = zip(released.sensors, sensors, strict=True)
        described = tuple(dataclasses.replace(sensor, name=name) for sensor, name in pairs)
    count = len(released.classes)
    classes = names.classes or (data.task.classes if data else released.classes)
    if len(classes) != count:
        found = f"{len(classes)} classes ({', '.join(classes)})"
        raise CheckpointError(found, expected=f"{count}, which the checkpoint tells apart")
    kept = data.task.colours if data and data.task.classes == classes else palette(count)
    return Task(
        sensors=_normalised(described, names, statistics),
        classes=tuple(classes),
        colours=names.colours or kept,
        grid=released.grid,
        ignore=data.task.ignore if data else released.ignore,
    )


def _normalised(sensors: Sequence[Sensor], names: Names, statistics: Sequence[SensorStatistics]) -> tuple[Sensor, ...]:
    """`sensors` with the mean and std that their network was trained with; raw values unless told otherwise."""
    total = sum(sensor.channels for sensor in sensors)
    if names.measured:
        if not statistics:
            raise RecipeError("no data to measure mean and std on", mend="add --data DIR, or give --mean and --std")
        if names.mean or names.std:
            raise RecipeError(
                "mean and std both given and to be measured", mend="choose --mean and --std, or --measured"
            )
        pairs = zip(sensors, statistics, strict=True)
        return tuple(dataclasses.replace(sensor, mean=row.mean, std=row.std) for sensor, row in pairs)
    means, stds = names.mean or (0.0,) * total, names.std or (1.0,) * total
    for label, values in (("mean", means), ("std", stds)):
        if len(values) != total:
            raise RecipeError(f"{len(values)} values of {label}", expected=f"{total}, one a channel of both sensors")
    if min(stds) <= 0:
        raise RecipeError(f"std is {min(stds)}", expected="above 0")
    first = sensors[0].channels
    parts = ((means[:first], stds[:first]), (means[first:], stds[first:]))
    return tuple(
        dataclasses.replace(sensor, mean=mean, std=std) for sensor, (mean, std) in zip(sensors, parts, strict=True)
    )
