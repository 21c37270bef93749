"""The archive: the same bytes each time, everything in it, nothing foreign on the board, and what refuses to be one."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from dis2_boards.updaters import archive as archives
from dis2_boards.updaters.archive import write
from dis2_edge.bundle import Bundle, read
from dis2_edge.bundle import write as seal
from dis2_edge.errors import BundleError, StorageError, UserError
from tests.boards.updaters.on_board import OnBoard, stand_in


def test_equal_input_gives_equal_bytes(tmp_path: Path, packed: Bundle, stock: Path) -> None:
    """Also from a copy whose files have other times, and whatever was written meanwhile."""
    write(packed, stock, tmp_path / "a.tar")
    shutil.copytree(packed.path, tmp_path / "copy")
    for path in (tmp_path / "copy").rglob("*"):
        os.utime(path, (1, 1))
    write(read(tmp_path / "copy"), stock, tmp_path / "b.tar")
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar", "b.tar", "copy"]


def test_everything_is_in_it_and_nobody_is_named(tmp_path: Path, packed: Bundle, stock: Path) -> None:
    write(packed, stock, tmp_path / "a.tar")
    with tarfile.open(tmp_path / "a.tar") as tar:
        rows = tar.getmembers()
        contents = json.loads(_read(tar, "contents.json"))
        readme = _read(tar, "README.txt").decode()
    names = {row.name for row in rows}
    assert {f"bundle/{name}" for name in packed.manifest.files} <= names
    assert {"bundle/manifest.json", "bundle/manifest.sha256", "agent/agent.zip", "agent/source.py"} <= names
    assert {f"wheels/{path.name}" for path in stock.iterdir()} <= names
    assert {(row.mtime, row.uid, row.gid, row.uname, row.gname) for row in rows} == {(0, 0, 0, "", "")}
    assert {row.name for row in rows if row.mode & 0o111} == {"mender/dis2-edge", "rauc/handler.sh"}
    assert contents["id"] == packed.id
    assert f"bundle {packed.id} for the board host" in readme


def test_what_runs_on_the_board_needs_the_standard_library_alone(tmp_path: Path, packed: Bundle, stock: Path) -> None:
    write(packed, stock, tmp_path / "a.tar")
    with tarfile.open(tmp_path / "a.tar") as tar:
        (tmp_path / "updater.pyz").write_bytes(_read(tar, "updater.pyz"))
    with zipfile.ZipFile(tmp_path / "updater.pyz") as archive:
        assert set(archive.namelist()) == {
            "__main__.py",
            "dis2_boards/__init__.py",
            *(
                f"dis2_boards/updaters/{name}.py"
                for name in ("__init__", "install", "payload", "settings", "talking", "messages")
            ),
        }
    words = [sys.executable, "-I", "-S", str(tmp_path / "updater.pyz")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (1, "usage: updater.pyz install|commit|rollback ARCHIVE STATE\n")


def test_a_bundle_without_locks_cannot_be_installed_and_is_refused(tmp_path: Path, packed: Bundle, stock: Path) -> None:
    shutil.copytree(packed.path, tmp_path / "bare")
    shutil.rmtree(tmp_path / "bare" / "wheels")
    bare = seal(tmp_path / "bare", dataclasses.replace(packed.manifest, files={}))
    with pytest.raises(BundleError, match="locks no packages"):
        write(bare, stock, tmp_path / "a.tar")


def test_an_altered_bundle_a_missing_wheel_and_a_taken_place_are_refused(
    tmp_path: Path, packed: Bundle, stock: Path
) -> None:
    shutil.copytree(packed.path, tmp_path / "altered")
    (tmp_path / "altered" / "card.md").write_text("# B linear classifier\n")
    with pytest.raises(BundleError, match=r"card\.md was altered"):
        write(read(tmp_path / "altered"), stock, tmp_path / "a.tar")
    with pytest.raises(UserError, match=r"dis2_edge-0\.1\.0-py3-none-any\.whl is missing"):
        write(packed, tmp_path / "nowhere", tmp_path / "a.tar")
    (tmp_path / "a.tar").write_text("mine")
    with pytest.raises(StorageError, match="exists already"):
        write(packed, stock, tmp_path / "a.tar")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar", "altered"]


def test_a_lock_that_was_altered_on_the_way_is_refused(tmp_path: Path, archive: Path) -> None:
    """The rows of wheels come from the lock in the archive, which must be the one that the manifest is held against."""
    altered = tmp_path / "altered.tar"
    with tarfile.open(archive) as source, tarfile.open(altered, "w") as out:
        for row in source.getmembers():
            data = _read(source, row.name)
            if row.name.endswith(".lock"):
                data = data.replace(b"numpy", b"mumpy")
            out.addfile(row, io.BytesIO(data))
    board = OnBoard.made(tmp_path / "board", altered)
    done = board.mender("ArtifactInstall")
    assert done.returncode == 1
    assert ".lock was altered" in done.stderr
    assert "place" not in board.now()["log"]


def test_another_machine_is_told_which_wheels_there_are(tmp_path: Path, archive: Path) -> None:
    other = tmp_path / "other.tar"
    with tarfile.open(archive) as source, tarfile.open(other, "w") as out:
        for row in source.getmembers():
            data = _read(source, row.name).replace(b'"machine": os.uname().machine', b'"machine": "riscv64"')
            row.size = len(data)
            out.addfile(row, io.BytesIO(data))
    done = OnBoard.made(tmp_path / "board", other).mender("ArtifactInstall")
    assert done.returncode == 1
    assert "-riscv64; expected cp3" in done.stderr


def test_a_bundle_for_a_gpu_is_for_its_own_board_alone(tmp_path: Path, packed: Bundle, stock: Path) -> None:
    shutil.copytree(packed.path, tmp_path / "for orin")
    bundle = seal(tmp_path / "for orin", dataclasses.replace(packed.manifest, board="orin-nx-16gb", files={}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(archives, "bootstrap", stand_in)
        write(bundle, stock, tmp_path / "a.tar")
    board = OnBoard.made(tmp_path / "board", tmp_path / "a.tar")
    done = board.mender("ArtifactInstall")
    assert done.returncode == 1
    assert "this is no board that is known, and the bundle is for orin-nx-16gb" in done.stderr
    board.blow(board="orin-nx-16gb")
    assert board.mender("ArtifactInstall").returncode == 0


def _read(tar: tarfile.TarFile, name: str) -> bytes:
    member = tar.extractfile(name)
    assert member is not None
    return member.read()
