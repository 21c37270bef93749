"""A quantised CSK-Net for boards: predicted, packed and deployed by the same words as every other network."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
from fake_board import FakeBoard
from shipped import TAG, make_wheels

from dis2_boards.deployment.deploying import deploy
from dis2_boards.deployment.order import Order
from dis2_boards.deployment.telling import Spoken
from dis2_boards.packing import pack as packing
from dis2_boards.packing.kernels import PackedKernels
from dis2_boards.packing.locks import write_lock
from dis2_boards.packing.pack import pack
from dis2_boards.packing.pins import Wheel
from dis2_boards.profile import load
from dis2_edge import bundle as bundles
from dis2_edge.bundle import Bundle
from dis2_edge.cli import main
from dis2_edge.files import sha256

SCENARIOS = ("rgb+heat", "rgb", "heat")


@pytest.fixture
def unproven(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what takes processes of their own: kernels that cannot be built here, and the goldens."""
    monkeypatch.setattr(packing, "verify", lambda *_: None)
    monkeypatch.setattr(packing, "write_kernels", lambda *_: PackedKernels(why="left out"))


@pytest.mark.parametrize("board", ["orin-nx-16gb", "orin-nano-8gb"])
def test_a_jetson_predicts_both_sensors_slower_than_one(pair_run: Path, board: str, capsys) -> None:
    assert main(["plan", str(pair_run), "--board", board, "--fps", "10", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    ms = {row["scenario"]: row["predicted_ms"] for row in rows if row["precision"] == "int8"}
    assert set(ms) == set(SCENARIOS)
    assert ms["rgb+heat"] > 1.1 * ms["heat"] > 0
    assert ms["rgb"] == pytest.approx(ms["heat"], rel=0.1)


@pytest.mark.usefixtures("unproven")
def test_a_jetson_gets_its_own_files_and_those_that_stand_in(pair_run: Path, tmp_path: Path) -> None:
    made = pack(pair_run, load("orin-nx-16gb"), tmp_path / "bundle")
    told = {(row.scenario, row.dialect, row.io) for row in made.manifest.models}
    assert told == {(s, *form) for s in SCENARIOS for form in (("trt", "tensor"), ("ort", "frame"))}
    card = (made.path / "card.md").read_text()
    assert "| heat | thermal | 1 | uint16 | DN | 1 to 60000 |" in card
    assert "pauses" not in card


@pytest.mark.usefixtures("unproven")
def test_the_card_tells_that_a_thermal_camera_pauses(pair_run: Path, tmp_path: Path) -> None:
    shutil.copytree(pair_run, tmp_path / "qrun")
    index = json.loads((tmp_path / "qrun/quantized.json").read_text())
    index["task"]["sensors"][1]["pause_ms"] = 1500
    (tmp_path / "qrun/quantized.json").write_text(json.dumps(index))
    card = (pack(tmp_path / "qrun", load("host"), tmp_path / "bundle").path / "card.md").read_text()
    assert "- heat pauses by itself for up to 1500 ms" in card


def test_it_is_sent_proven_and_switched_to(pair: Bundle, tmp_path: Path) -> None:
    folder = shutil.copytree(pair.path, tmp_path / "bundle")
    wheels = make_wheels(tmp_path / "wheels")
    write_lock(folder, TAG, [Wheel(path.name, sha256(path), path.stat().st_size) for path in wheels])
    made = bundles.write(folder, dataclasses.replace(pair.manifest, files={}))
    board = FakeBoard()
    board.hello["trusted"] = []
    order = Order(source=made.path, target=board, wheels=tmp_path / "wheels", words=("bundle", *board.words))
    spoken = Spoken()
    try:
        done = deploy(order, spoken)
    finally:
        spoken.close()
    assert (done.bundle.id, done.engine, done.precision) == (made.id, "onnxruntime", "int8")
    assert board.hello["current"] == made.id
    placed = next(row for row in board.asked if row["ask"] == "place")["files"]
    assert {f"models/{scenario}-int8-ort-frame.onnx" for scenario in SCENARIOS} <= set(placed)
