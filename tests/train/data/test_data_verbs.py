"""The verbs `data init`, `data check` and `data synth`, as they are typed."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from dis2_edge.cli import main
from dis2_edge.dataset import open_dataset
from dis2_edge.images import image_size, read_image, write_png, write_tiff
from dis2_train.data.datacheck import check
from dis2_train.data.describe import draft
from dis2_train.data.layout import find_patterns
from dis2_train.verbs.data import EXAMPLE, EXAMPLES


@pytest.fixture(scope="module")
def aerial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("synth") / "aerial"
    assert main(["data", "synth", "--out", str(root), "--kind", "aerial", "--count", "6", "--size", "64"]) == 0
    return root


def _fill(root: Path, names: dict[str, np.ndarray]) -> None:
    for name, pixels in names.items():
        write = write_tiff if name.endswith(".tif") else write_png
        write(root / name, pixels)


def test_init_refuses_to_overwrite(aerial: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (aerial / "dataset.toml").read_text()
    assert main(["data", "init", str(aerial)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert (aerial / "dataset.toml").read_text() == before


def test_init_of_a_folder_without_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "init", str(tmp_path)]) == 2
    assert "holds no pictures" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_check_of_an_unpaired_set(aerial: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(aerial, tmp_path / "set")
    (tmp_path / "set" / "train" / "ndsm" / "00001.tif").unlink()
    assert main(["data", "check", str(tmp_path / "set")]) == 2
    assert "unpaired names in split 'train'" in (said := capsys.readouterr().err)
    assert "ndsm lacks 1 of 4: 00001" in said


def test_synth_into_a_folder_in_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x").write_text("mine")
    assert main(["data", "synth", "--out", str(tmp_path), "--count", "3", "--size", "32"]) == 2
    assert "not empty" in capsys.readouterr().err


def test_init_then_check_on_a_folder_that_cannot_be_written(
    aerial: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    described = tmp_path / "drafts" / "mine.toml"
    modes = {path: path.stat().st_mode for path in (aerial, *aerial.rglob("*"))}
    for path, mode in modes.items():
        path.chmod(mode & 0o555)
    try:
        assert main(["data", "init", str(aerial), "--out", str(described)]) == 0
        assert "flight/{id}.png" in capsys.readouterr().out
        check = ["data", "check", str(aerial), "--describe", str(described), "--out", str(tmp_path / "check")]
        assert main(check) == 0
    finally:
        for path, mode in modes.items():
            os.chmod(path, mode)
    assert set(modes) == {aerial, *aerial.rglob("*")}
    drafted, stated = open_dataset(aerial, described), open_dataset(aerial)
    assert drafted.task.sensor_names == stated.task.sensor_names
    assert [sensor.kind for sensor in drafted.task.sensors] == ["optical", "height"]
    assert len(drafted.task.classes) == len(stated.task.classes)
    assert {split: drafted.ids(split) for split in drafted.splits} == {s: stated.ids(s) for s in stated.splits}


def test_check_tells_pairs_ranges_holes_and_shares(
    aerial: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "check", str(aerial), "--out", str(tmp_path), "--rows", "3"]) == 0
    out = capsys.readouterr().out
    dataset = open_dataset(aerial)
    labels = [dataset.read("train", id_).label for id_ in dataset.ids("train")]
    shares = 100 * np.bincount(np.concatenate(labels).ravel(), minlength=5) / np.concatenate(labels).size
    row = next(line for line in out.split("class shares")[1].splitlines() if line.startswith("train"))
    assert row.split() == ["train", *(f"{share:.2f}" for share in shares), "0.00"]
    heights = next(line for line in out.splitlines() if line.startswith("train") and "ndsm" in line).split()
    holes = np.mean([np.isnan(dataset.read("train", id_).frames["ndsm"]).mean() for id_ in dataset.ids("train")])
    assert heights[-2:] == [f"{100 * holes:.2f}", "0"]
    assert image_size(tmp_path / "sheet.png") == (3 * 196, 4 * 196)
    assert read_image(tmp_path / "sheet.png").std() > 20


def test_check_warns_of_blank_frames_and_absent_classes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(2):
        write_png(tmp_path / "train" / "rgb" / f"{number}.png", np.full((8, 8, 3), 100 * number, np.uint8))
        write_png(tmp_path / "train" / "gt" / f"{number}.png", np.zeros((8, 8), np.uint8))
    (tmp_path / "dataset.toml").write_text(
        'classes = ["a", "b"]\nlabels = "{split}/gt/{id}.png"\n'
        '[sensors.rgb]\nkind = "optical"\npath = "{split}/rgb/{id}.png"\n'
    )
    assert main(["data", "check", str(tmp_path)]) == 0
    said = capsys.readouterr().err
    assert "2 of 2 frames of rgb are blank" in said
    assert "no pixel of b" in said


def test_draft_of_one_scene_finds_sensors_and_split_labels(tmp_path: Path) -> None:
    colour, label = np.zeros((20, 30, 3), np.uint8), np.tile(np.array([0, 3, 255], np.uint8), (20, 10))
    heights = np.random.default_rng(0).normal(90, 5, (20, 30, 1)).astype(np.float32)
    _fill(tmp_path, {"rgb.tif": colour, "dem.tif": heights, "gt_train.png": label, "gt_test.png": label})
    result = draft(tmp_path)
    (tmp_path / "dataset.toml").write_text(result.text)
    dataset = open_dataset(tmp_path)
    assert dataset.splits == ("train", "test")
    assert dataset.task.sensor_names == ("rgb", "dem")
    assert len(dataset.task.classes) == 4
    assert dataset.on_grid(dataset.read("train", "scene")).holes == {"rgb": 0, "dem": 0}
    assert any("valid range" in guess for guess in result.guesses)


def test_draft_of_sensors_told_apart_by_the_end_of_names(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for number in range(3):
            _fill(
                tmp_path / split,
                {
                    f"{number:02d}_rgb.png": np.zeros((8, 8, 3), np.uint8),
                    f"{number:02d}_thermal.png": np.zeros((8, 8), np.uint16),
                    f"{number:02d}_mask.png": np.ones((8, 8), np.uint8),
                },
            )
    (tmp_path / "dataset.toml").write_text(draft(tmp_path).text)
    dataset = open_dataset(tmp_path)
    assert dataset.task.sensor_names == ("rgb", "thermal")
    assert dataset.task.sensor("thermal").kind == "thermal"
    assert dataset.ids("val") == ("00", "01", "02")


def test_draft_takes_what_names_share_out_of_the_id(tmp_path: Path) -> None:
    for number in range(2):
        _fill(
            tmp_path,
            {
                f"images/top_{number}_RGB.png": np.zeros((8, 8, 3), np.uint8),
                f"dsm/dsm_{number}.png": np.zeros((8, 8), np.uint8),
                f"labels/top_{number}_label.png": np.full((8, 8, 3), 255 * number, np.uint8),
            },
        )
    assert set(find_patterns(tmp_path)) == {"images/top_{id}_RGB.png", "dsm/dsm_{id}.png", "labels/top_{id}_label.png"}
    result = draft(tmp_path)
    assert 'colours = ["#000000", "#ffffff"]' in result.text
    (tmp_path / "dataset.toml").write_text(result.text)
    dataset = open_dataset(tmp_path)
    assert dataset.splits == ("all",)
    assert dataset.read("all", "1").label.min() == 1


@pytest.mark.parametrize("verb", ["init", "check", "synth", "prepare"])
def test_help_ends_with_an_example_that_parses(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", verb, "--help"]) == 0
    assert capsys.readouterr().out.rstrip().endswith(EXAMPLES[verb])


def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = EXAMPLE.replace("--count 40", "--count 4").replace("--size 128", "--size 32").split()[1:]
    assert main(words) == 0
    assert open_dataset(tmp_path / "out" / "aerial").splits == ("train", "val", "test")


def test_check_counts_what_files_of_integers_declare_as_no_data(tmp_path: Path) -> None:
    info = ImageFileDirectory_v2()
    info.tagtype[42113] = 2
    info[42113] = "0"
    pixels = np.full((4, 6), 9, np.uint8)
    pixels[0] = 0
    Image.fromarray(pixels).save(tmp_path / "a_it.tif", tiffinfo=info)
    (tmp_path / "dataset.toml").write_text(
        'classes = ["low"]\n[sensors.it]\nkind = "radar"\npath = "{id}_it.tif"\nunit = "DN"\n'
    )
    found = check(open_dataset(tmp_path))["all"].sensors["it"]
    assert (found.holes, found.pixels) == (6, 24)
