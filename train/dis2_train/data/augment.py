"""Augmentation of a batch on tensors: where its pixels come from (crop, flips, quarter turns), and what light does."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dis2_edge.sensors import Sensor

CONTRAST = 0.2
"""Largest relative change of contrast."""
BRIGHTNESS = 0.3
"""Largest change of brightness, in standard deviations of the sensor."""
NOISE = 0.05
"""Largest noise, in standard deviations of the sensor."""
BAD_FRAMES = 0.25
"""Share of the frames that `impulses` strikes, each sensor of an image for itself."""
GAUSS_PER_IMPULSE = 2.5
"""Deviation of the normal noise that comes with impulses, in standard deviations for each unit of their share."""


@dataclass(frozen=True)
class Share:
    """The rows of a batch that this process works on; its draws are those of the whole batch."""

    first: int
    """First row."""
    end: int
    """Row after the last."""
    of: int
    """Rows of the whole batch."""

    @property
    def rows(self) -> slice:
        """The rows, to index with."""
        return slice(self.first, self.end)

    @classmethod
    def of_rank(cls, count: int, rank: int, world: int) -> Share:
        """The rows of process `rank` of `world` in a batch of `count`, as even as they go."""
        return cls(count * rank // world, count * (rank + 1) // world, count)


@dataclass(frozen=True)
class Views:
    """How each image of a batch is looked at: one entry an image, the same for all sensors and the label."""

    top: Tensor
    """(B,) int64: first row of the crop."""
    left: Tensor
    """(B,) int64: first column of the crop."""
    upside_down: Tensor
    """(B,) bool: rows run backwards."""
    mirrored: Tensor
    """(B,) bool: columns run backwards."""
    turned: Tensor
    """(B,) bool: rows and columns change places; with the flips this gives all quarter turns."""
    size: tuple[int, int]
    """Height and width of the crop, in pixels."""

    def of(self, share: Share) -> Views:
        """The views of a share's rows."""
        rows = share.rows
        flips = self.upside_down[rows], self.mirrored[rows], self.turned[rows]
        return Views(self.top[rows], self.left[rows], *flips, size=self.size)


def draw_views(
    random: np.random.Generator, count: int, grid: tuple[int, int], size: tuple[int, int], augment: bool
) -> Views:
    """Draw `count` crops of `size` within `grid`; flips and turns only with `augment`, turns only of square crops."""
    top = random.integers(0, grid[0] - size[0] + 1, count)
    left = random.integers(0, grid[1] - size[1] + 1, count)
    coins = random.integers(0, 2, (3, count)).astype(bool) & augment
    coins[2] &= size[0] == size[1]
    crop = [torch.from_numpy(values) for values in (top, left)]
    down, across, turn = (torch.from_numpy(values) for values in coins)
    return Views(crop[0], crop[1], upside_down=down, mirrored=across, turned=turn, size=size)


def pixel_places(views: Views, images: Tensor, grid: tuple[int, int], device: torch.device) -> Tensor:
    """(B, h, w) int64: for each pixel of the views its place in a stack of images (N, H, W) read as one long row.

    `images` (B,) int64 says which image of the stack each view looks at.
    """
    y, x = image_places(views, device)
    return (per_view(images, device) * grid[0] + y) * grid[1] + x


def image_places(views: Views, device: torch.device) -> tuple[Tensor, Tensor]:
    """Row and column (B, h, w) int64 in its image, for each pixel of the views."""
    height, width = views.size
    rows = torch.arange(height, device=device).view(1, height, 1)
    columns = torch.arange(width, device=device).view(1, 1, width)
    turned = per_view(views.turned, device)
    y = torch.where(turned, columns, rows)
    x = torch.where(turned, rows, columns)
    y = torch.where(per_view(views.upside_down, device), height - 1 - y, y)
    x = torch.where(per_view(views.mirrored, device), width - 1 - x, x)
    return y + per_view(views.top, device), x + per_view(views.left, device)


def per_view(values: Tensor, device: torch.device) -> Tensor:
    """(B,) as (B, 1, 1) on `device`."""
    return values.to(device, non_blocking=True).view(-1, 1, 1)


def change_light(random: np.random.Generator, pixels: Tensor, sensor: Sensor, share: Share | None = None) -> Tensor:
    """Brightness and contrast of a sensor whose level says little, each image its own; stays in its valid range.

    `pixels` (B, C, H, W) float32 in the sensor's unit. These sensors are optical, or give digital numbers (unit DN),
    as a radar picture stretched for the eye does. What measures something absolute is left alone.
    """
    share = share or Share(0, len(pixels), len(pixels))
    contrast, brightness = random.uniform(-1, 1, (2, share.of)).astype(np.float32)[:, share.rows]
    if sensor.kind != "optical" and sensor.unit != "DN":
        return pixels
    middle, spread = float(np.mean(sensor.mean)), float(np.mean(sensor.std))
    gain = _per_image(1 + CONTRAST * contrast, pixels.device)
    shift = _per_image(np.float32(middle) + np.float32(BRIGHTNESS * spread) * brightness, pixels.device)
    return (pixels - middle).mul_(gain).add_(shift).clamp_(sensor.valid_min, sensor.valid_max)


def add_noise(random: np.random.Generator, pixels: Tensor, sensor: Sensor, share: Share | None = None) -> Tensor:
    """Normal noise on every sensor, each image with its own strength of 0..`NOISE` standard deviations."""
    share = share or Share(0, len(pixels), len(pixels))
    strength = _per_image(random.uniform(0, NOISE, share.of).astype(np.float32)[share.rows], pixels.device)
    generator = torch.Generator(pixels.device).manual_seed(int(random.integers(2**62)))
    noise = torch.randn((share.of, *pixels.shape[1:]), generator=generator, device=pixels.device)[share.rows]
    return noise.mul_(strength).mul_(per_channel(sensor.std, pixels.device)).add_(pixels)


def add_impulses(
    random: np.random.Generator, pixels: Tensor, sensor: Sensor, most: float, share: Share | None = None
) -> Tensor:
    """Salt and pepper with normal noise, as of a bad link or receiver, in a quarter of the frames.

    A struck frame loses up to `most` (0..1) of its values, one half to its largest value, one half to its smallest.
    """
    share = share or Share(0, len(pixels), len(pixels))
    struck, strength = random.random((2, share.of)).astype(np.float32)[:, share.rows]
    lost = _per_image(np.where(struck < BAD_FRAMES, most * strength, 0).astype(np.float32), pixels.device)
    generator = torch.Generator(pixels.device).manual_seed(int(random.integers(2**62)))
    shape = (share.of, *pixels.shape[1:])
    place = torch.rand(shape, generator=generator, device=pixels.device)[share.rows]
    grain = torch.randn(shape, generator=generator, device=pixels.device)[share.rows]
    noise = grain.mul_(lost * GAUSS_PER_IMPULSE).mul_(per_channel(sensor.std, pixels.device))
    high, low = pixels.amax((1, 2, 3), keepdim=True), pixels.amin((1, 2, 3), keepdim=True)
    pixels = torch.where(place < lost / 2, high, torch.where(place > 1 - lost / 2, low, pixels))
    return noise.add_(pixels)


@functools.lru_cache(maxsize=64)
def per_channel(values: tuple[float, ...], device: torch.device) -> Tensor:
    """`values` as float32 (1, C, 1, 1) on `device`, kept there: a copy each step would make the GPU wait."""
    return torch.tensor(values, dtype=torch.float32, device=device).view(1, -1, 1, 1)


def _per_image(values: npt.NDArray[np.float32], device: torch.device) -> Tensor:
    return torch.from_numpy(values).to(device, non_blocking=True).view(-1, 1, 1, 1)
