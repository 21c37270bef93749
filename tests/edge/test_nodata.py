"""What a GeoTIFF declares as no data (GDAL's tag) is a hole in sensors and ignored in labels, never a value."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from dis2_edge import tiff
from dis2_edge.dataset import DataSet, open_dataset
from dis2_edge.images import nodata_of, read_image, write_png
from dis2_edge.statistics import measure, with_statistics

TOML = """
classes = ["low", "high"]
colours = ["#101010", "#ffffff"]
labels = "{{id}}_gt.tif"
[sensors.it]
kind = "{kind}"
path = "{{id}}_it.tif"
{more}
"""
LOWEST = float(np.finfo(np.float32).min)


def _write(path: Path, pixels: np.ndarray, nodata: str) -> None:
    """A GeoTIFF of HxW, or of HxWxC bytes, as GDAL marks it."""
    info = ImageFileDirectory_v2()
    info.tagtype[tiff.NODATA] = 2
    info[tiff.NODATA] = nodata
    Image.fromarray(pixels).save(path, format="TIFF", tiffinfo=info)


def _data(
    root: Path, frame: np.ndarray, label: np.ndarray, nodata: str, *, kind: str = "height", more: str = ""
) -> DataSet:
    (root / "dataset.toml").write_text(TOML.format(kind=kind, more=more))
    _write(root / "a_it.tif", frame, nodata)
    _write(root / "a_gt.tif", label, nodata)
    return open_dataset(root)


def _ramp(dtype: str) -> np.ndarray:
    return np.arange(1, 25).reshape(4, 6).astype(dtype)


@pytest.mark.parametrize(("value", "text"), [(-9999.0, "-9999"), (LOWEST, "-3.4028234663852886e+38"), (0.1, "0.1")])
def test_in_float32_it_is_nan(tmp_path: Path, value: float, text: str) -> None:
    pixels = _ramp("float32")
    pixels[1, 2] = value
    _write(tmp_path / "a.tif", pixels, text)
    read = read_image(tmp_path / "a.tif")
    assert np.isnan(read[1, 2, 0])
    assert np.count_nonzero(np.isnan(read)) == 1
    assert nodata_of(tmp_path / "a.tif") == pytest.approx(value)


@pytest.mark.parametrize("text", ["nan", "none", "1e999", "-1.7976931348623157e+308", ""])
def test_what_no_pixel_can_be_marks_none(tmp_path: Path, text: str) -> None:
    _write(tmp_path / "a.tif", _ramp("float32"), text)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif")[..., 0], _ramp("float32"))


def test_pictures_without_the_tag_declare_nothing(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", _ramp("uint8"))
    Image.fromarray(_ramp("uint8")).save(tmp_path / "a.tif")
    assert nodata_of(tmp_path / "a.png") is nodata_of(tmp_path / "a.tif") is None


def test_a_hole_of_metres_takes_no_part_in_statistics_and_comes_out_as_the_mean(tmp_path: Path) -> None:
    frame, label = _ramp("float32"), np.zeros((4, 6), np.uint8)
    frame[0, :3] = -50.0  # within the usual range of heights: only the tag tells
    data = _data(tmp_path, frame, label, "-50")
    (row,) = measure(data, "all")
    assert row.mean[0] == pytest.approx(frame[frame > 0].mean())
    assert row.low > 0
    brought = data.on_grid(data.read("all", "a"), with_statistics(data.task, [row]))
    assert brought.holes == {"it": 3}
    assert brought.frames["it"][0, 0, 0] == pytest.approx(row.mean[0])


def test_in_colours_a_pixel_is_none_when_all_its_channels_are(tmp_path: Path) -> None:
    frame = np.random.default_rng(0).integers(1, 200, (4, 6, 3)).astype(np.uint8)
    frame[0, 0], frame[2, 3, 1] = 0, 0
    data = _data(tmp_path, frame, np.ones((4, 6), np.uint8), "0", kind="optical")
    sample = data.read("all", "a")
    rest = np.delete(frame.reshape(-1, 3), 0, axis=0)
    np.testing.assert_array_equal(sample.frames["it"][0, 0], np.rint(rest.mean(axis=0)))
    np.testing.assert_array_equal(sample.frames["it"].reshape(-1, 3)[1:], rest)
    assert data.on_grid(sample).holes == {"it": 1}


@pytest.mark.parametrize(("more", "value"), [("valid_min = 1", 0), ("valid_max = 65000", 65535)])
def test_integers_with_room_beside_their_range_keep_a_hole_a_hole(tmp_path: Path, more: str, value: int) -> None:
    frame = _ramp("uint16") + np.uint16(30)
    frame[3, 5] = 40
    data = _data(tmp_path, frame, np.ones((4, 6), np.uint8), "40", kind="thermal", more=more)
    sample = data.read("all", "a")
    assert sample.frames["it"][3, 5, 0] == value
    assert sample.frames["it"][1, 3, 0] == value  # 40 is in the ramp too
    (row,) = measure(data, "all")
    assert row.mean[0] == pytest.approx(frame[frame != 40].mean())
    assert data.on_grid(sample).holes == {"it": 2}


def test_integers_that_a_description_wants_in_float32_get_nan(tmp_path: Path) -> None:
    frame = _ramp("uint8")
    data = _data(tmp_path, frame, np.ones((4, 6), np.uint8), "24", more='dtype = "float32"')
    read = data.read("all", "a").frames["it"]
    assert np.isnan(read[3, 5, 0])
    assert np.count_nonzero(np.isnan(read)) == 1


def test_labels_declared_as_none_are_ignored(tmp_path: Path) -> None:
    label = np.ones((4, 6), np.uint8)
    label[0] = 99
    read = _data(tmp_path, _ramp("float32"), label, "99").read("all", "a").label
    assert read is not None
    assert set(read[0]) == {255}
    assert set(read[1:].ravel()) == {1}


def test_a_class_stays_one_though_a_tool_declared_its_index_as_no_data(tmp_path: Path) -> None:
    label = np.zeros((4, 6), np.uint8)
    read = _data(tmp_path, _ramp("float32"), label, "0").read("all", "a").label
    assert read is not None
    assert set(read.ravel()) == {0}


def test_labels_in_colours_are_ignored_where_the_colour_is_declared_as_none(tmp_path: Path) -> None:
    label = np.full((4, 6, 3), 16, np.uint8)
    label[0, 0], label[1, 1] = 0, 255
    read = _data(tmp_path, _ramp("float32"), label, "0").read("all", "a").label
    assert read is not None
    assert (read[0, 0], read[1, 1], read[2, 2]) == (255, 1, 0)


@pytest.mark.parametrize(("bands", "dtype"), [(1, "float32"), (2, "float32"), (5, "uint8"), (2, "int16")])
def test_files_of_gdal_itself_are_understood(tmp_path: Path, bands: int, dtype: str) -> None:
    rasterio = pytest.importorskip("rasterio")
    pixels = np.stack([_ramp(dtype)] * bands)
    pixels[:, 2, 2] = 77
    profile = {"driver": "GTiff", "height": 4, "width": 6, "count": bands, "dtype": dtype, "nodata": 77}
    with rasterio.open(
        tmp_path / "a.tif", "w", compress="deflate", transform=rasterio.Affine(1, 0, 5, 0, -1, 9), **profile
    ) as file:
        file.write(pixels)
    assert nodata_of(tmp_path / "a.tif") == 77
    read = read_image(tmp_path / "a.tif")
    if dtype == "uint8":
        np.testing.assert_array_equal(read, pixels.transpose(1, 2, 0))
    else:
        assert np.isnan(read[2, 2]).all()
        assert np.count_nonzero(np.isnan(read)) == bands
