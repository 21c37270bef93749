"""What the pixels of one frame say about its sensor: ok, wrong or garbage, from cheap statistics of a few thousand.

A picture that is dim, over-exposed or in fog stays ok while it has structure or faint noise: what says little is
garbage only when it is saturated (98 % of the values at one end) or flat. So a camera trained by day is not accused
at night.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy.typing as npt

from dis2_edge.glance import entropy_bits
from dis2_edge.sensors import Sensor
from dis2_edge.statistics import SensorStatistics
from dis2_runtime.health.glimpse import Glimpse

HOLES_MORE = 0.25
"""Share of holes above the largest of training that still passes."""
HOLES_MOST = 0.95
"""Share of holes that never passes."""
HOLES_UNTRAINED = 0.5
"""Share of holes that passes where training's is not known."""
LOUD_STD, LOUD_RANGE = 0.5, 0.1
"""Noise fainter than this share of training's standard deviation, or else of the valid range, is no fault."""
SPANS_OUT, STDS_OUT = 2.0, 1.0
"""A frame's mean may lie outside training's range of frame means by so many widths of it and standard deviations."""
CLIPPED = 0.05
"""Share of values at one end from which entropy says nothing: over-exposure piles them up there."""
BITS_OUT = 0.5
"""How far a frame's entropy may lie outside training's range, in bits."""


@dataclass(frozen=True)
class Verdict:
    """What a frame's content says."""

    state: Literal["ok", "paused", "stuck", "garbage", "wrong"]
    """The kind of fault, or ok."""
    reason: str = ""
    """Why, with the figures; empty when ok."""

    @property
    def good(self) -> bool:
        """Whether the frame may be used."""
        return self.state == "ok"


OK = Verdict("ok")
_WHITE = "white noise: neighbours differ like strangers ({:.2f})"
Range = tuple[float, float]
_ANY: Range = (-math.inf, math.inf)


class Inspector:
    """Looks into the frames of one sensor, one after the other, with the same buffers."""

    def __init__(self, sensor: Sensor, training: SensorStatistics | None = None) -> None:
        self.glimpse = Glimpse(sensor)
        """What was seen of the newest well-formed frame."""
        self._sensor, self._training, self._limits = sensor, training, sensor.health
        self._holes_most = _holes_most(sensor, training)
        self._means, self._entropies = _means(sensor, training), _entropies(sensor, training)
        self._loud = _loud(sensor, training)

    def inspect(self, pixels: npt.NDArray[Any]) -> Verdict:
        """Hold a native frame against the sensor's declaration and, where known, its statistics of training."""
        wrong = _wrong_form(pixels, self._sensor)
        if wrong:
            self.glimpse.forget()
            return Verdict("wrong", wrong)
        seen = self.glimpse
        seen.take(pixels)
        if seen.hole_share > self._holes_most:
            return self._holes()
        garbage = self._flat() or self._out_of_range() or self._noise()
        return Verdict("garbage", garbage) if garbage else OK

    def _holes(self) -> Verdict:
        share, nan, sensor = self.glimpse.hole_share, self.glimpse.nan_share(), self._sensor
        if nan >= share / 2:
            return Verdict("garbage", f"{nan:.0%} of values are NaN or infinite")
        ratio = 0.0 if nan else self.glimpse.noise_ratio_of_all()
        if ratio > self._limits.noise_ratio:
            return Verdict("garbage", _WHITE.format(ratio))
        span = f"{sensor.valid_min:g}..{sensor.valid_max:g} {sensor.unit}"
        return Verdict("wrong", f"{share:.0%} of values outside {span}")

    def _flat(self) -> str:
        """Why the frame tells nothing at all; empty when it tells something."""
        seen = self.glimpse
        if not math.isfinite(seen.std):
            return "values too large to average"
        for end, name in zip(seen.ends, ("at the lowest", "at the highest"), strict=False):
            if end in (seen.low, seen.high):
                share = seen.share_of(end)
                if share >= self._limits.saturated_share:
                    return f"{share:.0%} of values {name} number"
        if seen.low == seen.high and self._sensor.kind != "height":
            return f"every value is {seen.low:g}"
        return ""

    def _out_of_range(self) -> str:
        """Why mean or entropy are none that the sensor gives; empty when they may be."""
        seen, training = self.glimpse, self._training
        if not self._means[0] <= seen.mean <= self._means[1]:
            return f"mean {seen.mean:.4g}, expected {self._means[0]:.4g}..{self._means[1]:.4g}"
        if self._entropies == _ANY or (training is not None and not _as_trained(seen, training)):
            return ""
        if any(end in (seen.low, seen.high) and seen.share_of(end) > CLIPPED for end in seen.ends):
            return ""
        bits = entropy_bits(seen.some, seen.mean)
        if self._entropies[0] <= bits <= self._entropies[1]:
            return ""
        return f"entropy {bits:.2f} bits, expected {self._entropies[0]:.2f}..{self._entropies[1]:.2f}"

    def _noise(self) -> str:
        """That the frame is white noise, louder than a dark night's or a flat field's; empty when it is not."""
        if self.glimpse.channel_std < self._loud:
            return ""
        ratio = self.glimpse.noise_ratio()
        return _WHITE.format(ratio) if ratio > self._limits.noise_ratio else ""


def judge_content(pixels: npt.NDArray[Any], sensor: Sensor, training: SensorStatistics | None) -> Verdict:
    """The verdict on a single frame; see `Inspector` for many."""
    return Inspector(sensor, training).inspect(pixels)


def _wrong_form(pixels: npt.NDArray[Any], sensor: Sensor) -> str:
    """What is wrong with shape and dtype; empty when nothing is."""
    size = sensor.size if min(sensor.size) > 0 else pixels.shape[:2]
    if pixels.ndim != 3 or pixels.shape != (*size, sensor.channels) or min(pixels.shape) < 1:
        rows, columns = sensor.size if min(sensor.size) > 0 else ("any", "any")
        return f"frame of shape {'x'.join(map(str, pixels.shape))}, expected {rows}x{columns}x{sensor.channels}"
    if pixels.dtype != sensor.numpy_dtype:
        return f"values of type {pixels.dtype}, expected {sensor.dtype}"
    return ""


def _holes_most(sensor: Sensor, training: SensorStatistics | None) -> float:
    if sensor.health.hole_share is not None:
        return sensor.health.hole_share
    return HOLES_UNTRAINED if training is None else min(HOLES_MOST, HOLES_MORE + training.hole_share_high)


def _means(sensor: Sensor, training: SensorStatistics | None) -> Range:
    """Means that a good frame may have. What training saw binds no camera of visible light: night comes every day."""
    low, high = _ANY
    if training is not None and sensor.kind != "optical":
        slack = SPANS_OUT * (training.frame_mean_high - training.frame_mean_low)
        slack += STDS_OUT * sum(training.std) / len(training.std)
        low, high = training.frame_mean_low - slack, training.frame_mean_high + slack
    return _given(sensor.health.mean_low, low), _given(sensor.health.mean_high, high)


def _entropies(sensor: Sensor, training: SensorStatistics | None) -> Range:
    """Entropies that a good frame may have; heights may be as plain as they like."""
    low, high = _ANY
    if training is not None and sensor.kind != "height":
        low, high = training.frame_entropy_low - BITS_OUT, training.frame_entropy_high + BITS_OUT
    return _given(sensor.health.entropy_low, low), _given(sensor.health.entropy_high, high)


def _loud(sensor: Sensor, training: SensorStatistics | None) -> float:
    """The spread from which noise is the sensor's fault and not what faint ground looks like."""
    if sensor.health.loud_std is not None:
        return sensor.health.loud_std
    if training is None:
        return LOUD_RANGE * (sensor.valid_max - sensor.valid_min)
    return LOUD_STD * sum(training.std) / len(training.std)


def _as_trained(seen: Glimpse, training: SensorStatistics) -> bool:
    """Whether light and contrast are those of training: only then its entropy is a measure for the frame's."""
    bright = training.frame_mean_low <= seen.mean <= training.frame_mean_high
    return bright and training.frame_std_low <= seen.channel_std <= training.frame_std_high


def _given(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value
