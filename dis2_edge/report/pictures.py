"""Make what sensors and networks give visible: frames stretched, masks in class colours, errors marked."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dis2_edge.sensors import Sensor
from dis2_edge.task import Task

Rgb = npt.NDArray[np.uint8]
"""HxWx3, 0-255."""
RIGHT, WRONG, UNKNOWN = (226, 230, 235), (200, 30, 60), (128, 134, 142)
_PERCENTILES = (1.0, 99.0)
_RAMPS: dict[str, tuple[tuple[float, tuple[int, int, int]], ...]] = {
    "height": (
        (0.0, (18, 22, 62)),
        (0.3, (32, 105, 140)),
        (0.6, (78, 175, 110)),
        (0.85, (235, 200, 80)),
        (1.0, (255, 245, 215)),
    ),
    "thermal": (
        (0.0, (8, 6, 22)),
        (0.3, (92, 22, 104)),
        (0.6, (206, 62, 62)),
        (0.85, (250, 168, 60)),
        (1.0, (255, 248, 205)),
    ),
}
"""Dark to light by kind of sensor, where a grey would hide small steps: blue, green and yellow for heights, as a
glowing iron for heat."""


def visible(frame: npt.NDArray[Any], sensor: Sensor) -> Rgb:
    """A frame HxWxC as colours, its 1 % to 99 % stretched over the whole range; holes come out as the lowest value.

    One channel is shown in grey, of heights and heat along a colour ramp; of two the mean, of more the first three.
    """
    values = frame.astype(np.float32)
    values = values[..., :3] if values.shape[2] >= 3 else values.mean(axis=2, keepdims=True)
    stretched = np.concatenate([_stretch(values[..., [channel]]) for channel in range(values.shape[2])], axis=2)
    if sensor.kind in _RAMPS and stretched.shape[2] == 1:
        return _along(_RAMPS[sensor.kind], stretched[..., 0])
    grey = (stretched * 255).astype(np.uint8)
    return grey if grey.shape[2] == 3 else np.repeat(grey, 3, axis=2)


def in_colours(mask: npt.NDArray[np.uint8], task: Task) -> Rgb:
    """A mask or label HxW in the task's colours; an index that is no class is grey."""
    palette = np.full((256, 3), UNKNOWN, np.uint8)
    for index, colour in enumerate(task.colours):
        palette[index] = tuple(bytes.fromhex(colour.lstrip("#")))
    return palette[mask]


def errors(mask: npt.NDArray[np.uint8], truth: npt.NDArray[np.uint8], task: Task) -> Rgb:
    """HxWx3: light where `mask` equals `truth`, red where not, grey where the truth is no class."""
    picture = np.full((*mask.shape, 3), RIGHT, np.uint8)
    picture[mask != truth] = WRONG
    picture[truth >= len(task.classes)] = UNKNOWN
    return picture


def error_share(mask: npt.NDArray[np.uint8], truth: npt.NDArray[np.uint8], classes: int) -> float:
    """Share (0..1) of the pixels with a known truth that the mask gets wrong; 0 where nothing is known."""
    known = truth < classes
    return float(np.mean(mask[known] != truth[known])) if known.any() else 0.0


def _stretch(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    finite = values[np.isfinite(values)]
    if not finite.size:
        return np.zeros_like(values)
    low, high = np.percentile(finite, _PERCENTILES)
    scaled = (np.nan_to_num(values, nan=low, posinf=high, neginf=low) - low) / max(high - low, 1e-6)
    clipped: npt.NDArray[np.float32] = np.clip(scaled, 0, 1).astype(np.float32)
    return clipped


def _along(ramp: tuple[tuple[float, tuple[int, int, int]], ...], values: npt.NDArray[np.float32]) -> Rgb:
    places = [place for place, _ in ramp]
    channels = [np.interp(values, places, [colour[channel] for _, colour in ramp]) for channel in range(3)]
    return np.stack(channels, axis=2).astype(np.uint8)
