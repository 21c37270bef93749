"""Smooth random fields, and the small filters that scenes are made with; NumPy only, quick at any size."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Field = npt.NDArray[np.float32]
Rng = np.random.Generator


def value_noise(rng: Rng, shape: tuple[int, int], cell_px: float, octaves: int = 1) -> Field:
    """HxW float32 in 0..1: random grids of `cell_px` pixels a cell, enlarged; octaves halve cell and weight."""
    total: Field = np.zeros(shape, np.float32)
    weight, sum_of_weights = 1.0, 0.0
    for _ in range(octaves):
        total += np.float32(weight) * _enlarged(rng, shape, max(cell_px, 1.0))
        sum_of_weights += weight
        weight, cell_px = weight / 2, cell_px / 2
    return total / np.float32(sum_of_weights)


def grain(rng: Rng, shape: tuple[int, ...]) -> Field:
    """Independent normal values, mean 0 and deviation 1."""
    return rng.standard_normal(shape, dtype=np.float32)


def blur(pixels: Field, sigma_px: float) -> Field:
    """HxW or HxWxC blurred by a Gaussian of `sigma_px`; edges are repeated."""
    if sigma_px < 0.2:
        return pixels
    reach = max(1, int(2.5 * sigma_px + 0.5))
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma_px) ** 2).astype(np.float32)
    taps /= taps.sum()
    for axis in (0, 1):
        widths = [(reach, reach) if index == axis else (0, 0) for index in range(pixels.ndim)]
        padded = np.pad(pixels, widths, mode="edge")
        length = pixels.shape[axis]
        parts = (np.take(padded, range(start, start + length), axis) * tap for start, tap in enumerate(taps))
        pixels = np.sum(list(parts), axis=0, dtype=np.float32)
    return pixels


def shifted(pixels: npt.NDArray[np.float32], rows: int, columns: int) -> npt.NDArray[np.float32]:
    """HxW moved so that the value at (y, x) comes from (y + rows, x + columns); edges are repeated."""
    height, width = pixels.shape
    y = np.clip(np.arange(height) + rows, 0, height - 1)
    x = np.clip(np.arange(width) + columns, 0, width - 1)
    return pixels[y[:, None], x]


def _enlarged(rng: Rng, shape: tuple[int, int], cell_px: float) -> Field:
    cells = [int(np.ceil(length / cell_px)) + 2 for length in shape]
    grid = rng.random((cells[0], cells[1]), dtype=np.float32)
    offset = rng.random(2)
    down, across = (_weights(length, cell_px, start) for length, start in zip(shape, offset, strict=True))
    rows: Field = grid[down[0]] * (1 - down[1])[:, None] + grid[down[0] + 1] * down[1][:, None]
    smooth: Field = rows[:, across[0]] * (1 - across[1]) + rows[:, across[0] + 1] * across[1]
    return smooth


def _weights(length: int, cell_px: float, start: float) -> tuple[npt.NDArray[np.intp], Field]:
    """Lower grid index of each pixel, and the upper one's smooth weight."""
    place = np.arange(length) / cell_px + start
    low = np.floor(place).astype(np.intp)
    part = (place - low).astype(np.float32)
    return low, part * part * (3 - 2 * part)
