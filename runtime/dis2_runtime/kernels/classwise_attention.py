"""Class maps out of F4 and K queries in two passes: launcher, reference, cases."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from dis2_edge.errors import EngineError
from dis2_runtime.driver import Driver, Module, Stream
from dis2_runtime.kernels.launching import check_address, check_positive, cover
from dis2_runtime.kernels.proving import Case, Room, excess

Layout = Literal["chw", "hwc"]
"""Order of a picture's axes in memory: channels first, as ONNX has them, or last, as TensorRT's convolutions may."""
THREADS = 256
TILE, ROWS = 32, 16
"""Places and classes of a block of the first launch."""
STRIDES = {"chw": TILE + 4, "hwc": TILE + 8}
"""Floats from class to class in its shared memory."""
LONG, SHORT, TURNED = 64, 32, 66
"""Tile of the second launch along the maps' contiguous axis and across it; halves of a row of the turned tile."""
MOST_CLASSES = 128
"""Their weights have to fit into 48 KB of shared memory, 256 bytes each, beside a tile."""
MOST_BATCH = 65_535
"""A grid has no more blocks along y."""


class ClasswiseAttention:
    """Launches `classwise_attention` for one shape of F4."""

    def __init__(
        self,
        driver: Driver,
        module: Module,
        shape: tuple[int, int, int, int],
        classes: int,
        *,
        f4_layout: Layout = "chw",
        maps_layout: Layout = "chw",
    ) -> None:
        """`shape` is F4's (B, C, h, w), whatever its layout; F4, queries and maps are float16."""
        batch, channels, height, width = shape
        check_positive(batch=batch, channels=channels, height=height, width=width, classes=classes)
        check_positive(places=height * width)
        if classes > MOST_CLASSES or batch > MOST_BATCH:
            raise EngineError(
                f"{classes} classes of {batch} pictures", expected=f"at most {MOST_CLASSES} of {MOST_BATCH}"
            )
        for layout in (f4_layout, maps_layout):
            if layout not in get_args(Layout):
                raise EngineError(f"layout {layout!r}", expected=" or ".join(get_args(Layout)))
        self._driver, self._batch, self._channels, self._classes = driver, batch, channels, classes
        self._places, self._layouts = height * width, (f4_layout, maps_layout)
        self._scores = {wide: module.function(f"classwise_scores_{f4_layout}_x{wide}") for wide in (8, 1)}
        self._maps = {wide: module.function(f"classwise_maps_{f4_layout}_{maps_layout}_x{wide}") for wide in (8, 1)}

    @property
    def workspace_bytes(self) -> int:
        """Bytes that a launch needs beside its inputs and outputs; what they hold does not matter."""
        return self._parts_bytes + 4 * self._batch * self._classes * self._places

    def launch(self, stream: Stream, f4: int, queries: int, maps: int, workspace: int) -> None:
        """Addresses of: F4 (B, C, h, w) or (B, h, w, C); queries (K, C); maps (B K, C, h, w) or (B K, h, w, C)."""
        for name, address in (("f4", f4), ("queries", queries), ("maps", maps)):
            check_address(name, address, 2)
        check_address("workspace", workspace, 8)
        wide = 8 if self._is_wide(f4 | queries | maps) else 1
        scores = workspace + self._parts_bytes
        sizes = (np.int32(self._classes), np.int32(self._channels), np.int32(self._places))
        self._driver.launch(
            self._scores[wide],
            (cover(self._places, TILE), self._batch, cover(self._classes, ROWS)),
            (THREADS, 1, 1),
            4 * THREADS // 32 * ROWS * STRIDES[self._layouts[0]],
            stream,
            (f4, queries, scores, workspace, *sizes),
        )
        self._driver.launch(
            self._maps[wide],
            (self._tiles(), self._batch, 1),
            (THREADS, 1, 1),
            self._maps_shared(),
            stream,
            (f4, scores, workspace, maps, *sizes),
        )

    @property
    def _parts_bytes(self) -> int:
        """A pair of floats a class, picture and block of the first launch."""
        return 8 * self._batch * self._classes * cover(self._places, TILE)

    def _is_wide(self, addresses: int) -> bool:
        """Whether every row of every array begins at a multiple of 16 bytes."""
        rows = self._channels if self._layouts == ("hwc", "hwc") else self._channels | self._places
        return (rows % 8, addresses % 16) == (0, 0)

    def _tiles(self) -> int:
        along, across = self._places, self._channels
        if self._layouts[1] == "hwc":
            along, across = across, along
        return cover(along, LONG) * cover(across, SHORT)

    def _maps_shared(self) -> int:
        weights = 4 * self._classes * (SHORT if self._layouts[1] == "hwc" else LONG)
        return weights + (2 * SHORT * TURNED if self._layouts[0] != self._layouts[1] else 0)


def maps_of(f4: npt.NDArray[Any], queries: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Class maps (B K, C, h, w) of F4 (B, C, h, w) and queries (K, C), in float64.

    A score that is NaN or +infinity makes all of its map NaN.
    """
    batch, channels, *grid = f4.shape
    places = f4.reshape(batch, channels, -1).astype(np.float64)  # (B, C, N)
    with np.errstate(invalid="ignore", over="ignore"):
        scores = queries.astype(np.float64) @ places / math.sqrt(channels)  # (B, K, N)
        shares = np.exp(scores - scores.max(axis=2, keepdims=True))
        weights = shares / shares.sum(axis=2, keepdims=True) * places.shape[2]
        maps: npt.NDArray[np.float64] = weights[:, :, None] * places[:, None]  # (B, K, C, N)
    return maps.reshape(-1, channels, *grid)


def naive_maps_of(f4: npt.NDArray[Any], queries: npt.NDArray[Any]) -> npt.NDArray[np.float16]:
    """The same with every intermediate rounded to half, sums of products once: the error that a kernel is held to."""
    batch, channels, *grid = f4.shape
    places = f4.reshape(batch, channels, -1).astype(np.float16)
    with np.errstate(invalid="ignore", over="ignore"):
        products = queries.astype(np.float32) @ places.astype(np.float32)
        scores = products.astype(np.float16) * np.float16(channels**-0.5)
        shares = np.exp(scores - scores.max(axis=2, keepdims=True))
        total = shares.astype(np.float32).sum(axis=2, keepdims=True).astype(np.float16)
        weights = shares / total * np.float16(places.shape[2])
        maps: npt.NDArray[np.float16] = weights[:, :, None] * places[:, None]
    return maps.reshape(-1, channels, *grid)


@dataclass(frozen=True)
class _Shape:
    """One case; `offset` moves all arrays by so many bytes off their alignment."""

    shape: tuple[int, int, int, int]
    classes: int
    layouts: tuple[Layout, Layout] = ("chw", "chw")
    offset: int = 0
    loud: float = 1.0
    """By what the queries are multiplied: much, and the softmax picks one place."""
    nan: bool = False
    """A NaN in the last picture's F4, which must not reach the others' maps."""
    infinite: bool = False
    """A whole tile of infinities in F4, of the sign that makes the first class's scores the least."""


_SHAPES = (
    _Shape((1, 8, 1, 1), 1),
    _Shape((2, 24, 5, 7), 3),
    _Shape((1, 72, 8, 9), 5),
    _Shape((1, 264, 2, 4), 2),
    _Shape((1, 16, 3, 24), 18, loud=400.0),
    _Shape((1, 72, 8, 9), 5, ("chw", "hwc")),
    _Shape((1, 40, 3, 11), 9, ("hwc", "hwc")),
    _Shape((2, 24, 8, 9), 2, ("hwc", "chw")),
    _Shape((1, 40, 5, 7), 2, ("hwc", "chw")),
    _Shape((1, 24, 8, 5), 2, ("chw", "hwc"), offset=2),
    _Shape((1, 24, 5, 8), 2, ("hwc", "hwc"), offset=8),
    _Shape((1, 8, 3, 344), 1),
    _Shape((2, 16, 5, 8), 2, nan=True),
    _Shape((1, 8, 5, 8), 2, infinite=True),
)


def cases() -> Iterator[Case]:
    """`classwise_attention` against `maps_of`: at most twice the error of `naive_maps_of`."""
    for one in _SHAPES:
        shape = "x".join(map(str, one.shape))
        extras = f", {one.offset} bytes off" * bool(one.offset) + ", NaN" * one.nan + ", infinite" * one.infinite
        title = f"{one.classes} classes, {shape}, {' to '.join(one.layouts)}, queries times {one.loud:g}{extras}"
        yield Case("classwise_attention", title, _Run(one))


@dataclass(frozen=True)
class _Run:
    shape: _Shape

    def __call__(self, room: Room) -> float:
        one = self.shape
        f4, queries = _inputs(one, room.random)
        batch, channels, height, width = one.shape
        kernel = ClasswiseAttention(
            room.driver, room.module, one.shape, one.classes, f4_layout=one.layouts[0], maps_layout=one.layouts[1]
        )
        last = (height, width, channels) if one.layouts[1] == "hwc" else (channels, height, width)
        maps = room.take((batch * one.classes, *last), np.float16, one.offset)
        workspace = room.take((kernel.workspace_bytes,), np.uint8)
        given = f4.transpose(0, 2, 3, 1) if one.layouts[0] == "hwc" else f4
        kernel.launch(
            room.stream,
            room.give(given, one.offset),
            room.give(queries, one.offset),
            maps.address,
            workspace.address,
        )
        room.read(workspace)  # nothing beside it
        found = room.read(maps)
        return _error(found.transpose(0, 3, 1, 2) if one.layouts[1] == "hwc" else found, f4, queries)


def _inputs(one: _Shape, random: np.random.Generator) -> tuple[npt.NDArray[np.float16], npt.NDArray[np.float16]]:
    f4 = random.standard_normal(one.shape).astype(np.float16)
    queries = (random.standard_normal((one.classes, one.shape[1])) * one.loud).astype(np.float16)
    if one.nan:
        f4[-1, 3, 1, 2] = np.nan
    if one.infinite:
        f4[0, 0].reshape(-1)[:TILE] = -np.inf * np.sign(queries[0, 0])
    return f4, queries


def _error(found: npt.NDArray[Any], f4: npt.NDArray[Any], queries: npt.NDArray[Any]) -> float:
    """Over twice the naive error; where that happens to be none, over the rounding of the answer itself."""
    exact, naive = maps_of(f4, queries), naive_maps_of(f4, queries)
    sound = np.isfinite(exact)
    apart = np.abs(naive.astype(np.float64) - exact)[sound]
    rounding = 2.0**-11 * np.abs(exact[sound]).max(initial=1.0)
    return excess(found, exact, max(2 * float(apart.max(initial=0.0)), rounding))
