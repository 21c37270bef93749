"""A profile counts every image in every scenario, says only what was measured, and leaves all or nothing."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
from proven_bundle import TASK, make_data, make_proven
from tiny_bundle import HEAT, NDSM, RGB, expected, frames_of, task_of

from dis2_edge.bundle import Bundle
from dis2_edge.cli import main
from dis2_edge.dataset import open_dataset
from dis2_edge.errors import BundleError, DataError, EngineError, StorageError
from dis2_edge.labelled import Images
from dis2_edge.report.write import read
from dis2_edge.scores import confusion
from dis2_runtime.profiling import profile as profiling
from dis2_runtime.profiling.measure import FEWEST
from dis2_runtime.profiling.profile import Choices, profile
from dis2_runtime.profiling.showcase import telling

QUICK = Choices(threads=1, calls=25)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_proven(tmp_path_factory.mktemp("made") / "bundle")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("data"))


def test_counts_are_those_of_the_masks_and_truths(bundle: Bundle, data: Path, tmp_path: Path) -> None:
    report = profile([bundle.path], data, tmp_path / "out", choices=QUICK)
    found = {(row.scenario, row.precision): np.array(row.confusion) for row in report.bundles[0].rows}
    assert set(found) == {(name, kind) for name in TASK.scenarios for kind in ("fp32", "int8")}
    for (scenario, _), counts in found.items():
        wanted = np.zeros((2, 3), np.int64)
        for place in range(6):
            frames = frames_of(TASK, seed=100 + place)
            truth = expected(TASK, TASK.full, frames)
            truth[:3] = 255
            wanted += confusion(truth, expected(TASK, scenario, frames), 2)
        # A pixel whose values sum exactly to the threshold may round to either side in ONNX Runtime.
        assert np.abs(counts - wanted).sum() <= 0.01 * wanted.sum()
        assert counts.sum() == 6 * 21 * 32
    assert report.bundles[0].rows[0].scores.miou > 0.99


def test_latency_says_how_it_was_taken(bundle: Bundle, data: Path, tmp_path: Path) -> None:
    report = profile([bundle.path], data, tmp_path / "out", choices=QUICK)
    for row in report.bundles[0].rows:
        assert (row.latency.n, row.latency.warm_up) == (25, 10)
        assert row.latency.p95_ms is not None
        assert row.latency.p99_ms is None
    assert report.threads == 1
    assert report.machine.packages.keys() >= {"numpy", "onnxruntime"}


def test_a_slow_model_is_timed_until_the_time_is_up(bundle: Bundle, data: Path, tmp_path: Path) -> None:
    choices = Choices(threads=1, calls=10_000, seconds=0.0, precisions=("int8",))
    report = profile([bundle.path], data, tmp_path / "out", choices=choices)
    assert {row.latency.n for row in report.bundles[0].rows} == {FEWEST}


def test_the_report_stands_whole_in_its_folder(bundle: Bundle, data: Path, tmp_path: Path) -> None:
    report = profile([bundle.path, bundle.path], data, tmp_path / "out", choices=QUICK)
    assert read(tmp_path / "out") == report
    shown = [shot for tile in report.bundles[0].tiles for shot in (*tile.inputs, *tile.masks, *tile.errors)]
    assert len(report.bundles[0].tiles) == 4
    assert len(shown) == 4 * (3 + 3 + 3)
    for picture in shown:
        assert (tmp_path / "out" / picture.file).read_bytes().startswith(b"\x89PNG")


def test_both_bundles_show_the_same_tiles(bundle: Bundle, data: Path, tmp_path: Path) -> None:
    other = make_proven(tmp_path / "other", precisions=("int8",))
    report = profile([bundle.path, other.path], data, tmp_path / "out", choices=QUICK)
    first, second = ([tile.id for tile in row.tiles] for row in report.bundles)
    assert first == second
    assert [row.precision for row in report.bundles[1].rows] == ["int8"] * 3


def test_fewer_images_are_spread_over_the_split(bundle: Bundle, data: Path) -> None:
    images = Images(bundle, open_dataset(data), "test", 3)
    assert images.names == ("00", "02", "05")
    assert images.in_split == 6


def test_the_worst_image_is_chosen_by_its_mean_error() -> None:
    assert telling({"a": [0.1], "b": [0.9, 0.1], "c": [0.4, 0.7], "d": [0.0]}) == {
        "worst": "c",
        "second worst": "b",
        "median": "a",
        "best": "d",
    }
    assert telling({"only": [0.0]}) == {"worst": "only"}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('classes = ["dark", "bright"]', 'classes = ["land", "water"]', r"has the classes \['land', 'water'\]"),
        ("sensors.ndsm", "sensors.dsm", "has no sensor 'ndsm'"),
        ('unit = "DN"', 'unit = "DN"\nbands = [1]', "rgb is 1 x uint8"),
    ],
)
def test_data_that_does_not_fit_the_bundle_is_refused(
    bundle: Bundle, data: Path, tmp_path: Path, old: str, new: str, message: str
) -> None:
    text = (data / "dataset.toml").read_text()
    assert old in text
    (tmp_path / "other.toml").write_text(text.replace(old, new))
    with pytest.raises(DataError, match=message):
        profile([bundle.path], data, tmp_path / "out", describe=tmp_path / "other.toml", choices=QUICK)
    assert not (tmp_path / "out").exists()


def test_data_without_labels_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    data = make_data(tmp_path / "data", labels=False)
    with pytest.raises(DataError, match="labels"):
        profile([bundle.path], data, tmp_path / "out", choices=QUICK)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


def test_a_full_disk_leaves_nothing(
    bundle: Bundle, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="no space left"):
        profile([bundle.path], data, tmp_path / "out", choices=QUICK)
    assert list(tmp_path.iterdir()) == []


def test_an_altered_bundle_is_not_measured(data: Path, tmp_path: Path) -> None:
    made = make_proven(tmp_path / "bundle", precisions=("int8",))
    recipe = made.file("recipe.toml")
    recipe.write_bytes(recipe.read_bytes().replace(b"linear", b"linEar"))
    with pytest.raises(BundleError, match=r"recipe\.toml was altered"):
        profile([made.path], data, tmp_path / "out", choices=QUICK)


def test_a_precision_that_is_not_there_is_named(bundle: Bundle, data: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"holds no fp16 model; expected one of fp32, int8"):
        profile([bundle.path], data, tmp_path / "out", choices=Choices(precisions=("fp16",)))


def test_an_engine_that_the_bundle_is_not_for_is_named(bundle: Bundle, data: Path, tmp_path: Path) -> None:
    told = r"holds no model for tensorrt.*its models are for --engine onnxruntime$"
    for precisions in ((), ("int8",)):
        with pytest.raises(EngineError, match=told):
            profile([bundle.path], data, tmp_path / "out", choices=Choices(precisions=precisions, engine="tensorrt"))
    assert not (tmp_path / "out").exists()


def test_an_unknown_split_is_refused_before_anything_is_measured(
    bundle: Bundle, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profiling, "measure_bundle", lambda *_: pytest.fail("it was measured"))
    with pytest.raises(DataError, match="no split 'val'"):
        profile([bundle.path], data, tmp_path / "out", choices=Choices(split="val"))


def test_a_second_bundle_that_does_not_fit_is_refused_before_the_first_is_measured(
    bundle: Bundle, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profiling, "measure_bundle", lambda *_: pytest.fail("it was measured"))
    three = make_proven(tmp_path / "three", task_of(RGB, NDSM, HEAT), precisions=("int8",))
    with pytest.raises(DataError, match="has no sensor 'heat'"):
        profile([bundle.path, three.path], data, tmp_path / "out", choices=QUICK)


def test_the_verb_prints_the_table_and_names_the_page(
    bundle: Bundle, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["profile", str(bundle.path), "--data", str(data), "--out", str(tmp_path / "out")]
    assert main([*words, "--images", "2", "--threads", "1", "--calls", "20"]) == 0
    printed = capsys.readouterr().out
    assert "rgb+ndsm" in printed
    assert "report.html" in printed
    assert json.loads((tmp_path / "out" / "report.json").read_text())["images"] == 2


@pytest.mark.parametrize(("option", "value"), [("calls", "0"), ("images", "-1"), ("threads", "-1")])
def test_a_number_that_cannot_be_meant_is_refused_before_anything_is_measured(
    bundle: Bundle, data: Path, tmp_path: Path, option: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["profile", str(bundle.path), "--data", str(data), "--out", str(tmp_path / "out")]
    assert main([*words, f"--{option}", value]) == 2
    assert f"--{option} is {value}; expected" in capsys.readouterr().err
