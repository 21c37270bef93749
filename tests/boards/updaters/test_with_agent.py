"""The real agent in the archive: installed offline by the real pip, proven in a child, switched, rolled back."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from tiny_bundle import RGB, make_bundle, task_of

from dis2_boards.updaters.archive import write
from dis2_edge import bundle as bundles
from dis2_edge.bundle import Bundle
from tests.boards.agent.standin import NAME, tag, wheel
from tests.boards.updaters.on_board import OnBoard


def archive_of(folder: Path, what: str) -> tuple[Bundle, Path]:
    """A bundle whose wheel is a stand-in for dis2-edge, and its archive."""
    made = make_bundle(folder / what, task_of(RGB), precisions=("int8",))
    (folder / what / "behaviour.json").write_text(json.dumps({"prove": "ok", "run": "ok", "called": what}))
    stock = folder / "stock"
    stock.mkdir(exist_ok=True)
    (stock / NAME).write_bytes(wheel())
    sha, size = hashlib.sha256(wheel()).hexdigest(), len(wheel())
    (folder / what / "wheels").mkdir()
    (folder / what / "wheels" / f"{tag()}.lock").write_text(f"{sha}  {size}  {NAME}\n")
    bundle = bundles.write(folder / what, made.manifest)
    write(bundle, stock, folder / f"{what}.tar")
    return bundle, folder / f"{what}.tar"


def flies(root: Path) -> str:
    return os.path.basename(os.readlink(root / "current"))


def test_the_whole_way_by_both_updaters(tmp_path: Path) -> None:
    first, first_archive = archive_of(tmp_path, "first")
    second, second_archive = archive_of(tmp_path, "second")
    root = tmp_path / "root"
    boards = {
        "rauc": OnBoard.made(tmp_path / "by rauc", first_archive),
        "mender": OnBoard.made(tmp_path / "by mender", second_archive),
    }
    for board in boards.values():
        (board.folder / "defaults").write_text(f'DIS2_EDGE_ROOT="{root}"\n')

    done = boards["rauc"].rauc()
    assert done.returncode == 0, done
    assert flies(root) == first.id
    assert json.loads((root / "current" / "choice.json").read_text())["engine"] == "onnxruntime"

    mender = boards["mender"].mender
    for state in ("ArtifactInstall", "ArtifactCommit"):
        done = mender(state)
        assert done.returncode == 0, done
    assert flies(root) == second.id
    assert "flies already" in mender("ArtifactInstall").stdout
    for _ in range(2):
        assert mender("ArtifactRollback").returncode == 0
        assert flies(root) == first.id


def test_the_agent_judges_what_the_archive_holds(tmp_path: Path) -> None:
    """A file of the bundle that was altered within the archive reaches no version."""
    _, archive = archive_of(tmp_path, "only")
    data = archive.read_bytes()
    assert data.count(b"# A linear classifier\n") == 1
    archive.write_bytes(data.replace(b"# A linear classifier\n", b"# B linear classifier\n"))
    board = OnBoard.made(tmp_path / "board", archive)
    (board.folder / "root" / "board.json").unlink()
    done = board.mender("ArtifactInstall")
    assert done.returncode == 1
    assert "damaged on the way" in done.stderr
    assert not (board.folder / "root" / "current").exists()
