"""Mask, confidence and pixels a class from logits in one pass: launcher, reference, cases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dis2_edge.errors import EngineError
from dis2_runtime.driver import Driver, Module, Stream
from dis2_runtime.engine import Answer
from dis2_runtime.kernels.launching import check_address, check_positive, cover, line_of
from dis2_runtime.kernels.proving import Case, Room, worst

THREADS = 256
BLOCKS_AN_SM = 8
MOST_CLASSES = 256
"""A mask is of bytes."""
_TYPES = {"float32": "f32", "float16": "f16"}


class Decide:
    """Launches `decide` for one shape of logits."""

    def __init__(
        self, driver: Driver, module: Module, classes: int, grid: tuple[int, int], dtype: npt.DTypeLike
    ) -> None:
        """`grid` is height and width; `dtype` is the logits', float32 or float16."""
        check_positive(classes=classes, height=grid[0], width=grid[1], pixels=grid[0] * grid[1])
        if classes > MOST_CLASSES or np.dtype(dtype).name not in _TYPES:
            found = f"{classes} classes in {np.dtype(dtype).name}"
            raise EngineError(found, expected=f"at most {MOST_CLASSES} in float32 or float16")
        self._driver, self._classes, self._pixels = driver, classes, grid[0] * grid[1]
        self._itemsize = np.dtype(dtype).itemsize
        kind = _TYPES[np.dtype(dtype).name]
        self._wide, self._narrow = (module.function(f"decide_{kind}_x{width}") for width in (4, 1))

    def launch(self, stream: Stream, logits: int, mask: int, confidence: int, counts: int) -> None:
        """Addresses of: logits (K, H, W); mask and confidence (H, W) uint8; counts (K,) int32, pixels a class."""
        wide = self._pixels % 4 == 0 and logits % (4 * self._itemsize) == 0 and (mask | confidence) % 4 == 0
        check_address("logits", logits, self._itemsize)
        check_address("counts", counts, 4)
        check_address("mask", mask, 1)
        check_address("confidence", confidence, 1)
        blocks = cover(self._pixels, THREADS * (4 if wide else 1))
        most = self._driver.device.multiprocessors * BLOCKS_AN_SM
        self._driver.fill(counts, 0, 4 * self._classes, stream)
        self._driver.launch(
            self._wide if wide else self._narrow,
            line_of(min(blocks, most)),
            (THREADS, 1, 1),
            4 * self._classes,
            stream,
            (logits, mask, confidence, counts, np.int32(self._classes), np.int32(self._pixels)),
        )


def answer_of(logits: npt.NDArray[Any]) -> Answer:
    """Mask and confidence from logits KxHxW; where they are not finite the confidence is 0."""
    with np.errstate(invalid="ignore", over="ignore"):
        wide = logits.astype(np.float32, copy=False)
        shares = np.exp(wide - wide.max(axis=0)).sum(axis=0)
    confidence = np.nan_to_num(255 / shares, nan=0.0, posinf=0.0) + 0.5
    return Answer(logits.argmax(axis=0).astype(np.uint8), confidence.astype(np.uint8))


@dataclass(frozen=True)
class _Shape:
    """One case: logits of that shape and type; `offset` moves every picture off its alignment."""

    classes: int
    grid: tuple[int, int]
    dtype: str = "float32"
    odd: bool = False
    """NaN, infinities and ties among the logits."""
    offset: int = 0
    """Elements by which the logits, and bytes by which the pictures, begin late."""


_SHAPES = (
    _Shape(1, (1, 1)),
    _Shape(2, (3, 5)),
    _Shape(5, (16, 20)),
    _Shape(5, (37, 91), odd=True),
    _Shape(7, (32, 36), "float16", odd=True),
    _Shape(3, (9, 11), "float16"),
    _Shape(6, (16, 16), offset=1),
    _Shape(256, (8, 9)),
)


def cases() -> Iterator[Case]:
    """`decide` against `answer_of`: equal masks and counts, confidences at most one step apart."""
    for shape in _SHAPES:
        grid = "x".join(map(str, shape.grid))
        extras = ", not finite and tied" * shape.odd + f", {shape.offset} off" * bool(shape.offset)
        yield Case("decide", f"{shape.classes} classes, {grid}, {shape.dtype}{extras}", _Run(shape))


@dataclass(frozen=True)
class _Run:
    shape: _Shape

    def __call__(self, room: Room) -> float:
        shape = self.shape
        logits = _logits(shape, room.random)
        late = shape.offset * logits.itemsize
        given = room.give(logits, late)
        outs = [room.take(shape.grid, np.uint8, shape.offset) for _ in range(2)]
        counts = room.take((shape.classes,), np.int32)
        kernel = Decide(room.driver, room.module, shape.classes, shape.grid, logits.dtype)
        kernel.launch(room.stream, given, outs[0].address, outs[1].address, counts.address)
        mask, confidence, found = (room.read(one) for one in (*outs, counts))
        expected = answer_of(logits)
        if not np.array_equal(mask, expected.mask):
            return worst()
        if not np.array_equal(found, np.bincount(expected.mask.ravel(), minlength=shape.classes)):
            return worst()
        return float(np.abs(confidence.astype(int) - expected.confidence.astype(int)).max())


def _logits(shape: _Shape, random: np.random.Generator) -> npt.NDArray[Any]:
    logits = (random.standard_normal((shape.classes, *shape.grid)) * 4).astype(shape.dtype)
    if shape.odd:
        flat = logits.reshape(shape.classes, -1)
        for step, value in ((3, np.nan), (5, np.inf), (7, -np.inf)):
            flat[step % shape.classes, ::step] = value
        flat[:, 1] = 2.5  # a tie is the first class's
        flat[:, 2] = -np.inf
        flat[:-1, 4::6] = -np.inf  # all but the last are out of the question
    return logits
