"""Where windows lie in a scene, and how much each of their pixels counts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from dis2_edge.errors import UserError

LARGEST_SHARE = 0.75
"""Of a window that may overlap with the next: beyond it, every pixel would be computed more than 16 times."""


@dataclass(frozen=True)
class Span:
    """One window's place along an axis, in pixels."""

    start: int
    """First pixel."""
    own: int
    """Pixels from the start on that are counted here; the rest belong to the next window."""


def overlap_px(text: str, window: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of `--overlap`: whole pixels, or a share of the window (0.25); UserError when it is neither."""
    expected = f"a share of 0..{LARGEST_SHARE} such as 0.25, or whole pixels such as 64"
    try:
        value = float(text)
    except ValueError as cause:
        raise UserError(f"--overlap {text!r}", expected=expected) from cause
    pixels = [value * side for side in window] if 0 <= value < 1 else [value, value]
    if not all(0 <= count <= LARGEST_SHARE * side for count, side in zip(pixels, window, strict=True)):
        raise UserError(f"--overlap {text} of windows of {window[0]}x{window[1]} pixels", expected=expected)
    return round(pixels[0]), round(pixels[1])


def spans(length: int, window: int, overlap: int) -> tuple[Span, ...]:
    """The fewest windows that cover `length` and overlap by `overlap` or more, evenly; all lie inside.

    A length below the window's is covered by one window that reaches beyond it.
    """
    count = max(1, -(-(length - overlap) // (window - overlap)))
    starts = [round(place * (length - window) / max(count - 1, 1)) for place in range(count)] if count > 1 else [0]
    ends = [*starts[1:], length]
    return tuple(Span(start, end - start) for start, end in zip(starts, ends, strict=True))


@lru_cache(maxsize=4)
def weights(window: tuple[int, int]) -> npt.NDArray[np.float32]:
    """HxW weight of each pixel, above 0..1: Hann along both axes, so that a window fades out towards its edges."""
    rows, columns = (np.sin(np.pi * (np.arange(side) + 0.5) / side) ** 2 for side in window)
    return np.outer(rows, columns).astype(np.float32)
