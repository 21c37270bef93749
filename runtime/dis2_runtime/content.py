"""What the pixels of one frame say about its sensor: ok, wrong or garbage, from cheap statistics of a few thousand."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from dis2_edge.sensors import Sensor
from dis2_edge.statistics import SensorStatistics

LOOKS = 48
"""Rows and columns that are looked at, at most, spread over the frame."""
HOLES_MORE = 0.25
"""Share of holes above the largest of training that still passes."""
HOLES_MOST = 0.95
"""Share of holes that never passes."""
SATURATED_MOST = 0.98
"""Share of values at one end of the number range from which a frame says nothing."""
NOISE_RATIO = 1.8
"""Mean squared step between neighbours over the variance: 2 for white noise, far less for ground seen from above."""
LOUD_STD, LOUD_RANGE = 0.5, 0.1
"""Noise fainter than this share of training's standard deviation, or else of the valid range, is no fault."""
SPANS_OUT = 2.0
"""How many widths of training's range of frame means a frame's mean may lie outside of it."""


@dataclass(frozen=True)
class Verdict:
    """What a frame's content says."""

    state: Literal["ok", "stuck", "garbage", "wrong"]
    """The kind of fault, or ok."""
    reason: str = ""
    """Why, with the figures; empty when ok."""

    @property
    def good(self) -> bool:
        """Whether the frame may be used."""
        return self.state == "ok"


OK = Verdict("ok")


def judge_content(pixels: npt.NDArray[Any], sensor: Sensor, training: SensorStatistics | None) -> Verdict:
    """Hold a native frame against the sensor's declaration and, where they are known, its statistics of training."""
    wrong = _wrong_form(pixels, sensor)
    if wrong:
        return Verdict("wrong", wrong)
    sample = _sample(pixels)  # (rows, pairs, 2, C) float32: each pixel with its right-hand neighbour
    valid = (sample >= sensor.valid_min) & (sample <= sensor.valid_max)
    holes = 1.0 - np.count_nonzero(valid) / valid.size
    limit = min(HOLES_MOST, HOLES_MORE + (training.hole_share_high if training else 0.5 - HOLES_MORE))
    if holes > limit:
        return _holes(sample, holes, sensor)
    garbage = _garbage(sample, valid, pixels.dtype, sensor, training)
    return Verdict("garbage", garbage) if garbage else OK


def _wrong_form(pixels: npt.NDArray[Any], sensor: Sensor) -> str:
    """What is wrong with shape and dtype; empty when nothing is."""
    size = sensor.size if min(sensor.size) > 0 else pixels.shape[:2]
    if pixels.ndim != 3 or pixels.shape != (*size, sensor.channels) or min(pixels.shape) < 1:
        rows, columns = sensor.size if min(sensor.size) > 0 else ("any", "any")
        return f"frame of shape {'x'.join(map(str, pixels.shape))}, expected {rows}x{columns}x{sensor.channels}"
    if pixels.dtype != sensor.numpy_dtype:
        return f"values of type {pixels.dtype}, expected {sensor.dtype}"
    return ""


def _sample(pixels: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    rows, columns = max(1, pixels.shape[0] // LOOKS), max(2, pixels.shape[1] // LOOKS)
    left = pixels[::rows, : pixels.shape[1] - 1 : columns] if pixels.shape[1] > 1 else pixels[::rows]
    right = pixels[::rows, 1::columns] if pixels.shape[1] > 1 else left
    return np.stack([left, right], axis=2).astype(np.float32)


def _holes(sample: npt.NDArray[np.float32], share: float, sensor: Sensor) -> Verdict:
    nan = 1.0 - np.count_nonzero(np.isfinite(sample)) / sample.size
    if nan >= share / 2:
        return Verdict("garbage", f"{nan:.0%} of values are NaN or infinite")
    return Verdict("wrong", f"{share:.0%} of values outside {sensor.valid_min:g}..{sensor.valid_max:g} {sensor.unit}")


def _garbage(
    sample: npt.NDArray[np.float32],
    valid: npt.NDArray[np.bool_],
    dtype: np.dtype[Any],
    sensor: Sensor,
    training: SensorStatistics | None,
) -> str:
    """Why the valid values of a well-formed frame mean nothing; empty when they may mean something."""
    values = sample[valid]
    mean, spread = float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64))
    if not math.isfinite(spread):
        return "values too large to average"
    if dtype.kind == "u":
        for end, name in ((np.iinfo(dtype).min, "at the lowest"), (np.iinfo(dtype).max, "at the highest")):
            share = np.count_nonzero(values == end) / values.size
            if share >= SATURATED_MOST:
                return f"{share:.0%} of values {name} number"
    if spread == 0.0 and sensor.kind != "height":
        return f"every value is {mean:g}"
    if training is not None and _far_out(mean, training):
        return f"mean {mean:.4g}, in training {training.frame_mean_low:.4g}..{training.frame_mean_high:.4g}"
    if spread < _loud(sensor, training):
        return ""  # a dark night and a flat field are faint noise, and rightly so
    both = valid.all(axis=2)
    steps = sample[:, :, 1][both] - sample[:, :, 0][both]
    if not steps.size:
        return ""
    ratio = float(np.square(steps, dtype=np.float64).mean()) / (_variance(sample, valid) or math.inf)
    return f"white noise: neighbours differ like strangers ({ratio:.2f})" if ratio > NOISE_RATIO else ""


def _loud(sensor: Sensor, training: SensorStatistics | None) -> float:
    """The spread from which noise is the sensor's fault and not what faint ground looks like."""
    if training is None:
        return LOUD_RANGE * (sensor.valid_max - sensor.valid_min)
    return LOUD_STD * sum(training.std) / len(training.std)


def _far_out(mean: float, training: SensorStatistics) -> bool:
    slack = SPANS_OUT * (training.frame_mean_high - training.frame_mean_low)
    return not training.frame_mean_low - slack <= mean <= training.frame_mean_high + slack


def _variance(sample: npt.NDArray[np.float32], valid: npt.NDArray[np.bool_]) -> float:
    """Mean over the channels of each channel's variance, holes left out."""
    variances = [
        float(sample[..., channel][valid[..., channel]].var(dtype=np.float64))
        for channel in range(sample.shape[3])
        if valid[..., channel].any()
    ]
    return sum(variances) / len(variances)
