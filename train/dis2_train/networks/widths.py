"""Channel counts of the four levels, at a recipe's width."""

from __future__ import annotations

WIDTHS = (32, 64, 128, 256)


def scaled(width: float, step: int = 8, least: int = 8) -> tuple[int, int, int, int]:
    """The four channel counts at a width factor, at least `least`.

    They are multiples of `step`: 8, so that attention heads and integer kernels fit, or less where operations are to be
    met closely.
    """
    w1, w2, w3, w4 = (max(least, step * round(width * channels / step)) for channels in WIDTHS)
    return w1, w2, w3, w4
