"""Channel counts of the four levels, at a recipe's width."""

from __future__ import annotations

WIDTHS = (32, 64, 128, 256)


def scaled(width: float) -> tuple[int, int, int, int]:
    """The four channel counts at a width factor; multiples of 8, so that attention heads and integer kernels fit."""
    w1, w2, w3, w4 = (max(8, 8 * round(width * channels / 8)) for channels in WIDTHS)
    return w1, w2, w3, w4
