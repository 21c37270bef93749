"""The thermal camera: air before it, an uncooled sensor in it, counts out of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dis2_train.synth.noise import Field, Rng, blur, grain, value_noise

HUNDREDTHS = 100
"""Counts a kelvin."""
_DEAD = 0.0004


def counts(rng: Rng, heat: Field, air: Field | float) -> npt.NDArray[np.uint16]:
    """HxW centikelvin of `heat`, HxW kelvin: dulled by `air` on the way, blurred by the lens; dead pixels are 0.

    An uncooled camera adds what differs from pixel to pixel: an offset that no correction took away, warm or cold
    corners (its own housing), a slow drift over the picture, stripes of columns and rows, and noise of 0.04 to 0.12 K.
    """
    through = float(rng.uniform(0.88, 0.98))
    seen = blur(through * heat + (1 - through) * np.asarray(air, np.float32), float(rng.uniform(0.6, 1.2)))
    seen = seen + float(rng.normal(0, 1.0)) + float(rng.uniform(-0.5, 0.8)) * _corners(heat.shape)
    seen += 1.0 * (value_noise(rng, _two(heat.shape), max(heat.shape) / 2) - 0.5)
    seen += 0.06 * grain(rng, (1, heat.shape[1])) + 0.03 * grain(rng, (heat.shape[0], 1))
    seen += float(rng.uniform(0.04, 0.12)) * grain(rng, heat.shape)
    found: npt.NDArray[np.uint16] = np.rint(np.clip(seen, 223.15, 423.15) * HUNDREDTHS).astype(np.uint16)
    found[rng.random(heat.shape, dtype=np.float32) < _DEAD] = 0
    return found


def _corners(shape: tuple[Any, ...]) -> Field:
    """HxW, 0 in the middle and 1 in the corners; as far to every side as the shorter side is long."""
    y, x = (np.abs(np.arange(length) - (length - 1) / 2) / length * 2 for length in _two(shape))
    found: Field = ((y[:, None] ** 2 + x**2) / 2).astype(np.float32)
    return found


def _two(shape: tuple[Any, ...]) -> tuple[int, int]:
    return int(shape[0]), int(shape[1])
