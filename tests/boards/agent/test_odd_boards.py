"""Boards as nobody should leave them: damaged notes, links that lead elsewhere, files of others. Never worse after."""

from __future__ import annotations

import os
import time
from pathlib import Path
from unittest import mock

import pytest

from dis2_boards.agent import disk, launcher, places, status
from dis2_boards.agent.places import Places, as_json, checked_root
from dis2_boards.agent.services import State
from dis2_boards.agent.services.process import ProcessService, _started
from tests.boards.agent.killed import held, talk
from tests.boards.agent.pretence import StandInService, stand_ins
from tests.boards.agent.scenes import NEW, OLD, OLDER, deploy
from tests.boards.agent.talking import AgentError, Local

LOCK = [{"ask": "lock"}]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A board that flies OLD, flew OLDER before, and has NEW as well, proven."""
    with stand_ins():
        for fake in (NEW, OLDER, OLD):
            talk(tmp_path / "root", deploy(fake))
    return tmp_path / "root"


def cut_after_switch(root: Path, pending: bytes) -> None:
    """As a power cut leaves it right after a switch to NEW, with `pending` for a note."""
    (root / ".current.back").symlink_to(f"versions/{OLD.id}")
    disk.link_to(f"versions/{NEW.id}", root / "current")
    (root / "pending.json").write_bytes(pending)


def pending(before: object) -> bytes:
    return as_json({"id": NEW.id, "before": before, "boot": "x", "since_s": 1})


GARBAGE = [b"", b"\x00" * 512, b"[]", b"{", b"[" * 100_000]


@pytest.mark.parametrize("note", [*GARBAGE, pending(OLD.id)])
def test_a_damaged_note_of_a_switch_goes_back_all_the_same(root: Path, note: bytes) -> None:
    cut_after_switch(root, note)
    launcher.go_back(root)  # what it cannot read, it leaves
    with stand_ins():
        assert talk(root, LOCK) == [{}]
        assert held(root) == "OLD"
        talk(root, deploy(NEW))
        assert held(root) == "NEW"


@pytest.mark.parametrize("before", ["../../etc", "f" * 12, 5, [], None])
def test_a_note_that_names_what_is_not_there_leaves_no_dangling_link(root: Path, before: object) -> None:
    cut_after_switch(root, pending(before))
    with stand_ins():
        assert talk(root, LOCK) == [{}]
    assert held(root) == "nothing"
    assert not os.path.lexists(root / "pending.json")


@pytest.mark.parametrize("target", [f"{{root}}/versions/{OLD.id}", f"./versions/{OLD.id}"])
def test_a_link_that_is_spelled_otherwise_is_gone_back_to(root: Path, target: str) -> None:
    disk.link_to(target.format(root=root), root / "current")
    with stand_ins():
        StandInService.healthy = False
        assert not talk(root, deploy(NEW))[-1]["kept"]
        assert held(root) == "OLD"


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_what_flies_from_elsewhere_is_not_taken_away(root: Path, tmp_path: Path, kind: str) -> None:
    current = root / "current"
    current.unlink()
    (tmp_path / "other").mkdir()
    {"folder": current.mkdir, "file": current.touch, "link": lambda: current.symlink_to(tmp_path / "other")}[kind]()
    with stand_ins():
        answers = talk(root, [{"ask": "switch", "id": NEW.id}, {"ask": "status"}], check=False)
    assert "no link to a version of this board" in answers[0]["error"]["found"]
    assert answers[1]["pending"] is None
    assert os.path.lexists(current)


@pytest.mark.parametrize("way", ["missing", "dangling"])
def test_a_board_whose_current_is_gone_takes_a_new_version(root: Path, way: str) -> None:
    disk.unlink(root / "current")
    if way == "dangling":
        (root / "current").symlink_to("versions/" + "f" * 12)
    with stand_ins():
        talk(root, deploy(NEW))
        assert held(root) == "NEW"


def test_a_start_that_fails_on_the_way_is_undone_at_once(root: Path) -> None:
    with stand_ins():
        StandInService.flies = OLD.id
        fails = mock.patch.object(disk, "rename", side_effect=OSError(5, "Input/output error"))
        with fails:
            answers = talk(root, [*LOCK, {"ask": "switch", "id": NEW.id}], check=False)
        assert "error" in answers[1]
        assert talk(root, LOCK) == [{}]
        assert held(root) == "OLD"


def test_what_cannot_be_removed_stands_in_nobodys_way(root: Path) -> None:
    left = root / "versions" / f".{NEW.id}.old"
    left.mkdir()
    rmdir = os.rmdir

    def owned_by_root(path: Path) -> None:
        if path == left:
            raise PermissionError(13, "Permission denied", str(path))
        rmdir(path)

    with stand_ins(), mock.patch.object(os, "rmdir", owned_by_root):
        assert talk(root, [*LOCK, {"ask": "rollback", "to": NEW.id}])[1]["current"] == NEW.id
    assert "cannot be removed" in (root / "deploy.log").read_text()


@pytest.mark.parametrize(
    "text", ["[]", '{"command": "sh", "args": "-x"}', '{"command": [1], "args": {"a": 1}}', "\x00"]
)
def test_a_damaged_way_of_starting_is_the_usual_one(root: Path, text: str) -> None:
    (root / "service.json").write_text(text)
    (root / "current" / "choice.json").write_text('{"engine": 5}')
    words = launcher.command_of(root)
    assert words[1:5] == ["-I", "-m", "dis2_edge", "run"]
    assert "sh" not in words


@pytest.mark.parametrize("ahead_s", [-60.0, 60.0])
def test_a_word_from_before_the_start_is_no_sign_of_life(ahead_s: float) -> None:
    live = {"bundle": OLD.id, "written_s": time.time() + ahead_s}
    assert status.health(live, State(True), OLD.id)[0] is False


def test_a_root_is_known_by_one_name(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk")
    assert checked_root(str(tmp_path / "link" / "root")) == tmp_path / "disk" / "root"


@pytest.mark.parametrize("below", ["", "root"])
def test_a_root_on_a_disk_that_is_not_mounted_is_refused(tmp_path: Path, below: str) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "mnt" / "disk")
    with Local() as session, pytest.raises(AgentError, match="which is not there"):
        session.ask("hello", root=str(tmp_path / "link" / below))
    assert not (tmp_path / "mnt").exists()


def test_a_root_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    me = os.stat(tmp_path).st_uid
    monkeypatch.setattr(os, "geteuid", lambda: me + 1001)
    monkeypatch.setattr(places, "_SYSTEM", -1)  # these tests may run as the system's own user
    with Local() as session, pytest.raises(AgentError, match="belongs to another user"):
        session.ask("hello", root=str(tmp_path))


def test_a_number_that_another_process_got_is_not_ended(tmp_path: Path) -> None:
    """A number that was once our child's is forgotten, and what does not carry the mark is not ours."""
    _started.add(os.getpid())
    ProcessService(Places(tmp_path)).stop()
    assert os.getpid() not in _started
