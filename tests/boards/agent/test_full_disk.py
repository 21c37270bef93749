"""A disk that is full, read-only or failing from any change on: one error a request, and the way back is there."""

import errno
import io
import json
import os
import shutil
import tempfile
from pathlib import Path
from unittest import mock

import pytest

from dis2_boards.agent import disk
from dis2_boards.agent.disk import Witness
from dis2_boards.agent.places import pointed
from dis2_boards.agent.serving import serve
from tests.boards.agent.killed import MEMORY, Requests, digest_of, held, talk
from tests.boards.agent.pretence import StandInService, stand_ins
from tests.boards.agent.scenes import NEW, OLD, OLDER, deploy
from tests.boards.agent.talking import AgentError, Local

TAKES_ROOM = {"mkdir", "create", "write", "symlink", "link", "child", "half of a child"}
"""Changes that fail on a full disk. Renames and removals do not, which is what the way back is made of."""


class Full(Witness):
    """A disk on which nothing more fits from change `at` on."""

    def __init__(self, at: int, number: int, *, healthy: bool) -> None:
        self.at, self.number, self.count, self.healthy = at, number, 0, healthy

    def before(self, name: str, path: Path) -> None:
        self.count += 1
        if self.count >= self.at > 0 and name in TAKES_ROOM:
            raise OSError(self.number, os.strerror(self.number), str(path))


@pytest.mark.parametrize("healthy", [True, False], ids=["flies well", "does not fly well"])
def test_a_disk_that_fills_up_at_any_moment_leaves_a_version_that_flies(healthy: bool) -> None:
    with stand_ins(), tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        start, root = Path(folder) / "start", Path(folder) / "root"
        start.mkdir()
        for fake in (OLDER, OLD):
            talk(start, deploy(fake))
        seen, at, count = set(), 1, 2
        while at < count:
            shutil.rmtree(root, ignore_errors=True)
            shutil.copytree(start, root, symlinks=True)
            StandInService.healthy, StandInService.flies = healthy, OLD.id
            full = Full(at, errno.ENOSPC, healthy=healthy)
            with mock.patch.object(disk, "witness", full):
                replies = _replies(root)
                count = full.count if at == 1 else max(count, full.count)
                _check(root, replies, at, healthy)
                talk(root, [{"ask": "lock"}])
                _check(root, replies, at, healthy)
            state = digest_of(root)
            if state not in seen:
                StandInService.healthy = True
                talk(root, deploy(NEW))
                assert held(root) == "NEW"
            seen.add(state)
            at += 1
    assert at > 100


def _replies(root: Path) -> list[dict[str, dict[str, str]]]:
    write = io.BytesIO()
    serve(Requests(root, deploy(NEW, "--source", "a=b")), write)
    return [row for line in write.getvalue().splitlines() if "tell" not in (row := json.loads(line))]


def _check(root: Path, replies: list[dict[str, dict[str, str]]], at: int, healthy: bool) -> None:
    asked = [row for row in deploy(NEW) if isinstance(row, dict)]
    assert len(replies) == len(asked) + 1, f"one answer or error to each request, at {at}"
    kept = "answer" in replies[-1] and bool(replies[-1]["answer"]["kept"])
    assert held(root) == ("NEW" if kept else "OLD"), f"full from change {at} on: {replies[-1]}"
    assert StandInService.flies == pointed(root / "current")
    assert kept <= healthy


@pytest.mark.parametrize(
    ("number", "mend"),
    [(errno.ENOSPC, "dis2-edge prune"), (errno.EDQUOT, "quota"), (errno.EROFS, "read-only"), (errno.EIO, "dmesg")],
    ids=["full", "quota", "read-only", "failing"],
)
def test_the_disk_is_told_with_a_mend(tmp_path: Path, number: int, mend: str) -> None:
    with Local(tmp_path / "root") as talk_:
        talk_.ask("lock")
        with mock.patch.object(disk, "witness", Full(1, number, healthy=True)):
            with pytest.raises(AgentError, match=mend):
                talk_.upload(b"data")
            with pytest.raises(AgentError, match=mend):
                talk_.ask("service", kind="none", args=["x"])
        assert talk_.upload(b"data")


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    with Local(tmp_path / "root") as talk_:
        talk_.ask("lock")
        (tmp_path / "root" / "deploy.log").unlink(missing_ok=True)
        (tmp_path / "root" / "deploy.log").mkdir()
        talk_.ask("service", kind="none", args=["x"])
