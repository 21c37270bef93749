"""Deploying ends with a proven bundle, or with nothing: whatever is wrong, no half of a bundle stays."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
from pathlib import Path

import pytest
from proven_bundle import make_run, other_model
from tiny_bundle import HEAT, NDSM, RGB, task_of

from dis2_boards.packing import pack as packing
from dis2_boards.packing import proving
from dis2_boards.packing.kernels import PackedKernels
from dis2_boards.packing.pack import pack, unproven
from dis2_boards.profile import load
from dis2_edge import bundle as bundles
from dis2_edge.cli import main
from dis2_edge.errors import BoardError, BundleError, CheckpointError, StorageError

HOST = load("host")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("made") / "qrun")


@pytest.fixture
def qrun(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "qrun")


@pytest.fixture
def unverified(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the verification, which takes a process of its own, where the test is about something else."""
    monkeypatch.setattr(packing, "verify", lambda *_: None)


def for_trt(qrun: Path) -> None:
    """Add rows for TensorRT to the run: of the same files, which nothing here runs."""
    table = json.loads((qrun / "quantized.json").read_text())
    own = [
        row | {"dialect": "trt", "io": "tensor", "miou": 0.75} for row in table["models"] if row["precision"] == "int8"
    ]
    (qrun / "quantized.json").write_text(json.dumps(table | {"models": [*table["models"], *own]}))


def nothing_left(qrun: Path) -> bool:
    return [path.name for path in qrun.parent.iterdir()] == ["qrun"]


def test_a_bundle_is_made_and_verified_by_its_own_process(qrun: Path, tmp_path: Path) -> None:
    bundle = pack(qrun, HOST, tmp_path / "bundle")
    bundles.verify_hashes(bundle)
    assert bundle.manifest.board == "host"
    assert bundle.manifest.policy.anchor == "rgb"
    assert bundle.manifest.policy.rate_hz == RGB.rate_hz
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "qrun"]
    assert (bundle.path / "recipe.toml").read_bytes() == (qrun / "recipe.toml").read_bytes()


@pytest.mark.usefixtures("unverified")
def test_same_run_same_bytes(qrun: Path, tmp_path: Path) -> None:
    first, second = pack(qrun, HOST, tmp_path / "a"), pack(qrun, HOST, tmp_path / "b")
    assert first.digest == second.digest
    assert first.manifest == second.manifest


@pytest.mark.usefixtures("unverified")
def test_three_sensors_deploy_as_two_do(tmp_path: Path) -> None:
    run = make_run(tmp_path / "qrun", task_of(RGB, NDSM, HEAT))
    assert len(pack(run, HOST, tmp_path / "bundle").manifest.models) == 14


@pytest.mark.usefixtures("unverified")
def test_the_card_tells_figures_sensors_and_limits(qrun: Path, tmp_path: Path) -> None:
    card = (pack(qrun, HOST, tmp_path / "bundle").path / "card.md").read_text()
    for words in (
        "| rgb+ndsm | 80.00 | 80.00 | +0.00 |",
        "| ndsm | height | 1 | float32 | metres |",
        "not calibrated",
        "made up",
        "at most 500 ms",
    ):
        assert words in card


def test_a_model_that_fails_its_goldens_is_not_kept(qrun: Path, tmp_path: Path) -> None:
    other_model(qrun, "ndsm")
    with pytest.raises(BundleError, match=r"does not verify and was not kept: models/ndsm-int8.* agrees with"):
        pack(qrun, HOST, tmp_path / "bundle")
    assert nothing_left(qrun)


@pytest.mark.usefixtures("unverified")
@pytest.mark.parametrize("call", ["fsync", "copyfile"])
def test_a_full_disk_leaves_nothing(qrun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os if call == "fsync" else shutil, call, full)
    with pytest.raises(StorageError, match="no space left"):
        pack(qrun, HOST, tmp_path / "bundle")
    assert nothing_left(qrun)


@pytest.mark.usefixtures("unverified")
def test_an_interrupt_leaves_nothing(qrun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(packing, "model_card", interrupt)
    with pytest.raises(KeyboardInterrupt):
        pack(qrun, HOST, tmp_path / "bundle")
    assert nothing_left(qrun)


def test_an_existing_folder_is_not_overwritten(qrun: Path, tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "precious").write_text("x")
    with pytest.raises(StorageError, match="exists already"):
        pack(qrun, HOST, tmp_path / "bundle")
    assert (tmp_path / "bundle" / "precious").read_text() == "x"


def test_a_training_run_says_quantize_it_first(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "weights.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"quantize it first: dis2-edge quantize .*run --data"):
        pack(tmp_path / "run", HOST, tmp_path / "bundle")


def test_an_unfinished_run_is_refused(qrun: Path, tmp_path: Path) -> None:
    (qrun / "quantized.json").unlink()
    with pytest.raises(CheckpointError, match=r"has no quantized\.json; the run is unfinished"):
        pack(qrun, HOST, tmp_path / "bundle")
    assert nothing_left(qrun)


def test_a_bundle_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(CheckpointError, match="is a bundle already"):
        pack(tmp_path, HOST, tmp_path / "bundle")


@pytest.mark.parametrize("name", ["models/rgb-int8-ort-frame.onnx", "goldens/seed1.npz", "recipe.toml"])
def test_a_missing_file_is_named(qrun: Path, tmp_path: Path, name: str) -> None:
    (qrun / name).unlink()
    with pytest.raises(CheckpointError, match=f"{name} is missing"):
        pack(qrun, HOST, tmp_path / "bundle")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("nmae", "x", "did you mean 'name'"),
        ("models", [{"scenario": "rgb"}], "missing"),
        ("task", 3, "table of keys"),
        ("models", [], "no model of linear|no model of tiny"),
    ],
)
def test_a_broken_index_is_refused(qrun: Path, tmp_path: Path, key: str, value: object, message: str) -> None:
    table = json.loads((qrun / "quantized.json").read_text()) | {key: value}
    (qrun / "quantized.json").write_text(json.dumps(table))
    with pytest.raises((CheckpointError, BoardError), match=message):
        pack(qrun, HOST, tmp_path / "bundle")


def test_an_index_that_points_outside_the_run_is_refused(qrun: Path, tmp_path: Path) -> None:
    table = json.loads((qrun / "quantized.json").read_text())
    table["models"][0]["file"] = "../../etc/passwd"
    (qrun / "quantized.json").write_text(json.dumps(table))
    with pytest.raises(BundleError, match="unsafe path"):
        pack(qrun, HOST, tmp_path / "bundle")


def test_a_board_without_a_fitting_model_says_which_it_wants(qrun: Path, tmp_path: Path) -> None:
    half = dataclasses.replace(HOST, name="half", precisions=("fp16",))
    with pytest.raises(BoardError, match=r"for the board 'half'.*ort frame files in fp16"):
        pack(qrun, half, tmp_path / "bundle")


def test_what_only_the_board_can_prove_is_told(qrun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for_trt(qrun)
    monkeypatch.setattr(packing, "write_kernels", lambda *_: None)  # a compiler takes half a minute
    asked: list[list[str]] = []
    monkeypatch.setattr(proving, "find_spec", lambda name: name == "onnxruntime" or None)
    start = proving.start
    monkeypatch.setattr(proving, "start", lambda words, limit: (asked.append(words), start(words, limit))[1])
    made = pack(qrun, load("orin-nx-16gb"), tmp_path / "bundle")
    assert {row.dialect for row in unproven(made)} == {"trt"}
    assert asked[0][-2:] == ["--engine", "onnxruntime"]  # what stands in was proven here
    told = proving.kept(made)
    assert "3 of its 6 models were verified here. NOT proven here: 3 models for tensorrt" in told


def test_a_stand_in_that_fails_its_goldens_is_not_kept_either(
    qrun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for_trt(qrun)
    other_model(qrun, "ndsm")
    monkeypatch.setattr(packing, "write_kernels", lambda *_: None)
    monkeypatch.setattr(proving, "find_spec", lambda name: name == "onnxruntime" or None)
    with pytest.raises(BundleError, match="was not kept: models/ndsm-int8"):
        pack(qrun, load("orin-nx-16gb"), tmp_path / "bundle")
    assert nothing_left(qrun)


@pytest.mark.usefixtures("unverified")
def test_a_jetson_gets_its_files_and_what_stands_in_for_them(
    qrun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for_trt(qrun)
    monkeypatch.setattr(packing, "write_kernels", lambda *_: PackedKernels(why="no nvcc was found"))
    bundle = pack(qrun, load("orin-nx-16gb"), tmp_path / "bundle")
    kinds = {(row.dialect, row.precision) for row in bundle.manifest.models}
    assert kinds == {("trt", "int8"), ("ort", "int8")}
    card = (bundle.path / "card.md").read_text()
    assert "| rgb+ndsm | 75.00 |" in card  # what flies, not what stands in
    assert "CUDA kernels: sources alone; they are compiled on the board if it has nvcc. Why: no nvcc was found." in card
    assert "Models for TensorRT are built, and proven against the goldens, on the board" in card


def test_the_verb_refuses_an_unknown_board_with_exit_2(
    qrun: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["deploy", str(qrun), "--board", "hosst", "--out", str(tmp_path / "bundle")]) == 2
    assert "did you mean 'host'?" in capsys.readouterr().err


@pytest.mark.usefixtures("unverified")
def test_the_verb_says_what_was_made(qrun: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deploy", str(qrun), "--board", "host", "--out", str(tmp_path / "bundle")]) == 0
    assert "verified and kept" in capsys.readouterr().out
