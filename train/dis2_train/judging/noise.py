"""Noise for judging: the same grains for every network, drawn from the image's name alone.

The levels are those of the noisy-modality test of Liao et al., "Benchmarking Multi-modal Semantic Segmentation under
Sensor Failures" (arXiv 2503.18445, and the script of its evaluation): first salt and pepper on a share of all values,
then Gaussian noise in units of the normalised input, on every sensor at once. A sensor would give values of its own
type within its own range, so ours are clipped and rounded to those.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dis2_edge.errors import InternalError
from dis2_edge.sensors import Sensor

Pixels = npt.NDArray[Any]


@dataclass(frozen=True)
class Level:
    """How strong the noise is."""

    impulses: float
    """Share of the values, 0..1, that become the frame's largest (half of them) or smallest."""
    deviation: float
    """Standard deviation of the Gaussian part, in units of the sensor's own standard deviation."""


LEVELS = {"low": Level(0.05, 0.1), "mid": Level(0.1, 0.2), "high": Level(0.2, 0.5)}


def noisy(frame: Pixels, sensor: Sensor, level: str, id_: str) -> Pixels:
    """`frame` HxWxC of the sensor's dtype, without holes, under noise of `level`; same shape and dtype.

    The draws depend on the image's id, the sensor's name and the frame's shape only: a stronger level has the same
    grains, more of them and larger.
    """
    if not sensor.std:
        raise InternalError(f"sensor {sensor.name!r} carries no statistics to scale noise by")
    random = np.random.default_rng(_seed(id_, sensor.name))
    place = random.random(frame.shape, np.float32)
    grains = random.standard_normal(frame.shape, np.float32)
    strength = LEVELS[level]
    out = frame.astype(np.float32)
    out[place < strength.impulses / 2] = frame.max()
    out[place > 1 - strength.impulses / 2] = frame.min()
    out += grains * np.asarray(sensor.std, np.float32) * np.float32(strength.deviation)
    return _as_the_sensor_gives(out, sensor)


def _as_the_sensor_gives(values: npt.NDArray[np.float32], sensor: Sensor) -> Pixels:
    low, high = sensor.valid_min, sensor.valid_max
    if sensor.dtype == "float32":
        return np.clip(values, np.float32(low), np.float32(high))
    limits = np.iinfo(sensor.numpy_dtype)
    return np.rint(np.clip(values, max(low, limits.min), min(high, limits.max))).astype(sensor.numpy_dtype)


def _seed(id_: str, sensor: str) -> int:
    """A number from names that is the same in every process, which `hash` is not."""
    return int.from_bytes(hashlib.sha256(f"{sensor}\0{id_}".encode()).digest()[:16], "big")
