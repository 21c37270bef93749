"""The one reader of data sets: a folder and its `dataset.toml` become samples, and samples come to the grid."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

from dis2_edge import description as descriptions
from dis2_edge.damage import Damage
from dis2_edge.description import Description
from dis2_edge.entries import Entry, entries_of
from dis2_edge.errors import DamagedError, DataError
from dis2_edge.frames import frame_of
from dis2_edge.images import image_size, nodata_of, read_image, read_indices
from dis2_edge.labels import class_indices, palette
from dis2_edge.pairing import Pair, pairs
from dis2_edge.prepare import align_label, bring
from dis2_edge.sensors import Dtype, Sensor
from dis2_edge.task import Task

Pixels = npt.NDArray[Any]
T = TypeVar("T")
_LOOKED_AT = 3
"""Files that may be damaged, less one, before a data set cannot be opened."""


@dataclass(frozen=True)
class Sample:
    """What the sensors saw at one place, and what is there."""

    id: str
    """Name of the sample, one in its split."""
    frames: dict[str, Pixels]
    """Sensor name -> HxWxC of the sensor's dtype, native size or, from `DataSet.on_grid`, the grid's."""
    label: npt.NDArray[np.uint8] | None
    """HxW class index, or None where the data set has no labels."""
    holes: dict[str, int] = field(default_factory=dict)
    """Sensor name -> pixels that were holes and were filled: by `DataSet.read` what files of integers declare as no
    data, and by `DataSet.on_grid` all."""


class DataSet:
    """A described data set, opened: see `open_dataset`."""

    def __init__(
        self,
        root: Path,
        description: Description,
        task: Task,
        found: Mapping[str, tuple[Pair, ...]],
        damage: Damage | None = None,
    ) -> None:
        self.root, self.description, self.task = root, description, task
        self.damage = damage or Damage()
        """The damaged samples that `read_or_skip` met; those of a narrowed data set too."""
        self._found = found
        entries = entries_of(found, description, task.grid)
        self._entries = {split: {entry.id: entry for entry in table} for split, table in entries.items()}
        self._scenes: dict[str, tuple[Path, Pixels]] = {}

    @property
    def name(self) -> str:
        """Name of the data set."""
        return self.description.name or self.root.resolve().name

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits; train, val and test first, parts of others last."""
        return tuple(self._entries)

    @property
    def whole_splits(self) -> tuple[str, ...]:
        """Names of the splits that are no part of another: together they hold every sample once."""
        ends = self.description.split.parts
        parts = {f"{split}_{part}" for split in self._entries for part in ends}
        return tuple(split for split in self._entries if split not in parts)

    def ids(self, split: str) -> tuple[str, ...]:
        """The ids of `split`, in a fixed order; DataError when there is no such split."""
        return tuple(self._of(split))

    def parts(self, split: str) -> dict[str, tuple[str, ...]]:
        """The parts of `split`, such as day and night: name -> ids; one without samples is left out."""
        named = {part: f"{split}_{part}" for part in self.description.split.parts}
        return {part: self.ids(name) for part, name in named.items() if name in self.splits}

    def entry(self, split: str, id_: str) -> Entry:
        """Where sample `id_` comes from; DataError when the split does not hold it."""
        entries = self._of(split)
        if id_ not in entries:
            raise DataError(f"split {split!r} of {self.root} has no sample {id_!r}")
        return entries[id_]

    def read(self, split: str, id_: str) -> Sample:
        """The sample `id_` as its files hold it: native size and dtype, holes and all.

        What a GeoTIFF declares as no data is a hole: NaN in float32. Integers have no such mark, so there it is filled
        and counted here. In labels it becomes `ignore`, unless the description has a class of that index.

        Raises DataError that names the file: damaged, of another size, dtype or number of bands than described, or
        with a class index that is none.
        """
        entry = self.entry(split, id_)
        frames, filled = {}, {}
        for sensor in self.task.sensors:
            frames[sensor.name], filled[sensor.name] = self._frame(entry, sensor)
        label = self._label(entry)
        if self.description.alignment == "registered":
            self._check_sizes(entry, {**frames, **({} if label is None else {"labels": label})})
        return Sample(id_, frames, label, {name: count for name, count in filled.items() if count})

    def read_or_skip(self, split: str, id_: str) -> Sample | None:
        """The sample as `read` gives it, or None where a file of it is damaged: then it is noted in `damage`.

        For learning, which can do without a few. DataError when more than 1 % of the split is damaged.
        """
        if self.damage.holds(split, id_):
            return None
        try:
            return self.read(split, id_)
        except DamagedError as error:
            self.damage.note(split, id_, error, len(self._of(split)))
            return None

    def on_grid(self, sample: Sample, task: Task | None = None) -> Sample:
        """`sample` with frames and label brought to the grid, and holes filled and counted.

        `task`: where sensors with statistics, and the grid, are taken from; None takes the data set's own.
        """
        task = task or self.task
        frames, holes = {}, {}
        for sensor in task.sensors:
            frames[sensor.name], holes[sensor.name] = bring(sample.frames[sensor.name], sensor, task.grid)
            holes[sensor.name] += sample.holes.get(sensor.name, 0)
        label = sample.label
        if label is not None:
            label = align_label(label, self._label_like(task), task.grid, task.ignore)
        return Sample(sample.id, frames, label, holes)

    def narrowed(self, sensors: Sequence[str] = (), grid: tuple[int, int] = (0, 0)) -> DataSet:
        """The same data seen with only `sensors`, in that order, at `grid`; empty and (0, 0) keep what is.

        A data set that is cut into windows is cut anew at another grid.
        """
        chosen = tuple(self.task.sensor(name) for name in sensors) or self.task.sensors
        task = dataclasses.replace(self.task, sensors=chosen, grid=self.task.grid if grid == (0, 0) else grid)
        return DataSet(self.root, self.description, task, self._found, self.damage)

    def _of(self, split: str) -> Mapping[str, Entry]:
        if split not in self._entries:
            raise DataError(f"{self.root} has no split {split!r}", expected=f"one of {', '.join(self.splits)}")
        return self._entries[split]

    def _frame(self, entry: Entry, sensor: Sensor) -> tuple[Pixels, int]:
        """The frame, and how many of its pixels were filled because an integer file declares them as no data."""
        path = entry.pair.frames[sensor.name]
        pixels = self._cut(entry, sensor.name, path)
        return frame_of(pixels, path, self.root, sensor, self.description.sensors[sensor.name])

    def _label(self, entry: Entry) -> npt.NDArray[np.uint8] | None:
        path = entry.pair.label
        if path is None:
            return None
        if entry.window is None:
            return self._indices(path)
        scene = self._scene("", path, functools.partial(self._indices, path))
        return entry.window.cut_label(scene, self.task.ignore)

    def _indices(self, path: Path) -> npt.NDArray[np.uint8]:
        return class_indices(read_indices(path), self.task, path, nodata_of(path))

    def _cut(self, entry: Entry, name: str, path: Path) -> Pixels:
        """The frame of an entry, or its window's part of a scene."""
        if entry.window is None:
            return read_image(path)
        return np.ascontiguousarray(entry.window.cut(self._scene(name, path, lambda: read_image(path))))

    def _scene(self, name: str, path: Path, read: Callable[[], Pixels]) -> Pixels:
        """A scene that is cut; the one last read is kept, and looked at once, as another thread may replace it."""
        kept = self._scenes.get(name)
        if kept is None or kept[0] != path:
            kept = self._scenes[name] = path, read()
        return kept[1]

    def _check_sizes(self, entry: Entry, arrays: Mapping[str, Pixels]) -> None:
        """Registered frames are of one size, which is the grid's unless the description says how it gets there."""
        whole = entry.window is None and next(iter(self.description.sensors.values())).fit is None
        sizes = {name: array.shape[:2] for name, array in arrays.items()}
        grid = self.description.grid
        if len(set(sizes.values())) > 1 or (whole and set(sizes.values()) != {grid}):
            told = ", ".join(f"{name} {height}x{width}" for name, (height, width) in sizes.items())
            raise DataError(
                f"sample {entry.id!r} of {self.root}: {told} pixels",
                expected=f"all of one size, the grid's {grid[0]}x{grid[1]}, as no alignment is declared",
                mend='set fit of every sensor, or alignment = "declared" with size, to_grid and fit of each',
            )

    def _label_like(self, task: Task) -> Sensor | None:
        """A sensor whose way to the grid the labels go."""
        if self.description.alignment == "registered":
            return task.sensors[0]
        table = self.description.sensors.get(self.description.labels_like)
        if table is None:
            return None
        return dataclasses.replace(task.sensors[0], to_grid=table.to_grid, fit=table.fit or "resize", lens=table.lens)


def open_dataset(root: Path, description: Path | None = None) -> DataSet:
    """Open the data set in folder `root`; `description` is the path of its TOML file (default: `dataset.toml` in it).

    Finds every split and pairs every name at once, and looks into the first files for what the description leaves
    out, so that what is missing shows now and not hours later. Raises DataError. The folder is only read.
    """
    described = descriptions.load(description or root / descriptions.FILE)
    found = pairs(root, described)
    first = next(iter(found.values()))[:_LOOKED_AT]
    files = {name: [pair.frames[name] for pair in first] for name in described.sensors}
    grid = described.grid if described.grid != (0, 0) else _of_first(image_size, next(iter(files.values())))
    task = Task(
        sensors=tuple(_sensor(name, table, files[name]) for name, table in described.sensors.items()),
        classes=described.classes,
        colours=described.colours or palette(len(described.classes)),
        grid=grid,
        ignore=described.ignore,
    )
    return DataSet(root, dataclasses.replace(described, grid=grid), task, found)


def _of_first(look: Callable[[Path], T], files: Sequence[Path]) -> T:
    """What `look` finds in the first of `files` that is not damaged; the error of the last when all are."""
    for file in files[:-1]:
        with contextlib.suppress(DamagedError):
            return look(file)
    return look(files[-1])


def _sensor(name: str, table: descriptions.SensorTable, first: Sequence[Path]) -> Sensor:
    """The sensor of a table; what it leaves out is looked up in its first file."""
    if table.dtype is None or not table.bands:
        pixels = _of_first(read_image, first)
    channels = len(table.bands) or pixels.shape[2]
    dtype = table.dtype or cast(Dtype, pixels.dtype.name)
    low, high = descriptions.valid_range(table, dtype)
    return Sensor(
        name=name,
        kind=table.kind,
        channels=channels,
        dtype=dtype,
        unit=descriptions.usual_unit(table, dtype),
        valid_min=low,
        valid_max=high,
        mean=table.mean,
        std=table.std,
        size=table.size,
        to_grid=table.to_grid,
        fit=table.fit or "resize",
        rate_hz=table.rate_hz,
        max_age_ms=table.max_age_ms,
        lens=table.lens,
        pause_ms=table.pause_ms,
        pause_every_s=table.pause_every_s,
    )
