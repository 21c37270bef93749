"""One scene, open: its sensors and labels read by window, in pixels of its first sensor and in their units."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from dis2_edge.errors import DataError
from dis2_edge.sensors import Sensor
from dis2_edge.tiles import Window
from dis2_train.published.benchmark import Benchmark, SensorLayout, Variant
from dis2_train.published.colours import Codes, Legend
from dis2_train.published.find import RawFiles, Scene
from dis2_train.published.georeference import Placement, place
from dis2_train.published.ground import GroundModel
from dis2_train.published.raster import Raster, open_raster

Pixels = npt.NDArray[Any]
_ON_EARTH = (-500.0, 9000.0)
"""Heights in metres that can be; a surface model marks what it could not match with numbers outside, often unsaid."""


@dataclass(frozen=True)
class Source:
    """One sensor as it was chosen: what its tiles shall be, and where its values come from."""

    sensor: Sensor
    """Name, kind, type, unit and valid range of the tiles; channels 0 until a file was seen."""
    variant: Variant
    """The files and what their values mean."""


class OpenScene:
    """A scene whose files are open and laid on each other. DataError when they do not fit."""

    def __init__(
        self, scene: Scene, sources: Mapping[str, Source], benchmark: Benchmark, raw: RawFiles, *, resample: bool
    ) -> None:
        self.scene, self._sources, self._benchmark = scene, sources, benchmark
        with ExitStack() as stack:
            self._rasters = {name: self._open(path, raw, stack) for name, path in scene.frames.items()}
            self._label = self._open(scene.label, raw, stack)
            self._stack = stack.pop_all()
        self.first = next(iter(self._rasters.values()))
        self.places = self._lay(resample)
        self._grounds: dict[str, GroundModel] = {}

    def __enter__(self) -> OpenScene:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels of the first sensor."""
        return self.first.grid.height, self.first.grid.width

    @property
    def pixel_m(self) -> float:
        """Side of a ground pixel; 0 where nobody says."""
        ground = self.first.grid.ground
        return ground.pixel_x if ground else self._benchmark.pixel_m

    def corner(self, window: Window) -> tuple[float, float] | None:
        """East and north of the window's outer corner; None without a georeference."""
        ground = self.first.grid.ground
        if ground is None:
            return None
        return ground.west + window.left * ground.pixel_x, ground.north - window.top * ground.pixel_y

    def frame(self, name: str, window: Window) -> tuple[Pixels, npt.NDArray[np.bool_]]:
        """HxWxC of sensor `name` in its type and unit, and HxW that is true where the file has a value."""
        source, raster = self._sources[name], self._rasters[name]
        pixels, known = raster.read(window, source.variant.bands)
        if source.variant.alpha_band:
            alpha, _ = raster.read(window, (source.variant.alpha_band,))
            known &= alpha[..., 0] > 0
        if source.sensor.dtype != "float32":
            if pixels.dtype != source.sensor.numpy_dtype:
                raise DataError(f"{raster.path} holds {pixels.dtype}", expected=f"{source.sensor.dtype} of {name!r}")
            return pixels, known
        values = pixels.astype(np.float32) * np.float32(source.variant.scale)
        if source.sensor.kind == "height":
            known &= ((values >= _ON_EARTH[0]) & (values <= _ON_EARTH[1])).all(axis=2)
        if source.variant.ground_m:
            values -= self._ground(name).under(window)[..., None]
        return np.where(known[..., None], values, np.float32(np.nan)), known

    def codes(self, window: Window, legend: Legend) -> tuple[Codes, npt.NDArray[np.bool_], int]:
        """HxW codes of the labels, where there are labels, and the number of pixels with a colour a little off."""
        labels, known = self._label.colours(window) if legend.by_colour else self._label.read(window, (1,))
        where = f"{self.scene.label} at row {window.top}, column {window.left}"
        if known.all():
            codes, off = legend.codes(labels, where)
            return codes, known, off
        codes = np.zeros(known.shape, np.uint8)
        if known.any():
            flat, off = legend.codes(labels[known][:, None], where)
            codes[known] = flat[:, 0]
            return codes, known, off
        return codes, known, 0

    def channels(self, name: str) -> int:
        """Channels that the tiles of sensor `name` will have."""
        return len(self._sources[name].variant.bands) or self._rasters[name].bands

    def _open(self, path: Path, raw: RawFiles, stack: ExitStack) -> Raster:
        raster = open_raster(path, raw.first((f"{path.stem}.tfw",), "", ""), self._benchmark.epsg)
        stack.callback(raster.close)
        return raster

    def _lay(self, resample: bool) -> dict[str, Placement]:
        """Lay every file on the first sensor."""
        on = self.first.grid
        places = {}
        for name, raster in [*list(self._rasters.items())[1:], ("", self._label)]:
            places[name] = place(raster.grid, on, raster.path, self.first.path, resample=resample)
            raster.lay(places[name], on, smooth=bool(name))
        return places

    def _ground(self, name: str) -> GroundModel:
        """The ground under a surface model, estimated once a scene."""
        if name not in self._grounds:
            variant = self._sources[name].variant
            if not self.pixel_m:
                raise DataError(
                    f"{self.first.path} does not say how large its pixels are",
                    expected="a georeference, to estimate the ground",
                    mend="set pixel_m in the layout",
                )
            band = (variant.bands or (1,))[0]
            self._grounds[name] = GroundModel(
                self._rasters[name], self.size, self.pixel_m, variant.ground_m, band, _ON_EARTH
            )
        return self._grounds[name]


def source_of(name: str, layout: SensorLayout, variant: Variant, channels: int = 1) -> Source:
    """The sensor `name` with what its variant says otherwise."""
    sensor = Sensor(
        name=name,
        kind=layout.kind,
        channels=channels,
        dtype=variant.dtype or layout.dtype,
        unit=layout.unit,
        valid_min=layout.valid_min if variant.valid_min is None else variant.valid_min,
        valid_max=layout.valid_max if variant.valid_max is None else variant.valid_max,
    )
    return Source(sensor, variant)
