"""Batches: a split decoded once onto the grid, and sampling in which (seed, epoch, step) determines the batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dis2_edge.errors import DataError, RecipeError
from dis2_edge.recipe import Recipe
from dis2_edge.sensors import Sensor
from dis2_edge.task import Task
from dis2_edge.terminal import progress
from dis2_train.augment import add_noise, change_light, draw_views, per_channel, pixel_places

if TYPE_CHECKING:
    from dis2_edge.dataset import DataSet

Pixels = npt.NDArray[Any]
IN_MEMORY_BYTES = 2 << 30
"""A larger split is read from disk again for every batch."""
_ORDER_STREAM, _CUT_STREAM = 0, 1
"""Keep the draws of an epoch's order apart from those of a batch's crops and light."""


@dataclass(frozen=True)
class Stack:
    """Images on the grid, in each sensor's native type (uint16 as int32, which every device can index)."""

    frames: dict[str, Tensor]
    """(N, H, W, C) by sensor name."""
    labels: Tensor
    """(N, H, W) uint8: class index, or the task's ignore index."""


@dataclass(frozen=True)
class Batch:
    """What a network is given."""

    frames: dict[str, Tensor]
    """(B, C, H, W) float32, normalised, by sensor name."""
    target: Tensor
    """(B, H, W) int64: class index, or the task's ignore index."""


class Split:
    """The images of a split: held decoded on `device` when they fit in `in_memory_bytes`, else read when asked for."""

    def __init__(
        self, data: DataSet, name: str, task: Task, device: torch.device, in_memory_bytes: int = IN_MEMORY_BYTES
    ) -> None:
        self.name, self.task, self.device = name, task, device
        self.ids = tuple(data.ids(name)) if name in data.splits else ()
        if not self.ids:
            raise DataError(f"split {name!r} is empty", expected="one image or more", mend="see: dis2-edge data check")
        self._data = data
        fits = len(self.ids) * _image_bytes(task) <= in_memory_bytes
        self._held = self._read(progress(self.ids, f"read {name}", len(self.ids))) if fits else None

    def __len__(self) -> int:
        return len(self.ids)

    def find(self, images: Sequence[int]) -> tuple[Stack, Tensor]:
        """A stack that holds `images`, and the place (B,) int64 of each of them in it."""
        if self._held is not None:
            return self._held, torch.tensor(images, dtype=torch.int64)
        return self._read(self.ids[image] for image in images), torch.arange(len(images))

    def _read(self, ids: Iterator[str]) -> Stack:
        samples = [self._sample(name) for name in ids]
        frames = {
            sensor.name: _tensor([frames[sensor.name] for frames, _ in samples]).to(self.device)
            for sensor in self.task.sensors
        }
        return Stack(frames, _tensor([label for _, label in samples]).to(self.device))

    def _sample(self, name: str) -> tuple[dict[str, Pixels], Pixels]:
        sample = self._data.on_grid(self._data.read(self.name, name), self.task)
        if sample.label is None:
            raise DataError(f"{self.name}/{name} has no label", expected="labels for every image that is learned from")
        return sample.frames, sample.label


class Sampler:
    """Random crops of a split, augmented. Every draw comes from (recipe.seed, epoch, step), so a run can be resumed."""

    def __init__(self, split: Split, recipe: Recipe) -> None:
        self.split, self.recipe = split, recipe
        grid = split.task.grid
        self.size = (recipe.crop, recipe.crop) if recipe.crop else grid
        if recipe.seed < 0:
            raise RecipeError(f"seed is {recipe.seed}", expected="0 or more")
        if recipe.crop > min(grid):
            raise RecipeError(f"crop is {recipe.crop}", expected=f"at most the grid, {grid[0]} x {grid[1]} pixels")
        self.steps = max(1, len(split) * recipe.crops_per_image // recipe.batch)
        """Batches an epoch; a last partial batch is dropped unless it is the only one."""

    def batch(self, epoch: int, step: int) -> Batch:
        """Batch `step` of `epoch`."""
        chosen = self._order(epoch)[step * self.recipe.batch :][: self.recipe.batch] % len(self.split)
        random = np.random.default_rng((self.recipe.seed, _CUT_STREAM, epoch, step))
        stack, places = self.split.find(chosen.tolist())
        return self._cut(stack, places, random)

    def _order(self, epoch: int) -> npt.NDArray[np.int64]:
        random = np.random.default_rng((self.recipe.seed, _ORDER_STREAM, epoch))
        return random.permutation(len(self.split) * self.recipe.crops_per_image)

    def _cut(self, stack: Stack, images: Tensor, random: np.random.Generator) -> Batch:
        task, device = self.split.task, self.split.device
        views = draw_views(random, len(images), task.grid, self.size, self.recipe.augment)
        places = pixel_places(views, images, task.grid, device)
        frames = {}
        for sensor in task.sensors:
            pixels = _gather(stack.frames[sensor.name], places).permute(0, 3, 1, 2).float()  # (B, C, h, w)
            if self.recipe.augment:
                pixels = add_noise(random, change_light(random, pixels, sensor), sensor)
            frames[sensor.name] = normalised(pixels, sensor)
        return Batch(frames, _gather(stack.labels.unsqueeze(-1), places).squeeze(-1).long())


def whole_images(split: Split, batch: int) -> Iterator[Batch]:
    """Every image of a split on its whole grid, in order, normalised, `batch` at a time."""
    for first in range(0, len(split), batch):
        stack, places = split.find(range(first, min(first + batch, len(split))))
        places = places.to(split.device)
        frames = {
            sensor.name: normalised(stack.frames[sensor.name][places].permute(0, 3, 1, 2).float(), sensor)
            for sensor in split.task.sensors
        }
        yield Batch(frames, stack.labels[places].long())


def normalised(pixels: Tensor, sensor: Sensor) -> Tensor:
    """(B, C, H, W) float32 in the sensor's unit to (pixels - mean) / std, contiguous; as `dis2_edge.prepare` does."""
    mean, std = (per_channel(values, pixels.device) for values in (sensor.mean, sensor.std))
    return ((pixels - mean) / std).contiguous()


def _gather(stack: Tensor, places: Tensor) -> Tensor:
    """The pixels (B, h, w, C) at `places` (B, h, w) of a stack (N, H, W, C)."""
    return stack.reshape(-1, stack.shape[-1]).index_select(0, places.reshape(-1)).reshape(*places.shape, -1)


def _tensor(arrays: Sequence[Pixels]) -> Tensor:
    stacked = np.stack(arrays)
    return torch.from_numpy(stacked.astype(np.int32) if stacked.dtype == np.uint16 else stacked)


def _image_bytes(task: Task) -> int:
    sizes = {"uint8": 1, "uint16": 4, "float32": 4}
    return task.grid[0] * task.grid[1] * (1 + sum(s.channels * sizes[s.dtype] for s in task.sensors))
