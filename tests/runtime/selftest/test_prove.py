"""`bundle prove`: what is wrong with one precision is told and stops nothing; what flies was loaded and proven."""

from __future__ import annotations

import dataclasses
import errno
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from proven_bundle import TASK, make_data, make_proven, other_model

from dis2_edge import bundle as bundles
from dis2_edge.bundle import Bundle
from dis2_edge.cli import main
from dis2_edge.dataset import open_dataset
from dis2_edge.labelled import Images
from dis2_edge.report.write import draw, read
from dis2_edge.scores import confusion
from dis2_edge.tiles_file import read_tiles, write_tiles
from dis2_runtime.engines.onnx_runtime import open_model
from dis2_runtime.selftest import apart, report
from dis2_runtime.selftest.precision import How, prove_precision
from dis2_runtime.selftest.prove import prove

QUICK = How(threads=1, calls=12)
ROW = {"scenario", "precision", "dialect", "engine", "agreement", "error", "p50_ms", "p90_ms", "n", "miou"}
ROW |= {"class_iou", "proven", "why"}


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return make_proven(tmp_path / "bundle")


@pytest.fixture
def tiles(bundle: Bundle, tmp_path: Path) -> Path:
    images = Images(bundle, open_dataset(make_data(tmp_path / "data")), "test", 3)
    write_tiles(tmp_path / "tiles.npz", (images.read(name) for name in images.names), TASK)
    return tmp_path / "tiles.npz"


def resealed(bundle: Bundle, **changes: Any) -> Bundle:
    return bundles.write(bundle.path, dataclasses.replace(bundle.manifest, **changes))


def proven_by_cli(bundle: Path, out: Path, *more: str) -> tuple[int, dict[str, Any]]:
    code = main(["bundle", "prove", str(bundle), "--out", str(out), "--threads", "1", "--calls", "12", *more])
    return code, json.loads(out.read_text())


def test_every_model_is_proven_and_timed_in_processes_of_their_own(
    bundle: Bundle, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code, proof = proven_by_cli(bundle.path, tmp_path / "proof.json", "--progress", "json")
    assert (code, proof["bundle"], proof["engine"]) == (0, bundle.id, "onnxruntime")
    assert proof["chosen"]["engine"] == "onnxruntime"
    assert [(row["scenario"], row["precision"]) for row in proof["rows"]] == [
        (scenario, precision) for precision in ("int8", "fp32") for scenario in TASK.scenarios
    ]
    for row in proof["rows"]:
        assert set(row) == ROW
        assert (row["proven"], row["why"], row["agreement"], row["error"], row["n"]) == (True, "", 1.0, 0.0, 12)
        assert 0 < row["p50_ms"] <= row["p90_ms"]
        assert (row["miou"], row["class_iou"], row["dialect"]) == (None, None, "ort")
    assert proof["machine"]["packages"]["onnxruntime"]
    assert isinstance(proof["machine"]["power_mode"], str)
    told = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert all(set(line) == {"label", "done", "total"} for line in told)
    assert {"label": "onnxruntime int8: goldens", "done": 3, "total": 3} in told
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_precision_that_misses_a_golden_leaves_the_other_to_fly(bundle: Bundle) -> None:
    other_model(bundle.path, "rgb")
    proof = prove(resealed(bundle), QUICK, run=prove_precision)
    assert (proof.engine, proof.precision) == ("onnxruntime", "fp32")
    wrong = [row for row in proof.rows if not row.proven]
    assert [(row.scenario, row.precision) for row in wrong] == [("rgb", "int8")]
    assert "agrees with its golden on 0." in wrong[0].why
    assert wrong[0].why in proof.why
    assert {row.latency is None for row in proof.rows if row.precision == "int8"} == {True}, "it is not worth a time"


def test_a_file_that_is_no_model_is_told_with_all_rows_of_its_precision(bundle: Bundle) -> None:
    bundle.file("models/ndsm-fp32-ort-frame.onnx").write_bytes(b"no protobuf at all")
    proof = prove(resealed(bundle), QUICK, run=prove_precision)
    assert proof.precision == "int8"
    told = {row.why for row in proof.rows if row.precision == "fp32"}
    assert len(told) == 1
    assert "ndsm-fp32-ort-frame.onnx cannot be loaded" in told.pop()


def test_nothing_that_flies_is_one_message_exit_2_and_a_proof_all_the_same(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other_model(bundle.path, "rgb")
    rows = tuple(row for row in bundle.manifest.models if row.precision == "int8")
    for row in bundle.manifest.models:
        if row not in rows:
            bundle.file(row.file).unlink()
    code, proof = proven_by_cli(resealed(bundle, models=rows).path, tmp_path / "proof.json")
    assert (code, proof["chosen"], proof["engine"]) == (2, None, None)
    assert "agrees with its golden" in proof["why"]
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "does not fly here: onnxruntime int8: models/rgb-int8" in errors[0]


def test_a_flipped_bit_is_in_the_proof_and_no_engine_sees_the_file(bundle: Bundle, tmp_path: Path) -> None:
    path = bundle.file("models/rgb-int8-ort-frame.onnx")
    data = bytearray(path.read_bytes())
    data[40] ^= 1
    path.write_bytes(data)
    code, proof = proven_by_cli(bundle.path, tmp_path / "proof.json")
    assert (code, proof["rows"], proof["bundle"]) == (2, [], bundle.id)
    assert "rgb-int8-ort-frame.onnx was altered" in proof["why"]


def test_a_bundle_without_goldens_is_not_called_proven(bundle: Bundle) -> None:
    for golden in bundle.manifest.goldens:
        bundle.file(golden.file).unlink()
    proof = prove(resealed(bundle, goldens=()), QUICK, run=prove_precision)
    assert proof.precision is None
    assert "holds no golden" in proof.why


@pytest.mark.parametrize(
    ("does", "words"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "was killed, as a rule because memory ended"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "was ended by SIGSEGV"),
        ("raise SystemExit(3)", "ended with 3 and no word"),
    ],
)
def test_a_process_that_dies_costs_its_precision_alone(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, does: str, words: str
) -> None:
    def run(bundle: Bundle, engine: Any, precision: Any, how: How) -> Sequence[Any]:
        prover = apart.prove_apart if precision == "int8" else prove_precision
        return prover(bundle, engine, precision, how)

    monkeypatch.setattr(apart, "own_python", lambda module: ([sys.executable, "-c", does], {}))
    proof = prove(bundle, QUICK, run=run)
    assert proof.precision == "fp32"
    assert {row.why for row in proof.rows if row.precision == "int8"} == {f"its process {words}"}


@pytest.mark.parametrize(
    ("error", "words"),
    [(MemoryError("no 3 GiB"), "MemoryError: no 3 GiB"), (OSError(errno.ENOSPC, "disk full"), "disk full")],
)
def test_memory_or_room_that_ends_here_is_told_too(bundle: Bundle, error: Exception, words: str) -> None:
    def run(bundle: Bundle, engine: Any, precision: Any, how: How) -> Sequence[Any]:
        if precision == "fp32":
            raise error
        return prove_precision(bundle, engine, precision, how)

    proof = prove(bundle, QUICK, run=run)
    assert proof.precision == "int8"
    assert words in proof.why


def test_accuracy_is_counted_on_the_tiles(bundle: Bundle, tiles: Path, tmp_path: Path) -> None:
    words = ("--tiles", str(tiles), "--report", str(tmp_path / "report"))
    code, proof = proven_by_cli(bundle.path, tmp_path / "proof.json", *words)
    assert code == 0
    found_report = read(tmp_path / "report")
    kept = read_tiles(tiles, TASK)
    for row in found_report.bundles[0].rows:
        model = open_model(bundle.file(bundle.model(row.scenario, row.precision).file), 1)
        shown = [kept.read(name) for name in kept.names]
        wanted = sum(confusion(tile.truth, model.run(tile.frames).mask, 2) for tile in shown)
        assert np.array_equal(row.confusion, wanted)
        assert row.images == 3
        found = next(r for r in proof["rows"] if (r["scenario"], r["precision"]) == (row.scenario, row.precision))
        assert found["miou"] == round(row.scores.miou, 6)
        assert found["class_iou"] == [round(value, 6) for value in row.scores.iou]
    assert "<h2>Confusion</h2>" in (tmp_path / "report" / "report.html").read_text()


def test_a_board_without_jinja_writes_the_truth_alone(
    bundle: Bundle, tiles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proof = prove(bundle, dataclasses.replace(QUICK, tiles=tiles), run=prove_precision)
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "report.json").write_text("of an earlier deploy")
    monkeypatch.setattr(report.importlib.util, "find_spec", lambda name: None)
    report.write_report(tmp_path / "report", bundle, proof, tiles, 1)
    assert [path.name for path in (tmp_path / "report").iterdir()] == ["report.json"]
    monkeypatch.undo()
    draw(tmp_path / "report")
    assert (tmp_path / "report" / "report.html").exists()


def test_a_folder_of_the_users_is_not_replaced_by_a_report(
    bundle: Bundle, tiles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("report.json", "thesis.tex"):
        (tmp_path / "mine").mkdir(exist_ok=True)
        (tmp_path / "mine" / name).write_text("years")
    words = ["--tiles", str(tiles), "--report", str(tmp_path / "mine"), "--out", str(tmp_path / "proof.json")]
    assert main(["bundle", "prove", str(bundle.path), *words]) == 2
    assert "exists already and is not empty" in capsys.readouterr().err
    assert not (tmp_path / "proof.json").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--max-drop", "-1"], "--max-drop is -1"),
        (["--max-drop", "nan"], "--max-drop is nan"),
        (["--calls", "0"], "--calls is 0"),
        (["--report", "report"], "--report without --tiles"),
        (["--engines", "{bundle}/plans"], "choose another --engines"),
        (["--out", "{bundle}/proof.json"], "choose another --out"),
    ],
)
def test_bad_words_are_refused_before_anything_runs(
    bundle: Bundle, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(["bundle", "prove", str(bundle.path), *(word.format(bundle=bundle.path) for word in words)]) == 2
    assert message in capsys.readouterr().err


def test_tiles_of_another_task_are_told_in_the_proof(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "tiles.npz").write_bytes(b"no zip")
    code, proof = proven_by_cli(bundle.path, tmp_path / "proof.json", "--tiles", str(tmp_path / "tiles.npz"))
    assert (code, proof["rows"]) == (2, [])
    assert "no readable file of tiles" in proof["why"]
