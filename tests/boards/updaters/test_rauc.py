"""RAUC's full custom handler: one call that ends with the new version, or with the old one and the reason."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from dis2_edge.bundle import Bundle
from tests.boards.updaters.on_board import OLD, OnBoard


def test_one_call_ends_with_the_new_version(tmp_path: Path, archive: Path, packed: Bundle) -> None:
    board = OnBoard.made(tmp_path, archive)
    done = board.rauc()
    assert done.returncode == 0, done
    assert board.now()["current"] == packed.id
    assert done.stdout.startswith("<< handler started\ndis2-edge: ")
    assert done.stdout.endswith("<< handler done\n")
    assert not list((tmp_path / "update" / "tmp").iterdir())


@pytest.mark.parametrize(("verb", "blow"), [("place", "refuse"), ("prove", "no"), ("settle", "no"), ("switch", "die")])
def test_a_failure_leaves_the_old_version_and_the_next_call_begins_anew(
    tmp_path: Path, archive: Path, packed: Bundle, verb: str, blow: str
) -> None:
    board = OnBoard.made(tmp_path, archive)
    board.blow(**{verb: blow})
    done = board.rauc()
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].startswith("<< error dis2-edge: ")
    assert not list((tmp_path / "update" / "tmp").iterdir())
    board.blow()
    assert board.rauc().returncode == 0
    assert (board.now()["current"], board.now()["previous"]) == (packed.id, OLD)


def test_the_name_that_older_rauc_gives_serves_too(tmp_path: Path, archive: Path, packed: Bundle) -> None:
    board = OnBoard.made(tmp_path, archive)
    files = str(tmp_path / "update" / "files")
    script = board.scripts / "rauc" / "handler.sh"
    script.write_text(script.read_text().replace("RAUC_BUNDLE_MOUNT_POINT-", "NOT_THERE-"))
    assert board.rauc(RAUC_UPDATE_SOURCE=files).returncode == 0
    assert board.now()["current"] == packed.id


def test_what_the_rauc_bundle_lacks_is_told(tmp_path: Path, archive: Path) -> None:
    board = OnBoard.made(tmp_path, archive)
    (tmp_path / "update" / "files" / "anything.tar").unlink()
    done = board.rauc()
    assert (done.returncode, done.stdout.startswith("<< error the RAUC bundle holds not one .tar")) == (1, True)


def test_the_manifest_names_the_handler_and_the_bundle(archive: Path, packed: Bundle) -> None:
    with tarfile.open(archive) as tar:
        member = tar.extractfile("rauc/manifest.raucm")
        assert member is not None
        text = member.read().decode()
    assert "[handler]\nfilename=handler.sh\n" in text
    assert f"version={packed.id}\n" in text
