"""Open a scene's files, one a sensor, and see that they lie on the same ground pixel for pixel, or make them do so."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rasterio
from affine import Affine
from rasterio.crs import CRS
from rasterio.enums import MaskFlags, Resampling
from rasterio.errors import CRSError, NotGeoreferencedWarning, RasterioError
from rasterio.transform import array_bounds
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform_bounds

from dis2_edge.errors import DataError
from dis2_edge.terminal import warn

Source = Any
"""A rasterio dataset, or one warped while it is read."""
CACHE_BYTES = 128 << 20
"""What GDAL may keep of blocks that it read."""
SHIFT_PX = 0.1
"""Pixels by which grids may lie apart and still be one."""
_PLANE = "EPSG:3857"
"""Any projected system: for files that state where they lie, but not in which system."""


@dataclass(frozen=True)
class Ground:
    """The pixels of a scene."""

    height: int
    """Rows."""
    width: int
    """Columns."""
    transform: Affine
    """From (column, row) to map coordinates; identity without a georeference."""
    crs: CRS | None
    """The coordinate reference system, where one is stated."""

    @property
    def placed(self) -> bool:
        """Whether the file says where its pixels lie."""
        return self.crs is not None or self.transform != Affine.identity()

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east and north, in map coordinates."""
        west, south, east, north = array_bounds(self.height, self.width, self.transform)
        return min(west, east), min(south, north), max(west, east), max(south, north)

    @property
    def pixel_m2(self) -> float | None:
        """Area of a pixel in m², where the system is projected; else None."""
        if self.crs is None or not self.crs.is_projected:
            return None
        return abs(float(self.transform.determinant)) * float(self.crs.linear_units_factor[1]) ** 2

    def __str__(self) -> str:
        size = f"{self.height}x{self.width} pixels"
        if not self.placed:
            return f"{size} without a georeference"
        step = f"{_number(abs(self.transform.a) or abs(self.transform.b))}"
        corner = f"({_number(self.transform.c)}, {_number(self.transform.f)})"
        return f"{size} of {step} from {corner} in {self.crs.to_string() if self.crs else 'no stated system'}"


@contextlib.contextmanager
def opened(files: Mapping[str, Path], *, resample: bool = False) -> Iterator[tuple[Ground, dict[str, Source]]]:
    """The ground of the first of `files`, and all of them (by sensor) as sources that lie on it.

    With `resample` the others are brought to the first one's pixels while they are read, bilinearly; without, another
    grid is a DataError, and so are grounds that do not overlap in any case.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES))
        found = {name: stack.enter_context(_open(path)) for name, path in files.items()}
        grounds = {name: _ground_of(source) for name, source in found.items()}
        first = next(iter(files))
        ground = _first_placed(grounds)
        for name, own in grounds.items():
            if _is_same(ground, own):
                if ground.placed and not own.placed:
                    warn(f"{files[name].name} has no georeference: taken to lie as {_placed_name(files, grounds)} does")
                continue
            _check_overlap(files[first], ground, files[name], own)
            if not (resample and ground.placed and own.placed):
                raise _unlike(files[first], ground, files[name], own, name)
            found[name] = stack.enter_context(_warped(found[name], own, ground))
        yield ground, found


def _open(path: Path) -> Source:
    if not path.is_file():
        raise DataError(f"{path} does not exist", expected="a GeoTIFF or PNG of the whole scene")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            return rasterio.open(path)
    except RasterioError as cause:
        raise DataError(f"{path} is no picture that can be read ({cause})", expected="GeoTIFF or PNG") from cause


def _ground_of(source: Source) -> Ground:
    return Ground(source.height, source.width, source.transform, source.crs)


def _first_placed(grounds: Mapping[str, Ground]) -> Ground:
    """The first ground; where it has no georeference, one of the same size that has."""
    first = next(iter(grounds.values()))
    placed = (each for each in grounds.values() if each.placed and _size(each) == _size(first))
    return first if first.placed else next(placed, first)


def _placed_name(files: Mapping[str, Path], grounds: Mapping[str, Ground]) -> str:
    return next(files[name].name for name, ground in grounds.items() if ground.placed)


def _is_same(ground: Ground, own: Ground) -> bool:
    """Whether both are one grid of pixels; a file without georeference only has to be of the same size."""
    if _size(ground) != _size(own):
        return False
    if not (ground.placed and own.placed):
        return True
    if ground.crs and own.crs and ground.crs != own.crs:
        return False
    corners = [(0, 0), (ground.width, 0), (0, ground.height), (ground.width, ground.height)]
    back = ~ground.transform
    there = [_at(back, *_at(own.transform, *corner)) for corner in corners]
    return all(
        abs(x - column) <= SHIFT_PX and abs(y - row) <= SHIFT_PX
        for (x, y), (column, row) in zip(there, corners, strict=True)
    )


def _check_overlap(first: Path, ground: Ground, path: Path, own: Ground) -> None:
    """DataError naming both extents when the two have no ground in common."""
    if not (ground.placed and own.placed):
        return
    west, south, east, north = ground.bounds
    try:
        bounds = own.bounds if _one_system(ground, own) else transform_bounds(own.crs, ground.crs, *own.bounds)
    except (CRSError, RasterioError) as cause:
        raise DataError(f"{path.name} cannot be brought to the system of {first.name} ({cause})") from cause
    if not (bounds[0] < east and bounds[2] > west and bounds[1] < north and bounds[3] > south):
        system = f" ({ground.crs.to_string()})" if ground.crs else ""
        found = f"{first.name} covers {_extent(ground.bounds)} and {path.name} {_extent(bounds)}{system}"
        raise DataError(found, expected="ground in common", mend="check the files and their systems")


def _unlike(first: Path, ground: Ground, path: Path, own: Ground, name: str) -> DataError:
    found = f"{first.name} has {ground}; {path.name} has {own}"
    if ground.placed and own.placed:
        return DataError(found, expected="one grid", mend=f"--resample brings {name!r} to the grid of {first.name}")
    return DataError(found, expected="one size, or georeferences in both", mend="bring them to one grid first")


def _warped(source: Source, own: Ground, ground: Ground) -> Source:
    """`source` seen on the pixels of `ground`; what it does not cover is masked."""
    system = ground.crs or own.crs or CRS.from_string(_PLANE)
    silent = source.nodata is None and MaskFlags.alpha not in source.mask_flag_enums[0]
    return WarpedVRT(
        source,
        src_crs=own.crs or system,
        src_transform=own.transform,
        crs=system,
        transform=ground.transform,
        width=ground.width,
        height=ground.height,
        resampling=Resampling.bilinear,
        add_alpha=silent,
    )


def _at(transform: Affine, x: float, y: float) -> tuple[float, float]:
    """The point (x, y) seen through `transform`."""
    return transform.a * x + transform.b * y + transform.c, transform.d * x + transform.e * y + transform.f


def _one_system(ground: Ground, own: Ground) -> bool:
    return ground.crs is None or own.crs is None or ground.crs == own.crs


def _size(ground: Ground) -> tuple[int, int]:
    return ground.height, ground.width


def _extent(bounds: tuple[float, float, float, float]) -> str:
    west, south, east, north = map(_number, bounds)
    return f"x {west}..{east}, y {south}..{north}"


def _number(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")
