"""Ranges: the largest value that each tensor of a network reached, and what of it half precision loses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dis2_quantize.rounding.form import Float
from dis2_quantize.rounding.halfway import LARGEST_HALF

WORTH_NAMING = 0.01
"""A tensor that loses less than this share of its values to underflow is not named."""


@dataclass
class Range:
    """What was seen of one tensor, over all images."""

    unit: str
    """The node of the graph within which it was made."""
    tensor: str
    """The innermost module and the operator that made it, or the module's weight."""
    kind: Float
    """The type that it has."""
    largest: float = 0.0
    """Largest |x| before it was rounded; infinite from where numbers end."""
    nonzero: int = 0
    """Values that are not zero."""
    lost: int = 0
    """Of these, how many are subnormal in FP16 or become zero."""

    @property
    def fits(self) -> bool:
        """Whether FP16 may hold it."""
        return self.largest <= LARGEST_HALF

    @property
    def underflow(self) -> float:
        """Share (0..1) of the values other than zero that FP16 keeps with fewer bits or not at all."""
        return self.lost / self.nonzero if self.nonzero else 0.0


@dataclass(frozen=True)
class Ranges:
    """The ranges of all tensors of a network, in the order of computation."""

    rows: tuple[Range, ...]
    """One for each tensor; never empty once an image was seen."""
    images: int
    """How many were seen."""

    @property
    def largest(self) -> Range:
        """The row with the largest |x|; of several the first, from which the others may follow."""
        return max(self.rows, key=lambda row: row.largest)

    @property
    def too_large(self) -> tuple[Range, ...]:
        """Tensors in FP16 that pass `LARGEST_HALF`, in the order of computation."""
        return tuple(row for row in self.rows if row.kind == "fp16" and not row.fits)

    @property
    def underflowing(self) -> tuple[Range, ...]:
        """Tensors in FP16 with a share of lost values that is worth naming, worst first."""
        rows = [row for row in self.rows if row.kind == "fp16" and row.underflow >= WORTH_NAMING]
        return tuple(sorted(rows, key=lambda row: -row.underflow))

    def to_table(self) -> dict[str, Any]:
        """Plain values for JSON; an infinite range is written as None."""
        largest = self.largest
        return {
            "images": self.images,
            "limit": LARGEST_HALF,
            "largest": _finite(largest.largest),
            "largest_tensor": largest.tensor,
            "too_large": {row.tensor: _finite(row.largest) for row in self.too_large},
            "underflow": {row.tensor: round(row.underflow, 4) for row in self.underflowing},
        }


def _finite(value: float) -> float | None:
    return value if value < float("inf") else None
