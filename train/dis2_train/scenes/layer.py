"""One sensor's file, read strip by strip from the top: its pixels, and which of them hold data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import RasterioError
from rasterio.windows import Window

from dis2_edge.errors import DataError
from dis2_edge.prepare import find_holes
from dis2_edge.sensors import Sensor
from dis2_train.scenes.grounds import Ground, Source
from dis2_train.segmenters import Pixels


@dataclass
class Strip:
    """Rows of a scene as wide as the scene, or as a window where that is wider."""

    top: int
    """First row."""
    pixels: Pixels
    """(rows, W, C) of the sensor's dtype; NaN, or the mean in integers, where there is no data."""
    valid: npt.NDArray[np.bool_]
    """(rows, W): whether there is data."""


class Layer:
    """A sensor's file on the ground of a scene, padded by holes to at least one window."""

    def __init__(
        self,
        sensor: Sensor,
        path: Path,
        source: Source,
        ground: Ground,
        window: tuple[int, int],
        bands: Sequence[int] = (),
    ) -> None:
        self.sensor, self.path, self._source = sensor, path, source
        self._bands = _bands(sensor, path, source, bands)
        self._height, self._width = ground.height, ground.width
        self._padded_width = max(ground.width, window[1])
        flags = [source.mask_flag_enums[band - 1] for band in self._bands]
        self._masked = any(flag != [MaskFlags.all_valid] for flag in flags)
        self._alpha = [band for band, use in enumerate(source.colorinterp, 1) if use == ColorInterp.alpha]
        self._last: Strip | None = None

    def strip(self, top: int, rows: int) -> Strip:
        """The `rows` from `top` on. Asked for from the top downwards, no row is read from the file twice."""
        kept = self._kept(top, rows)
        fresh = self._read(top + len(kept.valid), rows - len(kept.valid))
        pixels = np.concatenate([kept.pixels, fresh.pixels])
        self._last = Strip(top, pixels, np.concatenate([kept.valid, fresh.valid]))
        return self._last

    def _kept(self, top: int, rows: int) -> Strip:
        """What the last strip holds of the rows from `top` on."""
        last = self._last
        if last is None or not last.top <= top <= last.top + len(last.valid):
            return self._blank(top, 0)
        part = slice(top - last.top, top - last.top + rows)
        return Strip(top, last.pixels[part], last.valid[part])

    def _read(self, top: int, rows: int) -> Strip:
        strip = self._blank(top, rows)
        count = max(0, min(top + rows, self._height) - top)
        if not count:
            return strip
        window = Window(0, top, self._width, count)
        try:
            pixels = np.moveaxis(self._source.read(self._bands, window=window), 0, 2)  # (rows, W, C)
            # GDAL's own masks heed an alpha band only of some number types: it is looked at here in any case.
            masks = self._source.read_masks(self._bands, window=window) if self._masked else None
            alpha = self._source.read(self._alpha, window=window) if self._alpha else None
        except RasterioError as cause:
            found = f"{self.path} is damaged or cut short near row {top} ({cause})"
            raise DataError(found, mend="copy or download it again") from cause
        pixels = self._native(pixels)
        holes = find_holes(pixels, self.sensor)
        valid = np.ones(pixels.shape[:2], np.bool_)
        if holes is not None:
            valid &= ~holes.all(axis=2)
        for mask in (masks, alpha):
            if mask is not None:
                valid &= (mask > 0).any(axis=0)
        strip.pixels[:count, : self._width] = np.where(valid[..., None], pixels, strip.pixels[:count, : self._width])
        strip.valid[:count, : self._width] = valid
        return strip

    def _native(self, pixels: Pixels) -> Pixels:
        """The sensor's own type; a float sensor's stored integers are scaled as the file says."""
        if self.sensor.dtype != "float32":
            return pixels
        places = [band - 1 for band in self._bands]
        scale = np.array([self._source.scales[place] for place in places])
        offset = np.array([self._source.offsets[place] for place in places])
        with np.errstate(over="ignore", invalid="ignore"):  # a nodata value may lie beyond float32
            scaled = pixels if (scale == 1).all() and not offset.any() else pixels * scale + offset
            return scaled.astype(np.float32)

    def _blank(self, top: int, rows: int) -> Strip:
        """Rows of nothing but holes."""
        sensor = self.sensor
        shape = (rows, self._padded_width, sensor.channels)
        pixels = np.full(shape, np.nan, np.float32) if sensor.dtype == "float32" else np.empty(shape, sensor.dtype)
        if sensor.dtype != "float32":
            pixels[:] = np.rint(sensor.mean or (sensor.valid_min,) * sensor.channels)
        return Strip(top, pixels, np.zeros(shape[:2], bool))


def _bands(sensor: Sensor, path: Path, source: Source, chosen: Sequence[int]) -> list[int]:
    """The bands, from 1, that are the sensor's channels: those chosen, or all that are no transparency."""
    plain = [band for band, use in enumerate(source.colorinterp, 1) if use != ColorInterp.alpha]
    bands = list(chosen) or plain
    mend = f"choose them: --bands {sensor.name}={','.join(map(str, range(1, sensor.channels + 1)))}"
    if len(bands) != sensor.channels or not set(bands) <= set(range(1, source.count + 1)):
        found = f"{path} has {len(plain)} bands" + (f", and {list(chosen)} were chosen" if chosen else "")
        raise DataError(found, expected=f"{sensor.channels} for {sensor.name!r}", mend=mend if not chosen else "")
    types = {source.dtypes[band - 1] for band in bands}
    if types != {sensor.dtype} and (sensor.dtype != "float32" or any(kind.startswith("complex") for kind in types)):
        raise DataError(f"{path} holds {' and '.join(sorted(types))}", expected=f"{sensor.dtype} for {sensor.name!r}")
    return bands
