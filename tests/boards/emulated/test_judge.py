"""The judge of a board: what it must call whole, and each thing that it must call a fault."""

import json
import shutil
from pathlib import Path

import pytest

from dis2_edge import bundle as bundles
from tests.boards.emulated import judge
from tests.runtime.tiny_bundle import NDSM, RGB, make_bundle, task_of

OTHER = "0123456789ab"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("made") / "bundle", task_of(RGB, NDSM, grid=(32, 32))).path


@pytest.fixture
def board(tmp_path: Path, made: Path) -> tuple[Path, str]:
    root, name = tmp_path / "root", bundles.read(made).id
    version = root / "versions" / name
    shutil.copytree(made, version / "bundle")
    (version / "env-1" / "bin").mkdir(parents=True)
    (version / "env").symlink_to("env-1")
    for part in ("choice.json", "proof.json"):
        (version / part).write_text("{}")
    (root / "stock").mkdir()
    (root / "current").symlink_to(f"versions/{name}")
    return root, name


def faults(root: Path, known: dict[str, str]) -> str:
    return "; ".join(judge.look(root, known).faults)


def test_a_board_before_its_first_deploy_runs_nothing_and_that_is_no_fault(tmp_path: Path) -> None:
    assert judge.look(tmp_path / "root", {}) == judge.State(judge.NONE, "", False, ())


def test_a_whole_version_has_no_fault(board: tuple[Path, str]) -> None:
    root, name = board
    assert judge.look(root, {name: "new", OTHER: "old"}) == judge.State("new", name, False, ())
    assert judge.rubbish(root) == []


def test_a_version_that_nobody_sent_is_a_fault(board: tuple[Path, str]) -> None:
    assert "neither the old version nor the new" in faults(board[0], {OTHER: "old"})


def test_one_flipped_bit_is_a_fault(board: tuple[Path, str]) -> None:
    root, name = board
    file = sorted((root / "versions" / name / "bundle").rglob("*.onnx"))[0]
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    assert f"{file.name} was altered" in faults(root, {name: "new"})


@pytest.mark.parametrize("part", ["choice.json", "proof.json", "env", "bundle/manifest.json"])
def test_a_missing_part_is_a_fault(board: tuple[Path, str], part: str) -> None:
    root, name = board
    (root / "versions" / name / part).unlink()
    assert judge.look(root, {name: "new"}).faults


@pytest.mark.parametrize("target", ["versions/../../elsewhere", "versions", "/versions/0123456789ab", "versions/xyz"])
def test_a_link_to_anywhere_else_is_a_fault(board: tuple[Path, str], target: str) -> None:
    root, name = board
    (root / "current").unlink()
    (root / "current").symlink_to(target)
    assert "current names" in faults(root, {name: "new"})


def test_a_previous_that_hangs_is_a_fault(board: tuple[Path, str]) -> None:
    root, name = board
    (root / "previous").symlink_to(f"versions/{OTHER}")
    assert f"previous names {OTHER}, which is not there" in faults(root, {name: "new"})


def test_half_a_file_is_a_fault_and_a_whole_pending_is_told(board: tuple[Path, str]) -> None:
    root, name = board
    (root / "pending.json").write_text(json.dumps({"id": name, "before": None}))
    assert judge.look(root, {name: "new"}).pending
    assert judge.rubbish(root) == ["pending.json"]
    (root / "pending.json").write_text("{")
    assert "pending.json cannot be read" in faults(root, {name: "new"})


def test_rubbish_is_named(board: tuple[Path, str]) -> None:
    root, _ = board
    (root / "versions" / f".{OTHER}.new").mkdir()
    (root / "stock" / f"{'0' * 64}.part").write_bytes(b"")
    assert len(judge.rubbish(root)) == 2


def test_what_flies_is_read_or_it_is_nothing(board: tuple[Path, str]) -> None:
    root, name = board
    assert judge.flies(root) == {}
    (root / "state").mkdir()
    (root / "state" / "live.json").write_text(json.dumps({"bundle": name}))
    assert judge.flies(root)["bundle"] == name
