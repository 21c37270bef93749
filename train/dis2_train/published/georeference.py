"""Where the pixels of a raster lie on the ground, and how one raster lies upon another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dis2_edge.errors import DataError

SLACK_PX = 2
_SAME_SIZE = 1e-3


@dataclass(frozen=True)
class Ground:
    """The place of a raster without rotation; coordinates in metres or in the units of its reference system."""

    west: float
    """Left edge of the first pixel."""
    north: float
    """Upper edge of the first pixel."""
    pixel_x: float
    """Width of a pixel."""
    pixel_y: float
    """Height of a pixel, above 0 and downwards."""


@dataclass(frozen=True)
class Grid:
    """The pixels of one raster."""

    height: int
    """Rows."""
    width: int
    """Columns."""
    ground: Ground | None = None
    """Where they lie; None when the file does not say."""
    crs: str = ""
    """Reference system as GDAL names it, such as EPSG:32633; empty when the file does not say."""

    @property
    def extent(self) -> str:
        """West to east and south to north, for messages."""
        if self.ground is None:
            return f"{self.height}x{self.width} pixels without a georeference"
        east = self.ground.west + self.width * self.ground.pixel_x
        south = self.ground.north - self.height * self.ground.pixel_y
        return f"x {self.ground.west:.2f} to {east:.2f}, y {south:.2f} to {self.ground.north:.2f} {self.crs}".rstrip()


@dataclass(frozen=True)
class Placement:
    """How a raster lies on the reference raster."""

    row: int
    """Row of the raster under the reference's first row; negative where it begins later."""
    column: int
    """Column of the raster under the reference's first column."""
    warped: bool
    """Whether it must be resampled."""
    shift_px: float = 0.0
    """Part of a pixel by which the two differ and which is passed over."""


def place(layer: Grid, on: Grid, path: Path, reference: Path, *, resample: bool) -> Placement:
    """How `layer` (of `path`) lies `on` the reference grid (of `reference`).

    Without a georeference a file is taken to begin where the reference begins, if its size differs by at most
    `SLACK_PX`. DataError names both files and their extents when they do not overlap, and both resolutions or
    systems when they differ and `resample` is not wanted.
    """
    if layer.ground is None or on.ground is None:
        return _unreferenced(layer, on, path, reference, resample)
    if layer.crs and on.crs and layer.crs != on.crs:
        if resample:
            return Placement(0, 0, True)
        raise DataError(
            f"{path} is in {layer.crs} and {reference} in {on.crs}", expected="one reference system", mend=_MEND
        )
    _refuse_apart(layer, on, path, reference)
    if _differ(layer.ground.pixel_x, on.ground.pixel_x) or _differ(layer.ground.pixel_y, on.ground.pixel_y):
        if resample:
            return Placement(0, 0, True)
        raise DataError(
            f"{path} has pixels of {_size(layer.ground)} and {reference} of {_size(on.ground)}",
            expected="one resolution",
            mend=_MEND,
        )
    down = (layer.ground.north - on.ground.north) / on.ground.pixel_y
    across = (on.ground.west - layer.ground.west) / on.ground.pixel_x
    shift = max(abs(down - round(down)), abs(across - round(across)))
    return Placement(round(down), round(across), False, shift)


def read_world_file(path: Path) -> Ground:
    """The place that a world file (`.tfw`) states; it names the centre of the first pixel, not its corner."""
    try:
        x_size, tilt, tilt_too, y_size, x, y = (float(word) for word in path.read_text("utf-8").split()[:6])
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is no world file ({error})", expected="six numbers, one a line") from error
    if tilt or tilt_too or x_size <= 0 or y_size >= 0:
        raise DataError(f"{path} turns or mirrors its picture", expected="north up", mend="gdalwarp IN OUT")
    return Ground(x - x_size / 2, y - y_size / 2, x_size, -y_size)


_MEND = "say --resample to bring it to the first sensor's pixels"


def _unreferenced(layer: Grid, on: Grid, path: Path, reference: Path, resample: bool) -> Placement:
    if abs(layer.height - on.height) <= SLACK_PX and abs(layer.width - on.width) <= SLACK_PX:
        return Placement(0, 0, False)
    if resample:
        return Placement(0, 0, True)
    raise DataError(
        f"{path} has {layer.height}x{layer.width} pixels and {reference} {on.height}x{on.width}, and not both say where"
        " they lie",
        expected=f"equal sizes, or at most {SLACK_PX} pixels less or more",
        mend="say --resample to stretch it over the first sensor's pixels",
    )


def _refuse_apart(layer: Grid, on: Grid, path: Path, reference: Path) -> None:
    if layer.ground is None or on.ground is None:
        return
    apart = (
        layer.ground.west >= on.ground.west + on.width * on.ground.pixel_x
        or on.ground.west >= layer.ground.west + layer.width * layer.ground.pixel_x
        or layer.ground.north <= on.ground.north - on.height * on.ground.pixel_y
        or on.ground.north <= layer.ground.north - layer.height * layer.ground.pixel_y
    )
    if apart:
        raise DataError(
            f"{path} ({layer.extent}) and {reference} ({on.extent}) do not overlap",
            expected="one place on the ground",
            mend="correct the georeference, or pair the right files",
        )


def _differ(one: float, other: float) -> bool:
    return abs(one - other) > _SAME_SIZE * max(one, other)


def _size(ground: Ground) -> str:
    return f"{ground.pixel_x:g} x {ground.pixel_y:g}"
