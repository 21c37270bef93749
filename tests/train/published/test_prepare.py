"""Look-alikes of the published archives become data sets that the one reader reads: values, places, splits, counts."""

import json
from pathlib import Path
from typing import Any

import lookalikes
import numpy as np
import pytest
import rasterio

from dis2_edge import tiff
from dis2_edge.cli import main
from dis2_edge.dataset import DataSet, open_dataset
from dis2_edge.images import read_image, read_indices
from dis2_edge.statistics import measure, with_statistics
from dis2_train.published.benchmark import NAMES, load
from dis2_train.published.prepare import Choices, prepare

POTSDAM = ("2_10", "2_11", "2_13")
PARTIAL = Choices(tile=32, partial=True)


@pytest.fixture(scope="module")
def potsdam(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    raw = tmp_path_factory.mktemp("potsdam")
    return raw, lookalikes.potsdam(raw, POTSDAM)


@pytest.fixture(scope="module")
def prepared(potsdam: tuple[Path, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "data"
    prepare("potsdam", potsdam[0], out, Choices(tile=32, overlap=8, partial=True))
    return out


def _record(out: Path) -> Any:
    return json.loads((out / "prepared.json").read_text())


def _origin(id_: str) -> tuple[str, int, int]:
    scene, _, place = id_.rpartition("_r")
    return scene, *map(int, place.split("c"))


def _scene(data: DataSet, split: str, size: int) -> np.ndarray[Any, Any]:
    """The labels of a split's scene, put together again; where two tiles say something they must agree."""
    whole = np.full((size, size), 255, np.uint8)
    for id_ in data.ids(split):
        _, top, left = _origin(id_)
        label = data.read(split, id_).label
        view = whole[top : top + label.shape[0], left : left + label.shape[1]]
        assert (view[label != 255] == 255).all() or split == "train", "a pixel counts in two tiles"
        view[label != 255] = label[label != 255]
    return whole


@pytest.mark.parametrize(("split", "scene"), [("train", "2_10"), ("val", "2_11"), ("test", "2_13")])
def test_labels_are_the_truth_with_clutter_ignored(
    split: str, scene: str, prepared: Path, potsdam: tuple[Path, dict[str, Any]]
) -> None:
    truth = np.where(potsdam[1][scene] == 5, 255, potsdam[1][scene])
    np.testing.assert_array_equal(_scene(open_dataset(prepared), split, 96), truth)


def test_frames_are_the_files_values_in_metres(prepared: Path, potsdam: tuple[Path, dict[str, Any]]) -> None:
    raw, truth = potsdam
    data = open_dataset(prepared)
    colour = read_image(raw / "2_Ortho_RGB" / "2_Ortho_RGB" / "top_potsdam_2_10_RGB.tif")
    for id_ in data.ids("train"):
        _, top, left = _origin(id_)
        sample = data.read("train", id_)
        np.testing.assert_array_equal(sample.frames["rgb"], colour[top : top + 32, left : left + 32])
        codes = truth["2_10"][top : top + 32, left : left + 32]
        metres = np.where(codes == 1, 8.0, np.where(codes == 3, 5.0, 0.0))
        assert np.abs(sample.frames["ndsm"][..., 0] - metres).max() < 0.5  # the archive's JPEG
        assert sample.frames["ndsm"].dtype == np.float32


def test_heights_are_geotiffs_that_the_reader_of_the_base_reads(prepared: Path) -> None:
    id_ = open_dataset(prepared).ids("train")[-1]
    _, top, left = _origin(id_)
    path = prepared / "ndsm" / f"{id_}.tif"
    with rasterio.open(path) as file:
        assert file.crs.to_epsg() == 32633
        east, north = lookalikes.POTSDAM_CORNER
        assert file.transform.c == pytest.approx(east + left * 0.05, abs=1e-6)
        assert file.transform.f == pytest.approx(north - top * 0.05, abs=1e-6)
        assert file.profile["dtype"] == "float32"
        stored = file.read(1)
    np.testing.assert_array_equal(tiff.read(path)[..., 0], stored)
    np.testing.assert_array_equal(read_image(path)[..., 0], stored)


def test_every_pixel_counts_once_and_the_ignored_by_name(prepared: Path, potsdam: tuple[Path, dict[str, Any]]) -> None:
    splits = _record(prepared)["splits"]
    for split, scene in (("train", "2_10"), ("test", "2_13")):
        counts = np.bincount(potsdam[1][scene].ravel(), minlength=6)
        assert list(splits[split]["class_pixels"].values()) == counts[:5].tolist()
        assert splits[split]["ignored_pixels"] == {"clutter": counts[5], "boundary": 0, "no data": 0}
    assert splits["train"]["tiles"] == 16
    assert splits["test"]["tiles"] == 9


def test_statistics_are_written_and_training_takes_them(prepared: Path) -> None:
    data = open_dataset(prepared)
    measured = {row.name: row for row in measure(data, "train")}
    for sensor in with_statistics(data.task, tuple(measured.values())).sensors:
        assert sensor.mean == pytest.approx(measured[sensor.name].mean, rel=1e-4)
        assert sensor.std == pytest.approx(measured[sensor.name].std, rel=1e-4)
        assert data.task.sensor(sensor.name).mean == sensor.mean
    assert _record(prepared)["statistics"]["ndsm"]["high"] == pytest.approx(measured["ndsm"].high, abs=1e-4)


def test_the_record_says_where_everything_came_from(prepared: Path) -> None:
    record = _record(prepared)
    assert record["files"]["2_10"] == {
        "rgb": "top_potsdam_2_10_RGB.tif",
        "ndsm": "dsm_potsdam_02_10_normalized_lastools.jpg",
        "labels": "top_potsdam_2_10_label.tif",
    }
    assert record["sensors"]["ndsm"]["scale"] == 0.1
    assert "decimetre" in record["sensors"]["ndsm"]["source"]
    assert record["choices"]["overlap"] == 8


def test_eroded_labels_are_for_judging_only(potsdam: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    prepare("potsdam", potsdam[0], tmp_path / "out", Choices(tile=32, partial=True, labels="eroded"))
    splits = _record(tmp_path / "out")["splits"]
    assert splits["train"]["ignored_pixels"]["boundary"] == 0
    border = 96 * 96 - 90 * 90  # every 16th row and column
    assert splits["test"]["ignored_pixels"]["boundary"] == border
    assert splits["val"]["ignored_pixels"]["boundary"] == border


def test_infrared_in_a_band_called_alpha_is_no_mask(potsdam: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    raw = potsdam[0]
    prepare("potsdam", raw, tmp_path / "out", Choices(tile=96, partial=True, variants={"optical": "rgbir"}))
    data = open_dataset(tmp_path / "out")
    with rasterio.open(raw / "4_Ortho_RGBIR" / "top_potsdam_2_10_RGBIR.tif") as file:
        np.testing.assert_array_equal(data.read("train", "2_10_r0c0").frames["rgb"], file.read().transpose(1, 2, 0))
    assert _record(tmp_path / "out")["splits"]["train"]["ignored_pixels"]["no data"] == 0


def test_a_surface_model_keeps_its_absolute_heights(potsdam: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    prepare("potsdam", potsdam[0], tmp_path / "out", Choices(tile=96, partial=True, variants={"height": "dsm"}))
    data = open_dataset(tmp_path / "out")
    heights = data.read("train", "2_10_r0c0").frames["ndsm"][..., 0]
    np.testing.assert_allclose(heights[potsdam[1]["2_10"] == 1], 43.0)
    assert data.task.sensor("ndsm").valid_max == 500.0


def test_vaihingen_takes_the_ground_off_a_slope(tmp_path: Path) -> None:
    lookalikes.vaihingen(tmp_path / "raw", ("1", "11", "2"), (400, 500))
    prepare("vaihingen", tmp_path / "raw", tmp_path / "out", Choices(tile=200, partial=True))
    data = open_dataset(tmp_path / "out")
    assert data.task.scenarios == ("irrg+ndsm", "irrg", "ndsm")
    heights = data.read("test", "2_r0c0").frames["ndsm"][..., 0]
    codes = lookalikes.label_codes((400, 500), 2)[:200, :200]
    assert np.median(heights[codes == 1]) == pytest.approx(9.0, abs=0.6)
    assert np.abs(heights[codes == 0]).max() < 5.0  # 5 m of slope within the 60 m of the opening


def test_normalised_heights_of_vaihingen_need_their_scale(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lookalikes.vaihingen(tmp_path / "raw", ("1", "11", "2"))
    grey = np.full((80, 100), 50, np.uint8)
    for area in ("1", "11", "2"):
        path = tmp_path / "raw" / "ndsm" / f"ndsm_09cm_matching_area{area}.bmp"
        lookalikes.write_raster(path, grey, driver="BMP")
    words = ["data", "prepare", "vaihingen", "--raw", str(tmp_path / "raw"), "--out", str(tmp_path / "out")]
    words += ["--tile", "32", "--partial", "--height", "ndsm"]
    assert main(words) == 2
    assert "--metres-per-grey" in capsys.readouterr().err
    assert main([*words, "--metres-per-grey", "0.2"]) == 0
    heights = open_dataset(tmp_path / "out").read("train", "1_r0c0").frames["ndsm"]
    np.testing.assert_allclose(heights, 10.0)


def test_mfnet_is_four_channels_and_lists(tmp_path: Path) -> None:
    frames = lookalikes.mfnet(tmp_path / "raw")
    prepare("mfnet", tmp_path / "raw", tmp_path / "out")
    data = open_dataset(tmp_path / "out")
    assert data.splits == ("train", "val", "test", "test_day", "test_night")
    assert data.ids("train") == ("00001D", "00002N")  # without the mirrored copies
    assert data.ids("test") == ("00004D", "00005N")
    assert data.ids("test_night") == ("00005N",)
    sample = data.read("train", "00001D")
    np.testing.assert_array_equal(sample.frames["rgb"], frames["00001D"][..., :3])
    np.testing.assert_array_equal(sample.frames["thermal"], frames["00001D"][..., 3:])
    np.testing.assert_array_equal(sample.label, read_indices(tmp_path / "raw" / "labels" / "00001D.png"))
    assert len(data.task.classes) == 9
    assert _record(tmp_path / "out")["splits"]["test"]["tiles"] == 2


def test_pst900_keeps_recordings_whole_and_holes_holes(tmp_path: Path) -> None:
    lookalikes.pst900(tmp_path / "raw")
    prepare("pst900", tmp_path / "raw", tmp_path / "out")
    data = open_dataset(tmp_path / "out")
    recordings = {split: {id_.partition("_rect")[0] for id_ in data.ids(split)} for split in data.splits}
    assert recordings["test"] == {"40_bag9"}
    assert len(recordings["val"]) == 1
    assert not recordings["val"] & recordings["train"]
    assert len(data.ids("train")) + len(data.ids("val")) == 12
    sample = data.read("train", data.ids("train")[0])
    assert data.on_grid(sample).holes == {"rgb": 0, "thermal": 6 * 64}
    assert data.task.sensor("thermal").mean[0] == pytest.approx(130, abs=5)  # the zeros are not in it


def test_raw_thermal_keeps_its_sixteen_bits(tmp_path: Path) -> None:
    lookalikes.pst900(tmp_path / "raw")
    prepare("pst900", tmp_path / "raw", tmp_path / "out", Choices(variants={"thermal": "raw"}, tile=48))
    data = open_dataset(tmp_path / "out")
    frame = data.read("test", data.ids("test")[0]).frames["thermal"]
    assert frame.dtype == np.uint16
    assert frame.max() > 7000


def test_the_verb_prints_the_table_and_check_accepts_what_it_made(
    potsdam: tuple[Path, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    assert (
        main(["data", "prepare", "potsdam", "--raw", str(potsdam[0]), "--out", out, "--tile", "48", "--partial"]) == 0
    )
    said = capsys.readouterr().out
    assert "ignored: clutter" in said
    assert "16.67" in said  # a sixth of the look-alike is clutter
    assert main(["data", "check", out]) == 0


@pytest.mark.parametrize(("name", "parts"), [("potsdam", (24, 7, 14)), ("vaihingen", (16, 5, 17))])
def test_published_lists_are_whole(name: str, parts: tuple[int, int, int]) -> None:
    split = load(name).split
    assert (len(set(split.train)), len(set(split.val)), len(set(split.test))) == parts
    assert set(split.val) <= set(split.train)
    assert not set(split.test) & set(split.train)


@pytest.mark.parametrize("name", NAMES)
def test_layouts_say_what_they_are_and_their_terms(name: str) -> None:
    layout = load(name)
    assert layout.about
    assert layout.terms
    assert all(row.about for sensor in layout.sensors.values() for row in sensor.variants.values())
