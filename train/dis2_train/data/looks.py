"""How a batch looks at its images: straight, pixel for pixel; or bent by scale and rotation, which resamples.

Both show all sensors and the label at the same places. Bent, sensors are interpolated and labels take the nearest
pixel. A sensor's values stay what they are: a house seen at twice the size keeps its height in metres. Beyond the edge
of its image a view is filled: the label with the ignore index, a sensor with its mean, which is 0 once normalised.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from dis2_train.data.augment import Share, Views, image_places, per_view, pixel_places

Size = tuple[int, int]


@dataclass(frozen=True)
class Bends:
    """How each view of a batch is turned and enlarged about its middle; one entry an image."""

    angle: Tensor
    """(B,) float32: radians, from the columns' axis to the rows' axis."""
    factor: Tensor
    """(B,) float32: above 1 the ground looks larger."""

    def of(self, share: Share) -> Bends:
        """The bends of a share's rows."""
        return Bends(self.angle[share.rows], self.factor[share.rows])


def draw_bends(random: np.random.Generator, count: int, scale: float, rotate: float) -> Bends:
    """Draw `count` bends: angles up to `rotate` degrees, factors from 1 / (1 + scale) to 1 + scale, even in log."""
    turns, growths = random.uniform(-1, 1, (2, count))
    angle, factor = np.radians(rotate * turns), (1 + scale) ** growths
    return Bends(torch.from_numpy(angle.astype(np.float32)), torch.from_numpy(factor.astype(np.float32)))


class Straight:
    """Views that move pixels and change none."""

    def __init__(self, views: Views, images: Tensor, grid: Size, device: torch.device) -> None:
        self._places = pixel_places(views, images, grid, device)

    def frames(self, stack: Tensor) -> Tensor:
        """(B, C, h, w) float32 of a sensor's stack (N, H, W, C)."""
        return floats(self._gathered(stack))

    def labels(self, stack: Tensor, ignore: int) -> Tensor:
        """(B, h, w) of the labels' stack (N, H, W)."""
        return self._gathered(stack.unsqueeze(-1)).squeeze(-1)

    def filled(self, frames: Tensor) -> Tensor:
        """Normalised frames as they are, since a straight view never leaves its image."""
        return frames

    def _gathered(self, stack: Tensor) -> Tensor:
        rows = stack.reshape(-1, stack.shape[-1]).index_select(0, self._places.reshape(-1))
        return rows.reshape(*self._places.shape, -1)


class Bent:
    """Views that are turned and enlarged, each about its middle; pixels are resampled."""

    def __init__(self, views: Views, bends: Bends, images: Tensor, grid: Size, device: torch.device) -> None:
        self._images, self._grid = images.to(device), grid
        y, x = _turned(views, bends, device)
        inside = (y >= -0.5) & (y <= grid[0] - 0.5) & (x >= -0.5) & (x <= grid[1] - 0.5)
        self._y, self._x, self._outside = y, x, ~inside

    def frames(self, stack: Tensor) -> Tensor:
        """(B, C, h, w) float32 of a sensor's stack (N, H, W, C), bilinear; beyond the edge the outer pixels go on."""
        height, width = self._grid
        # grid_sample's -1 and 1 are the outer edges of the first and last pixels.
        grid = torch.stack([(2 * self._x + 1) / width - 1, (2 * self._y + 1) / height - 1], dim=-1)
        whole = floats(stack.index_select(0, self._images))
        return F.grid_sample(whole, grid, mode="bilinear", padding_mode="border", align_corners=False)

    def labels(self, stack: Tensor, ignore: int) -> Tensor:
        """(B, h, w) of the labels' stack (N, H, W), the nearest pixel; `ignore` beyond the edge."""
        rows = self._y.round().clamp(0, self._grid[0] - 1).long()
        columns = self._x.round().clamp(0, self._grid[1] - 1).long()
        places = (self._images.view(-1, 1, 1) * self._grid[0] + rows) * self._grid[1] + columns
        return (
            stack.reshape(-1).index_select(0, places.reshape(-1)).view(places.shape).masked_fill(self._outside, ignore)
        )

    def filled(self, frames: Tensor) -> Tensor:
        """Normalised frames (B, C, h, w) with 0, the sensor's mean, beyond the edge: after light and noise."""
        return frames.masked_fill_(self._outside.unsqueeze(1), 0.0)


def floats(pixels: Tensor) -> Tensor:
    """(B, H, W, C) as (B, C, H, W) float32, contiguous, so that all that follows reads memory in order."""
    return pixels.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)


def _turned(views: Views, bends: Bends, device: torch.device) -> tuple[Tensor, Tensor]:
    """Row and column (B, h, w) float32 in its image, between pixels too, for each pixel of the bent views."""
    y, x = (places.to(torch.float32) for places in image_places(views, device))
    middle_y = per_view(views.top, device) + (views.size[0] - 1) / 2
    middle_x = per_view(views.left, device) + (views.size[1] - 1) / 2
    angle, factor = per_view(bends.angle, device), per_view(bends.factor, device)
    across, down = torch.cos(angle) / factor, torch.sin(angle) / factor
    y, x = y - middle_y, x - middle_x
    return across * y + down * x + middle_y, across * x - down * y + middle_x
