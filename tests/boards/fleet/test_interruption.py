"""Ctrl-C in a roll-out: once, boards at work finish; twice, they are asked to end; and a roll-out that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.boards.fleet.a_fleet import FAKE, HERE, AFleet

pytestmark = pytest.mark.usefixtures("fake_ansible")
_PROGRAM = f"""
import signal, sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path.insert(0, {str(HERE)!r})
from tests.boards.fleet.a_fleet import AFleet
sys.exit(AFleet(Path(sys.argv[1]), Path(sys.argv[2])).roll_out())
"""


def started(fleet: AFleet) -> subprocess.Popen[str]:
    """The roll-out in a process of its own, with the signals that a terminal's processes have."""
    path = os.pathsep.join(os.path.abspath(place) for place in sys.path)
    environment = {**os.environ, "PYTHONPATH": path, "TMPDIR": str(fleet.folder)}
    return subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(fleet.folder), str(fleet.bundle)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def until(there: Callable[[], bool]) -> None:
    for _ in range(1200):
        if there():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come to that")


def test_once_lets_the_boards_at_work_finish(tmp_path: Path, bundle: Path) -> None:
    fleet = AFleet.made(tmp_path, bundle, count=3, head='waves = [["b1"], ["b2"]]')
    fleet.mode("b1", "wait")
    process = started(fleet)
    until(lambda: "begin b1" in fleet.diary())
    process.send_signal(signal.SIGINT)
    until(lambda: process.stdout is not None and "no further one is touched" in process.stdout.readline())
    (tmp_path / "b1" / "go on").touch()
    told, _ = process.communicate(timeout=120)
    assert process.returncode == 2, told
    assert [row[2] for row in fleet.states()] == ["kept", "kept", "not tried"]
    assert "stopped by request; the same command again goes on" in told


def test_twice_ends_the_boards_at_work_as_ctrl_c_would(tmp_path: Path, bundle: Path) -> None:
    fleet = AFleet.made(tmp_path, bundle, count=2)
    fleet.mode("b0", "forever")
    process = started(fleet)
    until((tmp_path / "b0" / "at work").exists)
    process.send_signal(signal.SIGINT)
    until(lambda: process.stdout is not None and "no further one is touched" in process.stdout.readline())
    process.send_signal(signal.SIGINT)
    told, _ = process.communicate(timeout=120)
    assert process.returncode == 2, told
    assert [row[2] for row in fleet.states()] == ["failed", "not tried"]
    assert fleet.record()["boards"][0]["why"].startswith("left on request; KeyboardInterrupt")
    assert "runs its old version or the new one, whole" in told


def test_nobody_is_touched_after_a_roll_out_that_was_killed(tmp_path: Path, bundle: Path) -> None:
    fleet = AFleet.made(tmp_path, bundle, count=2)
    fleet.mode("b0", "wait")
    process = started(fleet)
    until(lambda: "begin b0" in fleet.diary() and fleet.states()[0][2] == "running")
    process.kill()
    process.communicate(timeout=120)
    (tmp_path / "b0" / "go on").touch()
    until(lambda: "end b0" in fleet.diary())
    time.sleep(1.0)
    assert fleet.flies() == {"b0": "new", "b1": "old"}, "what was at work finished, and nobody else began"
    assert [row[2] for row in fleet.states()] == ["running", "not tried"]


def test_it_runs_in_a_thread_too(tmp_path: Path, bundle: Path) -> None:
    fleet = AFleet.made(tmp_path, bundle, count=2)
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(fleet.roll_out()))
    thread.start()
    thread.join(120)
    assert codes == [0]
    assert FAKE[0] == sys.executable
