"""MFNet, MSRS and PST900 are read as their archives unpack, by a description alone: look-alikes, as we hold none."""

import json
from collections.abc import Callable
from pathlib import Path

import lookalikes
import numpy as np
import pytest
from PIL import Image

from dis2_edge.cli import main
from dis2_edge.dataset import DataSet, open_dataset
from dis2_edge.errors import DataError
from dis2_edge.statistics import measure
from dis2_train.data.describe import describe
from dis2_train.published.benchmark import load

FOLDER = Path(__file__).parents[3] / "train" / "datasets"


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., DataSet]:
    """Opens a look-alike by its description, whose grid is made as small as the look-alike's frames."""

    def open_(name: str, root: Path, *changes: tuple[str, str]) -> DataSet:
        text = (FOLDER / f"{name}.toml").read_text("utf-8")
        for old, new in (("grid = [480, 640]", "grid = [48, 64]"), ("grid = [720, 1280]", "grid = [48, 64]"), *changes):
            text = text.replace(old, new)
        (tmp_path / "described.toml").write_text(text)
        return open_dataset(root, tmp_path / "described.toml")

    return open_


def test_mfnet_comes_apart_into_colour_and_thermal(opened: Callable[..., DataSet], tmp_path: Path) -> None:
    files = lookalikes.mfnet(tmp_path / "raw")
    data = opened("mfnet", tmp_path / "raw")
    sample = data.read("test", "00005N")
    np.testing.assert_array_equal(sample.frames["rgb"], files["00005N"][..., :3])
    np.testing.assert_array_equal(sample.frames["thermal"], files["00005N"][..., 3:])
    np.testing.assert_array_equal(sample.label, np.asarray(Image.open(tmp_path / "raw" / "labels" / "00005N.png")))
    assert [sensor.kind for sensor in data.task.sensors] == ["optical", "thermal"]


def test_mfnets_mirrored_copies_are_left_out_and_its_lists_of_day_and_night_are_splits(
    opened: Callable[..., DataSet], tmp_path: Path
) -> None:
    lookalikes.mfnet(tmp_path / "raw")
    (tmp_path / "raw" / "images" / "00001D_flip.png").write_bytes(b"made by make_flip.py, and never read")
    data = opened("mfnet", tmp_path / "raw")
    assert {split: data.ids(split) for split in data.splits} == {
        "train": ("00001D", "00002N"),
        "val": ("00003D",),
        "test": ("00004D", "00005N"),
        "test_day": ("00004D",),
        "test_night": ("00005N",),
        "train_day": ("00001D",),
        "train_night": ("00002N",),
        "val_day": ("00003D",),
    }
    with pytest.raises(DataError, match="rgb lacks 1 of 4: 00002N_flip"):  # the other copy lies there
        opened("mfnet", tmp_path / "raw", ('leave_out = "_flip"\n', ""))


def test_a_published_list_stays_what_it_is(opened: Callable[..., DataSet], tmp_path: Path) -> None:
    lookalikes.mfnet(tmp_path / "raw")
    (tmp_path / "raw" / "test_night.txt").write_text("\ufeff00004D\r\n00005N\r\n", "utf-8")
    assert opened("mfnet", tmp_path / "raw").ids("test_night") == ("00004D", "00005N")


def test_msrs_gets_a_val_and_parts_by_day_and_night(opened: Callable[..., DataSet], tmp_path: Path) -> None:
    lookalikes.msrs(tmp_path / "raw")
    data = opened("msrs", tmp_path / "raw")
    assert data.splits[:3] == ("train", "val", "test")
    train, val = set(data.ids("train")), set(data.ids("val"))
    assert not train & val
    assert len(train | val) == 29
    assert len(val) == 4  # 15 % of 29
    assert set(data.ids("val_day")) == {id_ for id_ in val if id_.endswith("D")}
    assert set(data.ids("train_night")) == {id_ for id_ in train if id_.endswith("N")}
    assert (data.ids("test_day"), data.ids("test_night")) == (("00032D",), ("00036N",))
    assert data.ids("val") == opened("msrs", tmp_path / "raw").ids("val")
    assert measure(data, "train")[1].mean[0] == pytest.approx(127.5, abs=2)


def test_a_run_is_judged_by_night_alone(opened: Callable[..., DataSet], tmp_path: Path) -> None:
    lookalikes.msrs(tmp_path / "raw")
    opened("msrs", tmp_path / "raw")
    keys = "width = 0.25\nepochs = 1\ncrop = 32\nthreads = 1\naverage_decay = 0\n"
    (tmp_path / "r.toml").write_text(f'network = "deeplabv3"\nsensors = ["thermal"]\n{keys}')
    where = ["--data", str(tmp_path / "raw"), "--describe", str(tmp_path / "described.toml")]
    assert main(["train", str(tmp_path / "r.toml"), *where, "--out", str(tmp_path / "run")]) == 0
    out = str(tmp_path / "night.json")
    assert main(["eval", str(tmp_path / "run"), *where, "--split", "test_night", "--no-noise", "--out", out]) == 0
    found = json.loads(Path(out).read_text())
    assert found["split"] == "test_night"
    assert found["ids"] == ["00036N"]


def test_pst900_keeps_recordings_whole_and_takes_unseen_pixels_for_holes(
    opened: Callable[..., DataSet], tmp_path: Path
) -> None:
    lookalikes.pst900(tmp_path / "raw")
    data = opened("pst900", tmp_path / "raw")
    recordings = {split: {id_.partition("_rect")[0] for id_ in data.ids(split)} for split in data.splits}
    assert set(recordings) == {"train", "val", "test"}
    assert not recordings["train"] & recordings["val"]
    assert data.on_grid(data.read("test", data.ids("test")[0])).holes == {"rgb": 0, "thermal": 6 * 64}
    assert measure(data, "train")[1].mean[0] == pytest.approx(130, abs=5)  # the zeros are not in it


def test_pst900_in_sixteen_bits(opened: Callable[..., DataSet], tmp_path: Path) -> None:
    lookalikes.pst900(tmp_path / "raw")
    data = opened("pst900_raw", tmp_path / "raw")
    assert data.read("test", data.ids("test")[0]).frames["thermal"].dtype == np.uint16
    low, high = measure(data, "train")[1].low, measure(data, "train")[1].high
    assert 6990 < low < high < 9010


def test_the_sizes_of_the_archives_are_held(tmp_path: Path) -> None:
    lookalikes.msrs(tmp_path / "raw")
    data = open_dataset(tmp_path / "raw", FOLDER / "msrs.toml")
    with pytest.raises(DataError, match="48x64 pixels; expected all of one size, the grid's 480x640"):
        data.read("test", "00032D")


@pytest.mark.parametrize("name", ["mfnet", "pst900"])
def test_the_description_and_the_layout_of_one_set_agree(name: str) -> None:
    layout = load(name)
    text = (FOLDER / f"{name}.toml").read_text("utf-8")
    for listed in (layout.classes, layout.colours):
        assert all(f'"{word}"' in text for word in listed)


def test_a_first_draft_of_each_layout_opens(tmp_path: Path) -> None:
    expected = {"msrs": ("vi", "ir"), "mfnet": ("images",), "pst900": ("rgb", "thermal", "thermal_raw")}
    for name, sensors in expected.items():
        (tmp_path / name).mkdir()
        getattr(lookalikes, name)(tmp_path / name)
        made = describe(tmp_path / name, tmp_path / f"{name}.toml")
        if name == "mfnet":
            assert any("4 bands" in guess for guess in made.guesses)
            text = made.text.replace("[split]", '[split]\nleave_out = "_flip"')
            (tmp_path / "mfnet.toml").write_text(text)
        data = open_dataset(tmp_path / name, tmp_path / f"{name}.toml")
        assert data.task.sensor_names == sensors
        assert {"train", "test"} <= set(data.splits)
        assert all(sensor.valid_min >= 0 for sensor in data.task.sensors)  # whole numbers cannot be less


def test_preparing_what_needs_none_says_so() -> None:
    with pytest.raises(DataError, match=r"--describe train/datasets/msrs\.toml"):
        load("msrs")
