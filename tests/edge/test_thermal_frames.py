"""Thermal files as they come: 8 and 16 bits, hot shown black, other sizes and places than the camera's."""

from pathlib import Path

import numpy as np
import pytest

from dis2_edge.dataset import DataSet, open_dataset
from dis2_edge.errors import DataError
from dis2_edge.images import image_dtype, write_png, write_tiff
from dis2_edge.statistics import measure, with_statistics

TOML = """
classes = ["cold", "hot"]
labels = "gt/{{id}}.png"
{top}
[sensors.rgb]
kind = "optical"
path = "rgb/{{id}}.png"
{rgb}
[sensors.ir]
kind = "thermal"
path = "ir/{{id}}.png"
{ir}
"""
GRID = (12, 16)


def _colour(size: tuple[int, int] = GRID) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)


def _set(root: Path, *frames: np.ndarray, top: str = "", rgb: str = "", ir: str = "") -> DataSet:
    for number, frame in enumerate(frames):
        write_png(root / "rgb" / f"{number}.png", _colour())
        write_png(root / "gt" / f"{number}.png", (np.indices(GRID).sum(0) % 2).astype(np.uint8))
        write_png(root / "ir" / f"{number}.png", frame)
    (root / "dataset.toml").write_text(TOML.format(top=top, rgb=rgb, ir=ir))
    return open_dataset(root)


def _counts(low: int = 29000, high: int = 31000, size: tuple[int, int] = GRID) -> np.ndarray:
    return np.linspace(low, high, size[0] * size[1]).reshape(size).round().astype(np.uint16)


def test_raw_counts_keep_sixteen_bits_and_are_normalised_by_what_was_measured(tmp_path: Path) -> None:
    data = _set(tmp_path, _counts(), _counts(30000, 32000), ir='unit = "centikelvin"\nvalid_min = 20000')
    sensor = with_statistics(data.task, measure(data, "all")).sensor("ir")
    assert (sensor.dtype, sensor.unit, sensor.valid_max) == ("uint16", "centikelvin", 65535)
    assert sensor.mean[0] == pytest.approx(30500, abs=1)
    assert 600 < sensor.std[0] < 1000  # of the counts that occur, not of the type's range


@pytest.mark.parametrize(("stated", "whose"), [("", "as the first of its files"), ('dtype = "uint16"', "as the desc")])
def test_a_split_that_mixes_depths_is_refused_by_file(tmp_path: Path, stated: str, whose: str) -> None:
    data = _set(tmp_path, _counts(), (_counts() / 256).astype(np.uint8), ir=stated)
    with pytest.raises(DataError, match=rf"1\.png holds uint8; expected uint16 of 'ir', {whose}.*one number type"):
        data.read("all", "1")


def test_hot_shown_black_is_turned_where_the_description_says_so(tmp_path: Path) -> None:
    white = np.arange(192, dtype=np.uint8).reshape(GRID)
    data = _set(tmp_path, white, 255 - white, ir='inverted = ["ir/1.png"]')
    frames = [data.read("all", id_).frames["ir"] for id_ in ("0", "1")]
    np.testing.assert_array_equal(frames[0], frames[1])
    assert frames[1].dtype == np.uint8
    np.testing.assert_array_equal(frames[0][..., 0], white)


def test_counts_are_turned_within_their_valid_range_and_holes_stay(tmp_path: Path) -> None:
    frame = _counts()
    frame[0, :3] = 0
    data = _set(tmp_path, frame, ir='inverted = ["*"]\nvalid_min = 20000\nvalid_max = 40000')
    turned = data.read("all", "0").frames["ir"][..., 0]
    assert (turned[0, :3] == 0).all()
    np.testing.assert_array_equal(turned[1:], 60000 - frame[1:])
    assert data.on_grid(data.read("all", "0")).holes["ir"] == 3


def test_float_frames_are_turned_too(tmp_path: Path) -> None:
    warm = np.linspace(280, 320, 192, dtype=np.float32).reshape(GRID)
    warm[0, 0] = np.nan
    keys = 'inverted = ["*"]\nvalid_min = 200\nvalid_max = 400'
    _set(tmp_path, np.zeros(GRID, np.uint8), ir=keys)
    write_tiff(tmp_path / "ir" / "0.tif", warm)
    text = (tmp_path / "dataset.toml").read_text().replace("ir/{id}.png", "ir/{id}.tif")
    (tmp_path / "dataset.toml").write_text(text)
    turned = open_dataset(tmp_path).read("all", "0").frames["ir"][..., 0]
    np.testing.assert_allclose(turned[1:], 600 - warm[1:])
    assert np.isnan(turned[0, 0])


def test_another_size_wants_a_declaration_and_takes_a_fit(tmp_path: Path) -> None:
    small = np.arange(48, dtype=np.uint8).reshape(6, 8)
    with pytest.raises(DataError, match=r"rgb 12x16, ir 6x8.*alignment = \"declared\""):
        _set(tmp_path, small).read("all", "0")
    data = _set(tmp_path, small, top='alignment = "declared"\nlabels_like = "rgb"')
    brought = data.on_grid(data.read("all", "0")).frames["ir"]
    assert brought.shape == (*GRID, 1)
    assert brought[0, 0, 0] < brought[6, 8, 0] < brought[-1, -1, 0]


def test_a_declared_homography_lays_thermal_on_the_camera(tmp_path: Path) -> None:
    small = np.random.default_rng(1).integers(0, 256, (6, 8)).astype(np.uint8)
    data = _set(
        tmp_path,
        small,
        top='alignment = "declared"\nlabels_like = "rgb"',
        ir="to_grid = [1, 0, 3, 0, 1, 2, 0, 0, 1]",  # 3 columns to the right, 2 rows down
    )
    sample = data.on_grid(data.read("all", "0"))
    np.testing.assert_array_equal(sample.frames["ir"][2:8, 3:11, 0], small)
    np.testing.assert_array_equal(sample.frames["rgb"], _colour())
    assert sample.label is not None
    np.testing.assert_array_equal(sample.label, np.indices(GRID).sum(0) % 2)


@pytest.mark.parametrize(
    ("name", "dtype"), [("a.png", "uint8"), ("b.png", "uint16"), ("c.tif", "float32"), ("d.tif", "uint16")]
)
def test_the_head_of_a_file_tells_its_number_type(tmp_path: Path, name: str, dtype: str) -> None:
    pixels = np.zeros((4, 4, 2 if name == "d.tif" else 1), dtype)
    (write_png if name.endswith("png") else write_tiff)(tmp_path / name, pixels)
    assert image_dtype(tmp_path / name) == dtype
