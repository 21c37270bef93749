"""A lens: where its distortion puts, on the sensor, what a perfect camera would have seen at a pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
import numpy.typing as npt

from dis2_edge.errors import RecipeError

Coordinates = npt.NDArray[np.float64]
_NEGLIGIBLE = 1e-12
"""Share of the largest coefficient below which another turns nothing within sight."""


@dataclass(frozen=True)
class Lens:
    """Camera matrix and distortion of one sensor at its native size, as calibration tools write them."""

    fx: float
    """Focal length along a row, in native pixels."""
    fy: float
    """Focal length along a column, in native pixels."""
    cx: float
    """Column of the optical axis, in native pixels; pixel centres lie at whole numbers."""
    cy: float
    """Row of the optical axis, in native pixels."""
    model: Literal["brown", "fisheye"] = "brown"
    """brown: Brown-Conrady, with k1, k2, p1, p2, k3; fisheye: Kannala-Brandt, with k1, k2, k3, k4."""
    k1: float = 0.0
    """First radial coefficient."""
    k2: float = 0.0
    """Second radial coefficient."""
    p1: float = 0.0
    """First tangential coefficient (brown only)."""
    p2: float = 0.0
    """Second tangential coefficient (brown only)."""
    k3: float = 0.0
    """Third radial coefficient."""
    k4: float = 0.0
    """Fourth radial coefficient (fisheye only)."""

    def __post_init__(self) -> None:
        numbers = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "model"}
        wrong = [name for name, value in numbers.items() if not math.isfinite(value)]
        if wrong or self.fx <= 0 or self.fy <= 0:
            found = ", ".join(f"{name} {numbers[name]}" for name in wrong or ("fx", "fy"))
            raise RecipeError(f"lens: {found}", expected="finite numbers, fx and fy above 0")
        foreign = ("k4",) if self.model == "brown" else ("p1", "p2")
        given = [name for name in foreign if numbers[name]]
        if given:
            raise RecipeError(f"lens: {given[0]} in a {self.model} model", expected=f"{self.model} to go without it")

    def distort(self, x: Coordinates, y: Coordinates) -> tuple[Coordinates, Coordinates, npt.NDArray[np.bool_]]:
        """Native column and row of each undistorted column `x` and row `y`, and whether the model reaches so far out.

        Past some angle a polynomial turns back towards the centre; what lies beyond is nothing that the lens shows.
        """
        x, y = (x - self.cx) / self.fx, (y - self.cy) / self.fy
        square = x * x + y * y
        if self.model == "fisheye":
            radius = np.sqrt(square)
            angle = np.arctan(radius)
            square = angle * angle
            scale = _ratio(angle, radius) * _polynomial(square, (self.k1, self.k2, self.k3, self.k4))
            along, across = x * scale, y * scale
        else:
            scale = _polynomial(square, (self.k1, self.k2, self.k3))
            along = x * scale + 2 * self.p1 * x * y + self.p2 * (square + 2 * x * x)
            across = y * scale + self.p1 * (square + 2 * y * y) + 2 * self.p2 * x * y
        return along * self.fx + self.cx, across * self.fy + self.cy, square < self._turn()

    def _turn(self) -> float:
        """The smallest square of radius (of angle, for a fisheye) at which more of it no longer leads outwards."""
        radial = (self.k1, self.k2, self.k3, self.k4)
        slope = np.array([1.0, *((2 * power + 3) * value for power, value in enumerate(radial))])
        slope /= np.abs(slope).max()
        roots = np.roots(np.where(np.abs(slope) < _NEGLIGIBLE, 0, slope)[::-1])
        ahead = roots.real[(np.abs(roots.imag) < 1e-9 * np.maximum(1, np.abs(roots.real))) & (roots.real > 0)]
        return float(ahead.min()) if ahead.size else math.inf


def _polynomial(square: Coordinates, radial: tuple[float, ...]) -> Coordinates:
    """1 + k1 s + k2 s^2 + ..."""
    total: Coordinates = np.zeros_like(square)
    for value in reversed(radial):
        total = (total + value) * square
    return total + 1


def _ratio(part: Coordinates, whole: Coordinates) -> Coordinates:
    """part / whole, 1 where both are 0."""
    return np.divide(part, whole, out=np.ones_like(part), where=whole != 0)
