"""Label pictures as class indices: checked indices, or the classes' colours turned into them; and class colours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dis2_edge.errors import DataError
from dis2_edge.task import Task

_PALETTE = (
    "#5b616b", "#d1495b", "#8fc93a", "#1b7f4f", "#f2c14e", "#3b8ea5", "#9b5de5", "#f78c6b", "#c9ada7", "#00b4d8",
)  # fmt: skip


def class_indices(
    labels: npt.NDArray[Any], task: Task, path: Path, nodata: float | None = None
) -> npt.NDArray[np.uint8]:
    """Labels HxW (indices) or HxWx3 (colours of the classes) as HxW uint8; DataError names `path` and what is no class.

    `path` is for the message only. `nodata`, what the file declares as no data, becomes `ignore` unless it is the index
    or the grey of a class: tools declare 0 without being asked, and the description knows better.
    """
    if labels.ndim == 3:
        return _from_colours(labels, task, path, nodata)
    if nodata is not None and not 0 <= nodata < len(task.classes):
        labels = np.where(labels == nodata, task.ignore, labels)
    seen = np.flatnonzero(np.bincount(labels.ravel())) if labels.dtype.kind == "u" else np.unique(labels)
    foreign = [int(index) for index in seen if not (0 <= index < len(task.classes) or index == task.ignore)]
    if foreign:
        raise DataError(
            f"{path}: class index {foreign[0]} on {int(np.count_nonzero(labels == foreign[0]))} pixels",
            expected=f"0..{len(task.classes) - 1} ({', '.join(task.classes)}) or {task.ignore} for ignore",
            mend="correct the labels, or classes and ignore of the description",
        )
    return labels.astype(np.uint8)


def palette(classes: int) -> tuple[str, ...]:
    """A `#rrggbb` for each of `classes`, for descriptions that state none."""
    return tuple(_PALETTE[index % len(_PALETTE)] for index in range(classes))


def rgb_of(colours: tuple[str, ...]) -> npt.NDArray[np.uint8]:
    """Kx3 uint8 of K `#rrggbb`."""
    return np.array([list(bytes.fromhex(colour.lstrip("#"))) for colour in colours], np.uint8).reshape(-1, 3)


def _from_colours(labels: npt.NDArray[Any], task: Task, path: Path, nodata: float | None) -> npt.NDArray[np.uint8]:
    indices = np.full(labels.shape[:2], 254 if task.ignore == 255 else 255, np.uint8)
    lost = indices.flat[0]
    packed = labels.astype(np.uint32) @ np.array([65536, 256, 1], np.uint32)
    if nodata is not None:
        indices[(labels == nodata).all(axis=2)] = task.ignore
    for index, colour in enumerate(task.colours):
        indices[packed == int(colour.lstrip("#"), 16)] = index
    foreign = np.count_nonzero(indices == lost)
    if foreign:
        colour = f"#{int(packed[indices == lost][0]):06x}"
        raise DataError(
            f"{path}: colour {colour} of no class ({foreign} pixels without one)",
            expected=", ".join(f"{name} {value}" for name, value in zip(task.classes, task.colours, strict=True)),
        )
    return indices
