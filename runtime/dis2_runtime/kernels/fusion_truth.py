"""What fusion_attention should answer, what half precision would make of it, and how far bytes may lead astray."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

HEAD = 32
"""Size of a head; the kernels know no other."""
KEYS = 64
"""Keys of a tile: so many share a scale where keys are bytes."""

Array = npt.NDArray[Any]


def exact_of(q: Array, k: Array, v: Array, heads: int) -> Array:
    """The answer in double precision, (B, N, width) float64."""
    with np.errstate(all="ignore"):
        q, k, v = (_by_head(part.astype(np.float64), heads) for part in (q, k, v))
        scores = q @ k.swapaxes(2, 3) / math.sqrt(HEAD)  # (B, heads, N, M)
        weights = np.exp(scores - scores.max(axis=3, keepdims=True))
        return _joined(weights @ v / weights.sum(axis=3, keepdims=True))


def naive_of(q: Array, k: Array, v: Array, heads: int) -> Array:
    """The same with everything that is written between two steps rounded to half: what our error is measured by."""
    with np.errstate(all="ignore"):
        q, k, v = (_by_head(part.astype(np.float32), heads) for part in (q, k, v))
        scores = _half(_half(q @ k.swapaxes(2, 3)) / np.float32(math.sqrt(HEAD)))
        weights = _half(np.exp(_half(scores - scores.max(axis=3, keepdims=True))))
        return _joined(_half(_half(weights @ v) / _half(weights.sum(axis=3, keepdims=True))))


def qk8_of(q: Array, k: Array, v: Array, heads: int) -> Array:
    """The exact answer for queries and keys that were rounded to bytes as the kernels round them."""
    return exact_of(_as_bytes(q, heads, 1)[0], _as_bytes(k, heads, KEYS)[0], v, heads)


def qk8_bound(q: Array, k: Array, v: Array, heads: int) -> Array:
    """How far qk8_of may be from exact_of, (B, N, width): half a step for every number of a query and of a key.

    A score is wrong by e at most, so a weight by a factor of exp(+-2 e), and the answer by (exp(2 e) - 1) |v| weighted.
    """
    with np.errstate(all="ignore"):
        (_, q_step), (k_near, k_step) = _as_bytes(q, heads, 1), _as_bytes(k, heads, KEYS)
        q_sum, k_sum = (_by_head(np.abs(part.astype(np.float64)), heads).sum(axis=3) for part in (q, k_near))
        q_half, k_half = (_by_head(part, heads)[..., 0] / 2 for part in (q_step, k_step))  # (B, heads, rows)
        wrong = (q_half[..., None] * k_sum[:, :, None] + q_sum[..., None] * k_half[:, :, None]) / math.sqrt(HEAD)
        most = np.expm1(2 * wrong.max(axis=3))[..., None]
        bound = _joined(most * _by_head(exact_of(q, k, np.abs(v), heads), heads))
        widest = 2 * np.nanmax(np.abs(v.astype(np.float64)))
        return np.asarray(np.fmin(bound, widest))  # both answers lie among the values


def allowed_of(q: Array, k: Array, v: Array, heads: int) -> float:
    """Twice the naive answer's largest error, and never less than one rounding of the largest number to half."""
    exact, naive = exact_of(q, k, v, heads), naive_of(q, k, v, heads)
    with np.errstate(invalid="ignore"):
        error, size = np.abs(naive - exact), np.abs(exact)
    usable = np.isfinite(naive) & np.isfinite(exact)
    largest = float(size[np.isfinite(exact)].max(initial=0.0))
    return max(2 * float(error[usable].max(initial=0.0)), largest * 2.0**-11, 2.0**-24)


def _by_head(part: Array, heads: int) -> Array:
    return part.reshape(*part.shape[:2], heads, -1).swapaxes(1, 2)  # (B, heads, rows, HEAD)


def _joined(part: Array) -> Array:
    return part.swapaxes(1, 2).reshape(part.shape[0], part.shape[2], -1)


def _half(values: Array) -> Array:
    return values.astype(np.float16).astype(np.float32)


def _as_bytes(part: Array, heads: int, tile: int) -> tuple[Array, Array]:
    """`part` rounded to 255 steps a head and `tile` rows, and the step of each number."""
    split = part.astype(np.float32).reshape(*part.shape[:2], heads, HEAD)
    most = np.abs(split).max(axis=3, keepdims=True)  # (B, rows, heads, 1)
    for first in range(0, part.shape[1], tile):
        rows = slice(first, first + tile)
        most[:, rows] = most[:, rows].max(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        step = np.maximum(most, np.float32(6e-8)) / np.float32(127)
        near = np.rint(split * (np.float32(1) / step)) * step.astype(np.float64)
    return near.reshape(part.shape), np.broadcast_to(step, split.shape).reshape(part.shape).astype(np.float64)
