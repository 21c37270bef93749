"""Rasters: both readers give the same pixels and the same place; what cannot be flown over is refused by name."""

from __future__ import annotations

import importlib.util
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mapped_ground import EAST, EPSG, NORTH, PIXEL_M, write_ground
from tiny_bundle import RGB, ground

from dis2_edge.errors import DataError, MissingExtraError, UserError
from dis2_edge.images import write_png, write_tiff
from dis2_runtime.poses.pose import Pose
from dis2_runtime.rasters import Georeference, open_raster
from dis2_runtime.rasters.whole import WholeRaster

rasterio = pytest.importorskip("rasterio", reason="the extra geo is not installed")
from dis2_runtime.rasters.windowed import WindowedRaster  # noqa: E402


def write_geo(path: Path, pixels: np.ndarray, transform: tuple[float, ...], **profile) -> Path:
    """A GeoTIFF by rasterio, of HxWxC pixels."""
    height, width, count = pixels.shape
    profile = {"crs": f"EPSG:{EPSG}", "dtype": pixels.dtype, **profile}
    with rasterio.open(
        path, "w", driver="GTiff", height=height, width=width, count=count, transform=rasterio.Affine(*transform),
        **profile,
    ) as file:  # fmt: skip
        file.write(np.moveaxis(pixels, 2, 0))
    return path


@pytest.mark.parametrize("name", ["rgb", "ndsm"])
def test_both_readers_agree_on_pixels_and_place(tmp_path, name) -> None:
    pixels = write_ground(tmp_path)[name]
    for raster in (WholeRaster(tmp_path / f"{name}.tif"), WindowedRaster(tmp_path / f"{name}.tif")):
        assert raster.shape == pixels.shape
        assert raster.georeference == Georeference((PIXEL_M, 0, EAST, 0, -PIXEL_M, NORTH), EPSG)
        window = raster.read(5, 7, 20, 30)
        np.testing.assert_array_equal(window, pixels[5:25, 7:37])
        assert window.dtype == pixels.dtype
        window[:] = 0
        np.testing.assert_array_equal(raster.read(5, 7, 20, 30), pixels[5:25, 7:37])
        raster.close()
        raster.close()


@pytest.mark.parametrize("heading", [0.0, 30.0, 90.0, 200.0, 359.0])
def test_turned_ground_has_the_pose_that_it_was_written_with(tmp_path, heading) -> None:
    pixels = ground(RGB, (24, 32), np.random.default_rng(0))
    pose = Pose(EAST, NORTH, heading, 0.4, EPSG)
    path = write_geo(tmp_path / "turned.tif", pixels, pose.transform((24, 32)))
    for raster in (WholeRaster(path), WindowedRaster(path)):
        place = raster.georeference
        assert place is not None
        assert (place.gsd_m, place.heading_deg, place.epsg) == (pytest.approx(0.4), pytest.approx(heading), EPSG)
        assert place.ground(16, 12) == (pytest.approx(EAST), pytest.approx(NORTH))
        assert place.place(*place.ground(3.0, 5.5)) == (pytest.approx(3.0, abs=1e-4), pytest.approx(5.5, abs=1e-4))


def test_what_is_declared_as_no_data_is_nan_and_small_integers_become_heights(tmp_path) -> None:
    heights = np.arange(12, dtype=np.int16).reshape(3, 4, 1) * 10
    path = write_geo(tmp_path / "dem.tif", heights, (1, 0, EAST, 0, -1, NORTH), nodata=50)
    for raster in (WholeRaster(path), WindowedRaster(path)):
        read = raster.read(0, 0, 3, 4)
        assert read.dtype == np.float32
        np.testing.assert_array_equal(np.isnan(read), heights == 50)


def test_scaled_heights_are_read_in_their_unit_or_not_at_all(tmp_path) -> None:
    path = write_geo(tmp_path / "dem.tif", np.full((3, 4, 1), 1250, np.int16), (1, 0, EAST, 0, -1, NORTH))
    with rasterio.open(path, "r+") as file:
        file.scales, file.offsets = (0.01,), (-2.0,)
    np.testing.assert_allclose(WindowedRaster(path).read(0, 0, 3, 4), 10.5, rtol=1e-6)
    with pytest.raises(MissingExtraError, match=r"dis2-edge\[geo\]"):
        WholeRaster(path)


@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_world_file_places_a_plain_picture_by_the_centre_of_its_first_pixel(tmp_path, suffix) -> None:
    pixels = ground(RGB, (24, 32), np.random.default_rng(0))
    path = tmp_path / f"plain{suffix}"
    (write_png if suffix == ".png" else write_tiff)(path, pixels)
    assert open_raster(path).georeference is None
    lines = f"{PIXEL_M}\n0\n0\n{-PIXEL_M}\n{EAST + PIXEL_M / 2}\n{NORTH - PIXEL_M / 2}\n"
    path.with_suffix(f".{suffix[1]}{suffix[-1]}w").write_text(lines)
    for raster in (open_raster(path, EPSG), WholeRaster(path, EPSG)):
        assert raster.georeference == Georeference((PIXEL_M, 0, EAST, 0, -PIXEL_M, NORTH), EPSG)


def test_world_file_that_is_none_is_refused(tmp_path) -> None:
    write_png(tmp_path / "plain.png", np.zeros((4, 4, 3), np.uint8))
    (tmp_path / "plain.pgw").write_text("north\n")
    with pytest.raises(DataError, match=r"plain\.pgw is no world file"):
        open_raster(tmp_path / "plain.png")


@pytest.mark.parametrize(
    ("transform", "profile", "message"),
    [
        ((1, 0, 10, 0, -1, 50), {"crs": "EPSG:4326"}, "lies in degrees; expected a projected system"),
        ((1, 0, EAST, 0, -2, NORTH), {}, "pixels of 1 x 2 m; expected square ones"),
        ((1, 0, EAST, 0, 1, NORTH), {}, "rows that run downwards"),
        ((1, 0.5, EAST, 0, -1, NORTH), {}, "expected square ones"),
    ],
)
def test_ground_that_no_pose_can_tell_is_refused(tmp_path, transform, profile, message) -> None:
    path = write_geo(tmp_path / "odd.tif", np.zeros((8, 8, 1), np.float32), transform, **profile)
    for reader in (WholeRaster, WindowedRaster):
        with pytest.raises(DataError, match=rf"odd\.tif.*{message}"):
            reader(path)


def test_palette_is_read_as_colours(tmp_path) -> None:
    write = write_geo(tmp_path / "classes.tif", np.ones((8, 8, 1), np.uint8), (1, 0, EAST, 0, -1, NORTH))
    with rasterio.open(write, "r+") as file:
        file.write_colormap(1, {0: (0, 0, 0), 1: (250, 20, 10)})
    for raster in (WholeRaster(write), WindowedRaster(write)):
        assert raster.read(0, 0, 8, 8)[3, 3].tolist() == [250, 20, 10]


def test_large_tiff_without_the_extra_says_the_pip_line(tmp_path, monkeypatch) -> None:
    path = write_geo(tmp_path / "big.tif", np.zeros((8, 8, 1), np.float32), (1, 0, EAST, 0, -1, NORTH), BIGTIFF="YES")
    assert open_raster(path).shape == (8, 8, 1)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"dis2-edge\[geo\]"):
        open_raster(path)


def test_absent_file_is_named(tmp_path) -> None:
    with pytest.raises(DataError, match=r"none\.tif does not exist"):
        open_raster(tmp_path / "none.tif")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 2**16), value=st.integers(0, 255), length=st.integers(0, 4000), word=st.integers(0, 2**32))
def test_damaged_tiff_is_a_user_error_at_worst(tmp_path, place, value, length, word) -> None:
    path = tmp_path / "whole.tif"
    if not path.exists():
        write_tiff(path, np.zeros((9, 7, 1), np.float32), pixel_m=1, east_north_m=(EAST, NORTH), epsg=EPSG)
    data = bytearray(path.read_bytes())
    data[place % len(data)] = value
    if word % 2:  # somewhere among the tags at the end
        struct.pack_into("<I", data, len(data) - 4 - word % 200, word % 2**32)
    hurt = tmp_path / "hurt.tif"
    hurt.write_bytes(bytes(data[: length if length % 3 == 0 else None]))
    for reader in (WholeRaster, WindowedRaster):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                raster = reader(hurt)
                raster.read(0, 0, min(9, raster.shape[0]), min(7, raster.shape[1]))
        except UserError:
            pass
