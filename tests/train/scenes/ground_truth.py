"""Scenes whose true answer is known, written as GeoTIFFs, and a model with the borders of a convolution."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.transform import from_origin
from tiny_bundle import NDSM, RGB, ground, task_of

from dis2_edge.task import Task
from dis2_train.segmenters import Frames

TASK = task_of(RGB, NDSM, grid=(32, 48))
UTM = "EPSG:32633"
CORNER = (500_000.0, 5_400_000.0)
STEP = 0.5


def pixels_of(size: tuple[int, int], seed: int = 0) -> dict[str, np.ndarray]:
    """HxWxC of both sensors; strong enough that rounding decides no pixel."""
    random = np.random.default_rng(seed)
    return {sensor.name: ground(sensor, size, random) for sensor in TASK.sensors}


def write_geo(path: Path, pixels: np.ndarray, **changes: Any) -> Path:
    """HxWxC as a GeoTIFF in UTM, 0.5 m a pixel, tiled and compressed; `changes` go over the profile."""
    height, width, count = pixels.shape
    profile = {"driver": "GTiff", "height": height, "width": width, "count": count, "dtype": pixels.dtype}
    profile |= {"crs": UTM, "transform": from_origin(*CORNER, STEP, STEP), "compress": "deflate"}
    mask = changes.pop("mask", None)
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(path, "w", **{**profile, **changes}) as file:
        file.write(np.moveaxis(pixels, 2, 0))
        if mask is not None:
            file.write_mask(mask)
    return path


def write_pair(folder: Path, pixels: dict[str, np.ndarray], **changes: dict[str, Any]) -> dict[str, Path]:
    """One GeoTIFF a sensor; `changes` by sensor."""
    return {name: write_geo(folder / f"{name}.tif", array, **changes.get(name, {})) for name, array in pixels.items()}


def read_mask(path: Path) -> np.ndarray:
    """The mask HxW."""
    with rasterio.open(path) as file:
        found: np.ndarray = file.read(1)
    return found


@dataclass
class Smoother:
    """A segmenter that smooths over 9x9 pixels and puts zeros around its frame, as a padded convolution does."""

    task: Task = field(default_factory=lambda: task_of(NDSM, grid=(64, 64)))
    scenarios: tuple[str, ...] = ("ndsm",)
    label: str = "smoother"
    recipe_name: str = ""
    seed: int | None = None
    precision: str = "fp32"
    reach: int = 4
    calls: list[int] = field(default_factory=list)

    def many(self, frames: Frames, scenario: str) -> np.ndarray:
        """(B, 2, H, W)."""
        self.calls.append(len(frames["ndsm"]))
        return np.stack([self.answer(frame[..., 0]) for frame in frames["ndsm"]])

    def answer(self, height: np.ndarray) -> np.ndarray:
        """(2, H, W) of HxW."""
        padded = np.pad(height.astype(np.float64), self.reach)
        views = np.lib.stride_tricks.sliding_window_view(padded, (2 * self.reach + 1,) * 2)
        high = 1 / (1 + np.exp(-(views.mean((2, 3)) - 4)))
        return np.stack([1 - high, high]).astype(np.float32)
