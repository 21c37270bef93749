"""Batches: a split decoded once onto the grid, and sampling in which (seed, epoch, step) determines the batch."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dis2_edge.errors import DataError, RecipeError
from dis2_edge.recipe import Recipe
from dis2_edge.sensors import Sensor
from dis2_edge.task import Task
from dis2_edge.terminal import progress
from dis2_train.data.augment import Share, add_impulses, add_noise, change_light, draw_views, per_channel
from dis2_train.data.feeding import ahead
from dis2_train.data.looks import Bent, Straight, draw_bends, floats

if TYPE_CHECKING:
    from dis2_edge.dataset import DataSet

Pixels = npt.NDArray[Any]
Example = tuple[dict[str, Pixels], Pixels]
"""Frames HxWxC by sensor, and the label HxW, on the grid."""
Spares = Callable[[int], Iterator[int]]
"""Row of a batch -> the images to try in place of a damaged one."""
T = TypeVar("T")
IN_MEMORY_BYTES = 2 << 30
"""A larger split is read from disk again for every batch."""
_LEARNED = "train"
"""The split in which a few damaged images are done without."""
_ORDER_STREAM, _CUT_STREAM, _SPARE_STREAM, _BEND_STREAM = 0, 1, 3, 4
"""Keep apart: an epoch's order, a batch's crops and light, what replaces damaged images, scale and rotation."""
_DTYPES = {"uint8": torch.uint8, "uint16": torch.int32, "float32": torch.float32}


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
    """The images of a split: held decoded on `device` when they fit in `in_memory_bytes`, else read when asked for.

    A few damaged images of `train` are done without (`DataSet.read_or_skip`); those of any other split are an error,
    as scores must be of all that they say. `workers` threads read what is held, or what `whole_images` shows.
    """

    def __init__(
        self,
        data: DataSet,
        name: str,
        task: Task,
        device: torch.device,
        in_memory_bytes: int = IN_MEMORY_BYTES,
        workers: int = 0,
    ) -> None:
        self.name, self.task, self.device, self.workers = name, task, device, workers
        self.ids = tuple(data.ids(name)) if name in data.splits else ()
        if not self.ids:
            raise DataError(f"split {name!r} is empty", expected="one image or more", mend="see: dis2-edge data check")
        self._data = data
        self._places: dict[int, int] = {}
        self._held = self._hold() if len(self.ids) * _image_bytes(task) <= in_memory_bytes else None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def is_held(self) -> bool:
        """Whether all images lie decoded in memory."""
        return self._held is not None

    @property
    def damaged(self) -> tuple[str, ...]:
        """Ids of the damaged images that were met so far."""
        return self._data.damage.ids(self.name)

    def find(self, images: Sequence[int], spares: Spares | None = None) -> tuple[Stack, Tensor]:
        """A stack that holds `images`, and the place (B,) int64 of each of them in it.

        For a damaged image the first readable one of `spares(row)` is taken; without `spares` its row is left out.
        """
        rows = [itertools.chain((image,), spares(row) if spares else ()) for row, image in enumerate(images)]
        if self._held is not None:
            found = (_first(map(self._places.get, row)) for row in rows)
            return self._held, torch.tensor([place for place in found if place is not None], dtype=torch.int64)
        samples = (_first(map(self._sample, row)) for row in rows)
        stack = _stacked((sample for sample in samples if sample is not None), len(rows), self.task, self.device)
        return stack, torch.arange(len(stack.labels))

    def _hold(self) -> Stack:
        """All images that can be read, decoded once."""
        kept: list[int] = []

        def readable() -> Iterator[Example]:
            samples = ahead(self._sample, range(len(self)), self.workers)
            for image, sample in enumerate(progress(samples, f"read {self.name}", len(self))):
                if sample is not None:
                    kept.append(image)
                    yield sample

        stack = _stacked(readable(), len(self), self.task, self.device)
        self._places = {image: place for place, image in enumerate(kept)}
        return stack

    def _sample(self, image: int) -> Example | None:
        data, id_ = self._data, self.ids[image]
        found = data.read_or_skip(self.name, id_) if self.name == _LEARNED else data.read(self.name, id_)
        if found is None:
            return None
        sample = self._data.on_grid(found, self.task)
        if sample.label is None:
            raise DataError(
                f"{self.name}/{sample.id} has no label", expected="labels for every image that is learned from"
            )
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
        self._bends = recipe.augment and (recipe.scale > 0 or recipe.rotate > 0)

    def batch(self, epoch: int, step: int, rank: int = 0, world: int = 1) -> Batch:
        """Batch `step` of `epoch`: the rows of process `rank` of `world`, in order, as even as they can be shared.

        All processes draw for the whole batch and keep their rows, so together they have what one would have had.
        """
        chosen = self._order(epoch)[step * self.recipe.batch :][: self.recipe.batch] % len(self.split)
        share = Share.of_rank(len(chosen), rank, world)
        stack, places = self.split.find(
            chosen[share.rows].tolist(), lambda row: self._spares(epoch, step, share.first + row)
        )
        random = np.random.default_rng((self.recipe.seed, _CUT_STREAM, epoch, step))
        task, device = self.split.task, self.split.device
        views = draw_views(random, share.of, task.grid, self.size, self.recipe.augment).of(share)
        if not self._bends:
            return self._cut(stack, Straight(views, places, task.grid, device), random, share)
        apart = np.random.default_rng((self.recipe.seed, _BEND_STREAM, epoch, step))
        bends = draw_bends(apart, share.of, self.recipe.scale, self.recipe.rotate).of(share)
        return self._cut(stack, Bent(views, bends, places, task.grid, device), random, share)

    def _order(self, epoch: int) -> npt.NDArray[np.int64]:
        return _shuffled(self.recipe.seed, epoch, len(self.split) * self.recipe.crops_per_image)

    def _spares(self, epoch: int, step: int, row: int) -> Iterator[int]:
        """Other images for a row whose own is damaged, drawn from its place alone."""
        random = np.random.default_rng((self.recipe.seed, _SPARE_STREAM, epoch, step, row))
        while True:
            yield int(random.integers(len(self.split)))

    def _cut(self, stack: Stack, look: Straight | Bent, random: np.random.Generator, share: Share) -> Batch:
        frames = {}
        for sensor in self.split.task.sensors:
            pixels = look.frames(stack.frames[sensor.name])
            if self.recipe.augment:
                pixels = add_noise(random, change_light(random, pixels, sensor, share), sensor, share)
                if self.recipe.impulses:
                    pixels = add_impulses(random, pixels, sensor, self.recipe.impulses, share)
            frames[sensor.name] = look.filled(normalised(pixels, sensor))
        return Batch(frames, look.labels(stack.labels, self.split.task.ignore).long())


def whole_images(split: Split, batch: int, rank: int = 0, world: int = 1) -> Iterator[Batch]:
    """Every image of a split on its whole grid, in order, normalised, `batch` at a time; damaged ones left out.

    Process `rank` of `world` gets each `world`-th batch, and reads no other.
    """
    firsts = range(rank * batch, len(split), world * batch)
    chunks = (range(first, min(first + batch, len(split))) for first in firsts)
    # What is held is only cut out, which takes less time than handing it from thread to thread.
    batches = ahead(functools.partial(whole, split), chunks, 0 if split.is_held else split.workers)
    yield from (images for images in batches if len(images.target))


def whole(split: Split, images: Sequence[int]) -> Batch:
    """These images of a split on its whole grid, normalised; damaged ones left out."""
    stack, places = split.find(images)
    places = places.to(split.device)
    frames = {
        sensor.name: normalised(floats(stack.frames[sensor.name][places]), sensor) for sensor in split.task.sensors
    }
    return Batch(frames, stack.labels[places].long())


def normalised(pixels: Tensor, sensor: Sensor) -> Tensor:
    """(B, C, H, W) float32 in the sensor's unit to (pixels - mean) / std, contiguous; as `dis2_edge.prepare` does."""
    mean, std = (per_channel(values, pixels.device) for values in (sensor.mean, sensor.std))
    return (pixels - mean).div_(std).contiguous()


@functools.lru_cache(maxsize=4)
def _shuffled(seed: int, epoch: int, crops: int) -> npt.NDArray[np.int64]:
    """The order of an epoch's crops; kept, as all its steps ask for it."""
    return np.random.default_rng((seed, _ORDER_STREAM, epoch)).permutation(crops)


def _first(found: Iterable[T | None]) -> T | None:
    return next((one for one in found if one is not None), None)


def _stacked(samples: Iterable[Example], count: int, task: Task, device: torch.device) -> Stack:
    """Up to `count` samples, each laid straight into its place, so that memory holds them once."""
    frames = {
        sensor.name: torch.empty((count, *task.grid, sensor.channels), dtype=_DTYPES[sensor.dtype])
        for sensor in task.sensors
    }
    labels = torch.empty((count, *task.grid), dtype=torch.uint8)
    held = 0
    for pixels, label in samples:
        for name, stack in frames.items():
            stack[held].numpy()[...] = pixels[name]
        labels[held].numpy()[...] = label
        held += 1
    return Stack({name: stack[:held].to(device) for name, stack in frames.items()}, labels[:held].to(device))


def _image_bytes(task: Task) -> int:
    return task.grid[0] * task.grid[1] * (1 + sum(s.channels * _DTYPES[s.dtype].itemsize for s in task.sensors))
