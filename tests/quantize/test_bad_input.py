"""What cannot be quantised, and what goes wrong half-way: one clear message, nothing left behind."""

import dataclasses
import errno
import os
import shutil
import signal

import numpy as np
import pytest
import torch
from PIL import Image

from dis2_edge import cli
from dis2_edge.dataset import open_dataset
from dis2_edge.errors import CheckpointError, DataError, StorageError
from dis2_edge.images import read_image, write_tiff
from dis2_quantize import run as stage
from dis2_quantize.run import quantize

BOTH = ("fp32", "int8")


@pytest.fixture
def run(trained):
    return trained("early_fusion")


@pytest.fixture
def recipe(run):
    return dataclasses.replace(run.recipe, quantize_epochs=0)


@pytest.fixture
def copy(aerial, tmp_path):
    """A copy of the data that may be spoiled."""
    shutil.copytree(aerial.root, tmp_path / "data")
    return tmp_path / "data"


def described(root, old, new):
    """The data set at `root` with a change to its description."""
    file = root / "dataset.toml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    return open_dataset(root)


def fill_at(monkeypatch, written):
    """Let the disk be full when the file called `written` is put on it."""
    sync = os.fsync

    def full(handle):
        if os.readlink(f"/proc/self/fd/{handle}").split("/")[-1].startswith(f".{written}."):
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(handle)

    monkeypatch.setattr(os, "fsync", full)


@pytest.mark.parametrize("written", ["rgb-int8-ort-frame.onnx", "1.npz", "verdict.json", "quantized.json"])
def test_a_full_disk_leaves_nothing(run, recipe, aerial, tmp_path, monkeypatch, written):
    fill_at(monkeypatch, written)
    with pytest.raises(StorageError, match=f"no space left while writing .*{written}"):
        quantize(run, recipe, aerial, tmp_path / "q", BOTH)
    assert not list(tmp_path.iterdir())


def test_every_file_is_written_by_the_writers_that_tell_of_a_full_disk(run, recipe, aerial, tmp_path, monkeypatch):
    replace, written = os.replace, set()

    def noted(source, target):
        written.add(os.path.basename(target))
        replace(source, target)

    monkeypatch.setattr(os, "replace", noted)
    quantize(run, recipe, aerial, tmp_path / "q", BOTH)
    assert {path.name for path in (tmp_path / "q").rglob("*") if path.is_file()} <= written


def test_an_interrupt_in_the_middle_leaves_nothing(run, aerial, tmp_path, monkeypatch, capsys):
    record = stage.record

    def interrupted(*args):
        done = record(*args)
        os.kill(os.getpid(), signal.SIGINT)
        return done

    monkeypatch.setattr(stage, "record", interrupted)
    words = ["--data", str(aerial.root), "--out", str(tmp_path / "q"), "--set", "quantize_epochs=0"]
    assert cli.main(["quantize", str(run.path), *words]) == cli.INTERRUPTED
    assert capsys.readouterr().err.splitlines()[-1] == "interrupted"
    assert not list(tmp_path.iterdir())


def blank(root, sensor, keep):
    """Replace all frames of a sensor in `train` but the first `keep` by nothing but holes."""
    for file in sorted((root / "train" / sensor).iterdir())[keep:]:
        pixels = read_image(file)
        if file.suffix == ".png":
            Image.fromarray(np.zeros_like(pixels)).save(file)
        else:
            write_tiff(file, np.full_like(pixels, np.nan))


@pytest.mark.parametrize(("sensor", "scenario"), [("rgb", r"rgb\+ndsm"), ("ndsm", r"rgb\+ndsm")])
def test_calibration_data_that_lack_a_sensor_are_told_with_the_count_wanted(
    run, recipe, copy, tmp_path, sensor, scenario
):
    blank(copy, sensor, keep=1)
    images = len(list((copy / "train" / sensor).iterdir()))
    told = rf"1 images to calibrate {scenario} on, as of {images} images of train {sensor} {images - 1} show nothing"
    with pytest.raises(DataError, match=rf"{told}; expected 4 or more"):
        quantize(run, recipe, open_dataset(copy), tmp_path / "q", ["int8"])
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_an_absent_frame_is_told_by_the_reader(copy):
    next((copy / "train" / "ndsm").iterdir()).unlink()
    with pytest.raises(DataError, match="ndsm"):
        open_dataset(copy)


def test_data_of_other_classes_or_channels_are_refused_before_anything_is_computed(run, recipe, copy, tmp_path):
    for old, new in (("tree", "shrub"), ('dtype = "uint8"', 'dtype = "uint16"')):
        with pytest.raises(DataError, match=f"{run.path}"):
            quantize(run, recipe, described(copy, old, new), tmp_path / "q", BOTH)
        described(copy, new, old)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_split_to_judge_on_is_asked_for_and_its_labels_too(run, recipe, copy, tmp_path, monkeypatch):
    def never(*args):
        raise AssertionError("something was computed")

    monkeypatch.setattr(stage, "networks_of", never)
    split = 'by = "folder"'
    with pytest.raises(DataError, match="neither a test nor a val split"):
        quantize(run, recipe, described(copy, split, f'{split}\nnames = ["train"]'), tmp_path / "q", ["int8"])
    text = (copy / "dataset.toml").read_text()
    (copy / "dataset.toml").write_text(
        "\n".join(line for line in text.splitlines() if not line.startswith("labels =")).replace(
            '\nnames = ["train"]', ""
        )
    )
    with pytest.raises(DataError, match="has no label"):
        quantize(run, recipe, open_dataset(copy), tmp_path / "q", ["int8"])
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_without_a_val_split_the_test_split_judges(run, recipe, copy, tmp_path):
    split = 'by = "folder"'
    data = described(copy, split, f'{split}\nnames = ["train", "test"]')
    assert quantize(run, recipe, data, tmp_path / "q", ["int8"]).verdict.split == "test"


def test_a_checkpoint_that_is_quantised_already_is_refused_by_the_function_too(run, recipe, aerial, tmp_path):
    (tmp_path / "quantized.json").write_text("{}")
    with pytest.raises(CheckpointError, match=f"quantised already; .*--show {tmp_path}"):
        quantize(dataclasses.replace(run, path=tmp_path), recipe, aerial, tmp_path / "q", BOTH)
    assert [path.name for path in tmp_path.iterdir()] == ["quantized.json"]


def test_an_activation_that_is_not_finite_leaves_nothing_and_names_layer_and_scenario(
    trained, recipe, aerial, tmp_path
):
    run = trained("early_fusion")
    network, good = run.network, {name: value.clone() for name, value in run.network.state_dict().items()}
    with torch.no_grad():
        [unit for unit in network.modules() if isinstance(unit, torch.nn.BatchNorm2d)][4].bias[0] = float("nan")
    try:
        with pytest.raises(DataError, match=r"^calibrating rgb: the layer \w+\.\w+.* gives a value that is not finite"):
            quantize(run, recipe, aerial, tmp_path / "q", ["int8"])
    finally:
        network.load_state_dict(good)
    assert not list(tmp_path.iterdir())
