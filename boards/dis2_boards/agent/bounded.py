"""Run a child that may not run for ever: own process group, limit of time, the last of its output, its memory told."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TAIL = 16 << 10
"""Bytes of a child's output that are kept: the last ones."""
_GRACE_S = 5.0


@dataclass(frozen=True)
class Ended:
    """How a child ended."""

    status: int
    """Its exit code; negative: the signal that ended it."""
    late: bool
    """Whether it was ended because its time was up."""
    seconds: float
    """How long it ran."""
    memory_bytes: int
    """Most memory that it held at once, as far as the kernel tells."""
    tail: str
    """The last of what it said."""

    @property
    def well(self) -> bool:
        """Whether it did what it was to do."""
        return self.status == 0 and not self.late


def run(
    command: Sequence[str | Path],
    limit_s: float,
    hear: Callable[[str], bool] = lambda _: False,
    *,
    cwd: Path | None = None,
    extra: Mapping[str, str] | None = None,
) -> Ended:
    """Run `command` to its end, or end it after `limit_s` seconds. Whatever happens, none of its group is left.

    Each line that it says goes to `hear`, which answers whether it took it; the rest is the tail.
    """
    began, tail = time.monotonic(), bytearray()
    child = subprocess.Popen(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        cwd=cwd,
        env=environment(extra or {}),
    )
    assert child.stdout is not None
    try:
        with child.stdout:
            late = _listen(child, hear, tail, began + limit_s)
            if late:
                _end(child.pid, signal.SIGTERM)
                _wait_for(child, time.monotonic() + _GRACE_S)
    finally:
        _end(child.pid, signal.SIGKILL)
        memory = _reap(child)
    return Ended(child.returncode, late, time.monotonic() - began, memory, tail.decode("utf-8", "replace"))


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Ours without what changes a Python or a pip, so that nothing of the user's own gets in."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP_"))}
    return {**kept, "PYTHONUNBUFFERED": "1", **extra}


def _listen(child: subprocess.Popen[bytes], hear: Callable[[str], bool], tail: bytearray, end: float) -> bool:
    """Hear all it says; whether its time was up before it ended."""
    assert child.stdout is not None
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while (left := end - time.monotonic()) > 0:
            if not selector.select(min(left, 1.0)):
                if _over(child.pid):
                    return False  # a grandchild may hold its output open
                continue
            piece = os.read(child.stdout.fileno(), 1 << 16)
            *lines, rest = (rest + (piece or b"\n" * bool(rest))).split(b"\n")
            rest = rest[-TAIL:]
            for line in lines:
                _hear_line(line, hear, tail)
            if not piece:
                return not _wait_for(child, end)
    return True


def _hear_line(line: bytes, hear: Callable[[str], bool], tail: bytearray) -> None:
    if not hear(line.decode("utf-8", "replace")):
        tail += line[-TAIL:] + b"\n"
        del tail[:-TAIL]


def _over(pid: int) -> bool:
    """Whether the child ended; it is not reaped, so that its number stays its own."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _wait_for(child: subprocess.Popen[bytes], end: float) -> bool:
    while not _over(child.pid):
        if time.monotonic() >= end:
            return False
        time.sleep(0.02)
    return True


def _end(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _reap(child: subprocess.Popen[bytes]) -> int:
    """Wait for the child; the most memory it held, in bytes."""
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_maxrss * 1024
