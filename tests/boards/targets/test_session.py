"""The conversation with an agent: what it may say, what it may not, and how a file comes back."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest
from fake_board import Conversation, FakeBoard

from dis2_boards.targets.child import Child
from dis2_boards.targets.session import Session
from dis2_edge.errors import BoardError, LostError, UserError


def said_by(*lines: bytes, words: tuple[str, ...] = ()) -> Session:
    """A session with an agent that greets, then answers each request with the next of `lines`."""

    def serve(read: BinaryIO, write: BinaryIO) -> None:
        for line in (b'{"answer": {}}\n', *lines):
            if not read.readline():
                return
            with contextlib.suppress(OSError):
                write.write(line)
                write.flush()

    return Session(Conversation(serve), words=words)


def test_what_the_agent_tells_is_heard_before_its_answer() -> None:
    heard: list[tuple[str, int, int]] = []
    with said_by(b'{"tell": {"label": "a", "done": 1.0, "total": 2}}\n{"answer": {"x": 1}}\n') as session:
        assert session.ask("status", lambda *row: heard.append(row)) == {"x": 1}
    assert heard == [("a", 1, 2)]


def test_an_error_is_a_board_error_and_the_session_goes_on() -> None:
    error = {"found": "no room", "expected": "some", "mend": "try dis2-edge prune, or dis2-edge key trust"}
    words = ("--target", "ssh://pilot@drone", "--root", "'/a b'")
    with said_by(json.dumps({"error": error}).encode() + b"\n", b'{"answer": {}}\n', words=words) as session:
        with pytest.raises(BoardError) as raised:
            session.ask("put")
        assert not isinstance(raised.value, LostError)
        assert str(raised.value) == (
            "no room; expected some; try dis2-edge prune --target ssh://pilot@drone --root '/a b', "
            "or dis2-edge key trust --target ssh://pilot@drone --root '/a b'"
        )
        assert session.ask("status") == {}


@pytest.mark.parametrize(
    "line",
    [b"\n", b"[1]\n", b"no json\n", b"{}\n", b'{"answer": 3}\n', b"[" * 100_000 + b"\n", b'{"tell": 3}\n'],
)
def test_what_is_no_answer_ends_the_conversation(line: bytes) -> None:
    with pytest.raises(LostError, match="the agent said"), said_by(line) as session:
        session.ask("status")


def test_half_an_answer_is_a_lost_connection() -> None:
    with pytest.raises(LostError, match="was taken"), said_by(b'{"answer": {"x"') as session:
        session.ask("status")


def test_a_file_is_fetched_whole_or_not_at_all(tmp_path: Path) -> None:
    with said_by(b'{"answer": {"bytes": 5}}\nhello') as session:
        assert session.fetch("reports/x", tmp_path / "new" / "x") == 5
    assert (tmp_path / "new" / "x").read_bytes() == b"hello"
    with pytest.raises(LostError), said_by(b'{"answer": {"bytes": 6}}\nhello') as session:
        session.fetch("reports/x", tmp_path / "y")
    assert not (tmp_path / "y").exists()


@pytest.mark.parametrize("size", [-1, 1 << 40])
def test_a_file_of_an_impossible_size_is_not_fetched(tmp_path: Path, size: int) -> None:
    with pytest.raises(LostError, match="a file of"), said_by(b'{"answer": {"bytes": %d}}\n' % size) as session:
        session.fetch("reports/x", tmp_path / "y")


def test_a_file_that_shrinks_while_it_is_sent_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "shrinking"
    path.write_bytes(b"12345")

    class Larger:
        st_size = 9

    monkeypatch.setattr(Path, "stat", lambda self, **_: Larger())
    with FakeBoard().open() as session, pytest.raises(BoardError, match="became shorter"):
        session.put(path, "0" * 64)


def test_the_clock_is_told_by_how_far_it_is_ahead() -> None:
    board = FakeBoard()
    board.hello["clock_s"] = time.time() + 1000
    with board.open() as session:
        assert session.ahead_s == pytest.approx(1000, abs=60)


def child(source: str, reason: Callable[[int, str], UserError] | None = None) -> Child:
    return Child([sys.executable, "-c", source], reason or (lambda code, said: LostError(f"{code} {said}")))


def test_a_process_that_talks_much_on_stderr_is_not_stopped_by_it() -> None:
    one = child("import sys; sys.stderr.write('x' * 300000 + 'the end'); print('here', flush=True)")
    assert one.read.readline() == b"here\n"
    told = str(one.why())
    assert told.startswith("0 ")
    assert told.endswith("the end")
    assert len(told) < 20_000
    one.close(1.0)


def test_a_process_that_does_not_end_is_ended() -> None:
    source = "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True)"
    one = child(f"{source}\nwhile True: time.sleep(60)")
    assert one.read.readline() == b"up\n"
    one.close(0.05)
    assert one.ended


def test_a_child_lives_in_a_session_of_its_own() -> None:
    one = child("import os; print(os.getsid(0) == os.getpid(), flush=True)")
    assert one.read.readline() == b"True\n"
    one.close(5.0)
    assert threading.active_count() < 50
