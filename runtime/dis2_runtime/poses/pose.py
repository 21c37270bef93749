"""Where the grid lay on the ground: what puts a mask on a map."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Pose:
    """The grid on flat ground, seen from straight above."""

    x: float
    """Easting of the grid's centre, in metres of the coordinate system."""
    y: float
    """Northing of the grid's centre."""
    heading_deg: float
    """Where the grid's first row points, clockwise from north."""
    gsd_m: float
    """Metres on the ground from one grid pixel to the next."""
    epsg: int
    """The coordinate system, a projected one, by its EPSG number."""

    def transform(self, grid: tuple[int, int]) -> tuple[float, float, float, float, float, float]:
        """a, b, c, d, e, f of x = a column + b row + c, y = d column + e row + f; pixel corners at whole numbers."""
        height, width = grid
        turn = math.radians(self.heading_deg)
        right = (self.gsd_m * math.cos(turn), -self.gsd_m * math.sin(turn))
        down = (-self.gsd_m * math.sin(turn), -self.gsd_m * math.cos(turn))
        left = self.x - right[0] * width / 2 - down[0] * height / 2
        top = self.y - right[1] * width / 2 - down[1] * height / 2
        return right[0], down[0], left, right[1], down[1], top
