"""Where the pixels of a raster lie: from the tags of a GeoTIFF or the six lines of a world file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dis2_edge.errors import DataError

Transform = tuple[float, float, float, float, float, float]
_SCALE, _TIE, _MATRIX, _KEYS = 33550, 33922, 34264, 34735
_MODEL, _RASTER, _PROJECTED = 1024, 1025, 3072
_GEOGRAPHIC, _POINT, _USER = 2, 2, 32767
_SLACK = 1e-3
"""Share of a pixel's side by which it may depart from a square."""


@dataclass(frozen=True)
class Georeference:
    """Square pixels on flat ground, turned perhaps, never mirrored."""

    transform: Transform
    """a, b, c, d, e, f of x = a column + b row + c, y = d column + e row + f; pixel corners at whole numbers."""
    epsg: int = 0
    """The projected coordinate system; 0 when not known."""

    def __post_init__(self) -> None:
        a, b, _, d, e, _ = self.transform
        if not all(map(math.isfinite, self.transform)) or a * e - b * d >= 0:
            raise DataError(f"the transform {self.transform}", expected="finite numbers, and rows that run downwards")
        slack = _SLACK * self.gsd_m
        if abs(math.hypot(b, e) - self.gsd_m) > slack or abs(a * b + d * e) > slack * self.gsd_m:
            found = f"pixels of {self.gsd_m:g} x {math.hypot(b, e):g} m"
            raise DataError(found, expected="square ones", mend="gdalwarp -tr METRES METRES IN OUT")

    @property
    def gsd_m(self) -> float:
        """Metres from one pixel to the next."""
        return math.hypot(self.transform[0], self.transform[3])

    @property
    def heading_deg(self) -> float:
        """Where the first row points, clockwise from north."""
        return math.degrees(math.atan2(-self.transform[3], self.transform[0])) % 360

    def ground(self, column: Any, row: Any) -> tuple[Any, Any]:
        """x and y of a place in the raster, numbers or arrays."""
        a, b, c, d, e, f = self.transform
        return a * column + b * row + c, d * column + e * row + f

    def place(self, x: Any, y: Any) -> tuple[Any, Any]:
        """Column and row of a point on the ground, numbers or arrays."""
        a, b, c, d, e, f = self.transform
        scale = a * e - b * d
        return (e * (x - c) - b * (y - f)) / scale, (a * (y - f) - d * (x - c)) / scale


def from_tags(tags: Mapping[int, tuple[Any, ...]], epsg: int = 0) -> Georeference | None:
    """What the tags of a TIFF say; `epsg` stands in where they name no system. DataError on what cannot be used."""
    keys = _geo_keys(tags.get(_KEYS, ()))
    if keys.get(_MODEL) == _GEOGRAPHIC:
        raise geographic()
    if _MATRIX in tags and len(tags[_MATRIX]) == 16:
        matrix = tags[_MATRIX]
        transform = (matrix[0], matrix[1], matrix[3], matrix[4], matrix[5], matrix[7])
    elif len(tags.get(_SCALE, ())) >= 2 and len(tags.get(_TIE, ())) >= 6:
        (across, down, *_), (column, row, _, x, y, *_) = tags[_SCALE], tags[_TIE]
        transform = (across, 0.0, x - across * column, 0.0, -down, y + down * row)
    else:
        return None
    stated = keys.get(_PROJECTED, 0)
    corner = _from_centre(transform) if keys.get(_RASTER) == _POINT else transform
    return Georeference(corner, epsg if stated in (0, _USER) else stated)


def from_world_file(picture: Path, epsg: int = 0) -> Georeference | None:
    """What the world file beside `picture` says (.pgw, .tfw, .wld and the like); None when there is none."""
    suffix = picture.suffix.lower()
    names = (f"{suffix[:2]}{suffix[-1]}w", f"{suffix}w", ".wld")
    file = next((file for name in names if (file := picture.with_suffix(name)).is_file()), None)
    if file is None:
        return None
    try:
        a, d, b, e, c, f = map(float, file.read_text("ascii").split())
    except (ValueError, OSError) as error:
        raise DataError(f"{file} is no world file ({error})", expected="six numbers, one a line") from error
    return Georeference(_from_centre((a, b, c, d, e, f)), epsg)


def geographic() -> DataError:
    """The refusal of degrees."""
    return DataError("the raster lies in degrees", expected="a projected system in metres", mend="gdalwarp -t_srs")


def _from_centre(transform: Transform) -> Transform:
    """The transform whose whole numbers are corners, of one whose whole numbers are centres."""
    a, b, c, d, e, f = transform
    return a, b, c - (a + b) / 2, d, e, f - (d + e) / 2


def _geo_keys(values: tuple[Any, ...]) -> dict[int, int]:
    """The keys that hold their value themselves."""
    rows = [values[start : start + 4] for start in range(4, len(values) - 3, 4)]
    return {int(key): int(value) for key, location, _, value in rows if location == 0}
