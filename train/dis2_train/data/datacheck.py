"""Check a data set by reading all of it: pairs, sizes, losses, ranges, class shares; and a sheet to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dis2_edge.dataset import DataSet, Sample
from dis2_edge.images import image_dtype, write_png
from dis2_edge.labels import rgb_of
from dis2_edge.prepare import find_holes
from dis2_edge.sensors import Sensor
from dis2_edge.terminal import progress
from dis2_train.data.sampling import holders

Picture = npt.NDArray[np.uint8]


@dataclass
class SensorFindings:
    """What one sensor's files of a split hold."""

    sizes: set[tuple[int, int]] = field(default_factory=set)
    """Heights and widths that occur."""
    low: float = float("inf")
    """Smallest valid value."""
    high: float = float("-inf")
    """Largest valid value."""
    holes: int = 0
    """Pixels with a hole."""
    pixels: int = 0
    """Pixels in all."""
    blank: int = 0
    """Frames of one value, or of nothing but holes: the sensor as good as lost."""
    types: dict[str, str] = field(default_factory=dict)
    """Number type that files hold -> the first sample of it."""
    small: int = 0
    """Frames of whole numbers none of which is over 255, as 8 bits hold them."""

    def take(self, other: SensorFindings) -> None:
        """Add what another part of the files holds."""
        self.sizes |= other.sizes
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        self.holes += other.holes
        self.pixels += other.pixels
        self.blank += other.blank
        self.small += other.small
        self.types = {**self.types, **other.types, **self.types}


@dataclass
class SplitFindings:
    """What one split holds."""

    samples: int
    """Number of samples."""
    sensors: dict[str, SensorFindings]
    """By sensor name."""
    class_pixels: npt.NDArray[np.int64]
    """Label pixels of each class, and last those of ignore."""


def check(dataset: DataSet) -> dict[str, SplitFindings]:
    """Read every sample and tell what is there, split by split; the first fault is raised as the DataError it is."""
    names = dataset.task.sensor_names
    empty = np.zeros(len(dataset.task.classes) + 1, np.int64)
    found = {
        split: SplitFindings(0, {name: SensorFindings() for name in names}, empty.copy()) for split in dataset.splits
    }
    for split, samples in holders(dataset, labels=True).items():
        for id_, splits in progress(samples.items(), f"reading {split}", len(samples)):
            _take(dataset, dataset.read(split, id_), split, [found[name] for name in splits])
    return found


def sensor_rows(dataset: DataSet, found: dict[str, SplitFindings]) -> tuple[Sequence[str], list[Sequence[object]]]:
    """Columns and rows of the table of sensors."""
    columns = ("split", "samples", "sensor", "kind", "type", "size", "low", "high", "unit", "holes %", "blank")
    rows: list[Sequence[object]] = []
    for split, findings in found.items():
        for sensor in dataset.task.sensors:
            row = findings.sensors[sensor.name]
            sizes = sorted(row.sizes)
            size = f"{sizes[0][0]}x{sizes[0][1]}" + (f" and {len(sizes) - 1} more" if len(sizes) > 1 else "")
            kind = f"{sensor.dtype} x{sensor.channels}"
            limits = (f"{row.low:.6g}", f"{row.high:.6g}") if row.high >= row.low else ("-", "-")
            share = f"{100 * row.holes / max(row.pixels, 1):.2f}"
            rows.append(
                (split, findings.samples, sensor.name, sensor.kind, kind, size, *limits, sensor.unit, share, row.blank)
            )
    return columns, rows


def class_rows(dataset: DataSet, found: dict[str, SplitFindings]) -> tuple[Sequence[str], list[Sequence[object]]]:
    """Columns and rows of the table of class shares, per cent of the labelled pixels; ignore of all."""
    rows: list[Sequence[object]] = []
    for split, findings in found.items():
        known, total = int(findings.class_pixels[:-1].sum()), int(findings.class_pixels.sum())
        shares = [f"{100 * count / max(known, 1):.2f}" for count in findings.class_pixels[:-1].tolist()]
        rows.append((split, *shares, f"{100 * int(findings.class_pixels[-1]) / max(total, 1):.2f}"))
    return ("split", *dataset.task.classes, "ignore"), rows


def warnings_of(dataset: DataSet, found: dict[str, SplitFindings]) -> list[str]:
    """What is no error and yet should be known: classes that never occur, sensors that are often lost, few samples."""
    said = []
    for split, findings in found.items():
        counts = findings.class_pixels[:-1]
        absent = [name for name, count in zip(dataset.task.classes, counts.tolist(), strict=True) if not count]
        if absent and counts.sum():
            said.append(f"split {split}: no pixel of {', '.join(absent)}")
        if not counts.sum():
            said.append(f"split {split}: no labels, so it can be looked at and not scored")
        for name, row in findings.sensors.items():
            if row.blank:
                said.append(f"split {split}: {row.blank} of {findings.samples} frames of {name} are blank")
            if row.holes > 0.2 * row.pixels:
                said.append(
                    f"split {split}: {100 * row.holes // row.pixels} % of {name} are holes; is the range right?"
                )
    return said + [line for sensor in dataset.task.sensors for line in _depth_warnings(sensor, found)]


def write_sheet(dataset: DataSet, path: Path, *, rows: int = 8, side: int = 192) -> None:
    """Write a PNG sheet of up to `rows` samples spread over all splits, each `side` pixels.

    From left to right: every sensor's frame, the labels, and the labels laid over the first sensor.
    """
    places = [(split, id_) for split in dataset.splits for id_ in dataset.ids(split)]
    chosen = [places[index] for index in np.unique(np.linspace(0, len(places) - 1, rows).round().astype(int))]
    lines = [_line(dataset, dataset.on_grid(dataset.read(*place)), side) for place in chosen]
    write_png(path, np.concatenate(lines, axis=0))


def overlaid(picture: Picture, label: npt.NDArray[np.uint8], colours: Sequence[str], share: float = 0.45) -> Picture:
    """HxWx3 uint8 `picture` with the class colours of `label` HxW laid over it; where there is no class it shows."""
    known = label < len(colours)
    paint = rgb_of(tuple(colours))[np.where(known, label, 0)]
    mixed = np.where(known[..., None], (1 - share) * picture + share * paint, picture)
    return mixed.astype(np.uint8)


def viewable(pixels: npt.NDArray[Any], channels: int = 3) -> Picture:
    """HxWx3 uint8 of a frame HxWxC, each channel stretched from its 1st to its 99th hundredth; holes are black."""
    finite = np.nan_to_num(pixels[..., :channels].astype(np.float32))
    low, high = np.percentile(finite, [1, 99], axis=(0, 1))
    stretched = np.clip((finite - low) / np.maximum(high - low, 1e-6), 0, 1) * 255
    picture = stretched.astype(np.uint8)
    return picture if picture.shape[2] == 3 else np.repeat(picture[..., :1], 3, axis=2)


def _depth_warnings(sensor: Sensor, found: dict[str, SplitFindings]) -> list[str]:
    """Whether files of a sensor differ in number type, or in scale as 8 and 16 bits do."""
    rows = {split: findings.sensors[sensor.name] for split, findings in found.items()}
    types = {kind: f"{split}/{id_}" for split, row in rows.items() for kind, id_ in row.types.items()}
    if len(types) > 1:
        told = " and ".join(f"{kind} ({where})" for kind, where in types.items())
        return [f"files of {sensor.name} hold {told}: one scale for all, or two sensors?"]
    samples, small = sum(row.samples for row in found.values()), sum(row.small for row in rows.values())
    if sensor.kind != "thermal" or sensor.dtype == "uint8" or not 0 < small < samples:
        return []
    where = ", ".join(f"{row.small} of {found[split].samples} in {split}" for split, row in rows.items() if row.small)
    return [f"{sensor.name}: {where} frames hold nothing over 255 and others do: 8 bits among 16?"]


def _take(dataset: DataSet, sample: Sample, split: str, splits: Sequence[SplitFindings]) -> None:
    """Take one sample into the findings of every split that holds it."""
    classes = len(dataset.task.classes)
    for sensor in dataset.task.sensors:
        one = SensorFindings()
        _add(one, sample.frames[sensor.name], sensor)
        one.holes += sample.holes.get(sensor.name, 0)
        one.types[image_dtype(dataset.entry(split, sample.id).pair.frames[sensor.name])] = sample.id
        for found in splits:
            found.sensors[sensor.name].take(one)
    for found in splits:
        found.samples += 1
        if sample.label is not None:
            found.class_pixels += np.bincount(np.minimum(sample.label, classes).ravel(), minlength=classes + 1)


def _add(row: SensorFindings, pixels: npt.NDArray[Any], sensor: Sensor) -> None:
    holes = find_holes(pixels, sensor)
    valid = pixels if holes is None else pixels[~holes]
    row.sizes.add((pixels.shape[0], pixels.shape[1]))
    row.pixels += pixels[..., 0].size
    row.holes += 0 if holes is None else int(np.count_nonzero(holes.any(axis=2)))
    if valid.size:
        row.low, row.high = min(row.low, float(valid.min())), max(row.high, float(valid.max()))
    row.blank += int(valid.size == 0 or valid.min() == valid.max())
    row.small += int(valid.size > 0 and valid.max() <= 255 and bool((valid == np.rint(valid)).all()))


def _line(dataset: DataSet, sample: Sample, side: int) -> Picture:
    """One row of the sheet."""
    pictures = [viewable(frame) for frame in sample.frames.values()]
    if sample.label is not None:
        blank = np.full((*sample.label.shape, 3), 32, np.uint8)
        pictures += [
            overlaid(blank, sample.label, dataset.task.colours, 1.0),
            overlaid(pictures[0], sample.label, dataset.task.colours),
        ]
    return np.concatenate([np.pad(_shrunk(picture, side), ((0, 4), (0, 4), (0, 0))) for picture in pictures], axis=1)


def _shrunk(picture: Picture, side: int) -> Picture:
    """Nearest pixel; the longer side becomes `side`, the rest of the square stays black."""
    scale = side / max(picture.shape[:2])
    rows, columns = (
        np.minimum(((np.arange(max(1, round(length * scale))) + 0.5) / scale).astype(int), length - 1)
        for length in picture.shape[:2]
    )
    square = np.zeros((side, side, 3), np.uint8)
    square[: rows.size, : columns.size] = picture[rows[:, None], columns]
    return square
