"""Frames to the grid at flight speed: OpenCV where it is exact, NumPy elsewhere; both equal `dis2_edge.prepare.align`.

OpenCV interpolates places exactly from version 5 on; before, and today for two or more than four channels, it rounds
them to 1/32 of a pixel, which is up to 6 of 255 wrong at an edge. So planes go singly there, and OpenCV is held against
the reference once before it is believed.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from dis2_edge.errors import DataError
from dis2_edge.geometry import Places, Size
from dis2_edge.prepare import bilinear

Pixels = npt.NDArray[Any]
LookUp = Callable[[Pixels, Pixels], None]
"""Fills the second array, HxWxC on the grid, from the first, HxWxC native; both contiguous and of one dtype."""
EXACT_CHANNELS = (1, 3, 4)
"""Channels that OpenCV takes at once without rounding places."""
LONGEST = 32766
"""Longest side of a frame that OpenCV's look-up takes."""


def resizing(size: Size, grid: Size, *, fast: bool = True) -> LookUp:
    """From frames of `size` to `grid`: bilinear, half-pixel centres, no smoothing."""
    cv2 = opencv() if fast and max(size) <= LONGEST else None
    return resize_with(cv2, grid) if cv2 else Gather.resizing(size, grid)


def placing(places: Places, size: Size, fill: Pixels, *, fast: bool = True) -> LookUp:
    """`places` in frames of `size`, bilinear; outside becomes `fill`: a value a channel, in the frames' dtype."""
    cv2 = opencv() if fast and max(size) <= LONGEST else None
    return remap_with(cv2, places, size, fill) if cv2 else Gather.placing(places, size, fill)


def resize_with(cv2: Any, grid: Size) -> LookUp:
    """Bilinear, half-pixel centres, no smoothing, by OpenCV."""

    def resize(pixels: Pixels, out: Pixels) -> None:
        _mapped(cv2, cv2.resize, _flat(pixels), grid[::-1], dst=_flat(out), interpolation=cv2.INTER_LINEAR)

    return resize


def remap_with(cv2: Any, places: Places, size: Size, fill: Pixels) -> LookUp:
    """Bilinear look-up of `places` in frames of `size` by OpenCV; what is outside becomes `fill`, a value a channel.

    Places outside are sent far away, where OpenCV's border is: one pass does both.
    """
    columns, rows = (np.where(places.inside, way, np.float32(-9)) for way in (places.columns, places.rows))
    settings = {"interpolation": cv2.INTER_LINEAR, "borderMode": cv2.BORDER_CONSTANT}
    values = fill.astype(np.float64).tolist()

    def remap(pixels: Pixels, out: Pixels) -> None:
        _mapped(cv2, cv2.remap, _flat(pixels), columns, rows, dst=_flat(out), borderValue=values, **settings)

    if len(values) in EXACT_CHANNELS:
        return remap
    native, placed = np.empty(size, fill.dtype), np.empty(columns.shape, fill.dtype)

    def remap_planes(pixels: Pixels, out: Pixels) -> None:
        for channel, value in enumerate(values):
            np.copyto(native, pixels[..., channel])
            _mapped(cv2, cv2.remap, native, columns, rows, dst=placed, borderValue=value, **settings)
            np.copyto(out[..., channel], placed)

    return remap_planes


class Gather:
    """The same without OpenCV: one flat index for all four neighbours, weighed in buffers that are made once.

    A place on the last row or column has no weight for the one after it, so that neighbour may be any value.
    """

    def __init__(self, rows: tuple[Pixels, Pixels], columns: tuple[Pixels, Pixels], size: Size) -> None:
        """`rows` and `columns`: lower index and the upper one's weight, which broadcast to HxW; `size` of frames."""
        self._lower = np.broadcast_arrays(rows[0] * size[1] + columns[0], rows[1], columns[1])
        self._steps = (int(size[0] > 1) * size[1], int(size[1] > 1))
        self._outside: npt.NDArray[np.bool_] | None = None
        self._fill: Pixels = np.zeros(1)
        self._tables: tuple[Pixels, ...] = ()

    @classmethod
    def resizing(cls, size: Size, grid: Size) -> Gather:
        """Frames of `size` to `grid`."""
        rows, columns = bilinear(size[0], grid[0]), bilinear(size[1], grid[1])
        return cls((rows[0][:, None], rows[2][:, None]), (columns[0], columns[2]), size)

    @classmethod
    def placing(cls, places: Places, size: Size, fill: Pixels) -> Gather:
        """`places` in frames of `size`; outside becomes `fill`, a value a channel."""
        rows, columns = np.floor(places.rows), np.floor(places.columns)
        made = cls(
            (rows.astype(np.intp), places.rows - rows), (columns.astype(np.intp), places.columns - columns), size
        )
        if not places.inside.all():
            made._outside, made._fill = ~places.inside[..., None], fill
        return made

    def __call__(self, pixels: Pixels, out: Pixels) -> None:
        """Fill `out` from `pixels`."""
        if not self._tables:
            self._tables = self._spread(pixels)
        index, down, across, picked, upper, lower, right = self._tables
        flat, channels = pixels.reshape(-1), pixels.shape[2]
        below, beside = (step * channels for step in self._steps)

        def pick(start: int, into: Pixels) -> None:
            np.take(flat[start:], index, out=picked, mode="clip")  # any other mode would copy
            np.copyto(into, picked)

        for start, row in ((0, upper), (below, lower)):
            pick(start, row)
            pick(start + beside, right)
            _blend(row, right, across)
        _blend(upper, lower, down)
        np.copyto(out.reshape(-1), upper if out.dtype.kind == "f" else np.rint(upper, out=upper), casting="unsafe")
        if self._outside is not None:
            np.copyto(out, self._fill, where=self._outside)

    def _spread(self, pixels: Pixels) -> tuple[Pixels, ...]:
        """Index and weights of every channel of every pixel, and the buffers."""
        channels = pixels.shape[2]
        lower, down, across = (np.repeat(part.ravel(), channels) for part in self._lower)
        index = lower * channels + np.tile(np.arange(channels), lower.size // channels)
        buffers = (np.empty(index.shape, np.float32) for _ in range(3))
        return (index, down, across, np.empty(index.shape, pixels.dtype), *buffers)


def _blend(first: Pixels, second: Pixels, weight: Pixels) -> None:
    """`first` becomes first + (second - first) * weight; `second` is used up."""
    np.subtract(second, first, out=second)
    np.multiply(second, weight, out=second)
    np.add(first, second, out=first)


@functools.lru_cache(maxsize=1)
def opencv() -> Any | None:
    """OpenCV, on one thread; None when it is not installed or not exact here.

    Its own threads would wait on the cores that the engine needs.
    """
    try:
        cv2 = importlib.import_module("cv2")
    except ImportError:
        return None
    cv2.setNumThreads(1)
    return cv2 if _is_exact(cv2) else None


def _is_exact(cv2: Any) -> bool:
    """Whether noise comes out as it does by NumPy."""
    noise = np.random.default_rng(0).integers(0, 65536, (40, 56, 3))
    rows, columns = np.mgrid[:33, :47].astype(np.float32)
    places = Places(rows * np.float32(1.13) + columns / 47, columns * np.float32(1.17), rows >= 0)
    for dtype in (np.uint8, np.uint16, np.float32):
        frame, fill = (noise % 256 if dtype is np.uint8 else noise).astype(dtype), np.zeros(3, dtype)
        pairs = (
            (resize_with(cv2, (33, 47)), Gather.resizing((40, 56), (33, 47))),
            (remap_with(cv2, places, (40, 56), fill), Gather.placing(places, (40, 56), fill)),
        )
        for ours, reference in pairs:
            found, expected = np.empty((33, 47, 3), dtype), np.empty((33, 47, 3), dtype)
            ours(frame, found)
            reference(frame, expected)
            if np.abs(found.astype(np.float64) - expected).max() > 1:
                return False
    return True


def _mapped(cv2: Any, call: Callable[..., Any], *args: Any, **settings: Any) -> None:
    try:
        call(*args, **settings)
    except cv2.error as error:
        raise DataError(
            f"OpenCV cannot bring a frame of {args[0].shape} {args[0].dtype} to the grid: {error}"
        ) from error


def _flat(pixels: Pixels) -> Pixels:
    """OpenCV knows one channel as HxW."""
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels
