"""Ctrl-C in a roll-out: the first lets boards at work finish and touches no further one, the second leaves them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from types import FrameType, TracebackType
from typing import Any

from dis2_boards.fleet.desk import Desk
from dis2_edge.terminal import note

_ASKS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_FIRST = (
    "stopping: boards at work finish, or go back to their old version by themselves; no further one is touched "
    "(once more to leave them to it)"
)
_SECOND = "left: a board that was at work runs its old version or the new one, whole; `dis2-edge status` tells which"


class Interruption:
    """Within it, signals that would end this process ask for an end of the roll-out instead."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._asked, self._told = desk, 0, 0
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            self._before = {ask: signal.signal(ask, self._count) for ask in _ASKS if not _ignored(ask)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for ask, handler in self._before.items():
            signal.signal(ask, handler)

    @property
    def wanted(self) -> bool:
        """Whether somebody asked for an end."""
        return self._asked > 0

    @property
    def left(self) -> bool:
        """Whether the boards at work were left to themselves."""
        return self._asked > 1

    def look(self, process: subprocess.Popen[bytes]) -> None:
        """Do what was asked since the last look: stop, then leave the boards at work, then kill `process`."""
        if self._asked > 0 and self._told == 0:
            self._told = 1
            self._desk.stop()
            note(_FIRST)
        if self._asked > 1 and self._told == 1:
            self._told = 2
            self._desk.leave()
            note(_SECOND)
        if self._asked > 2:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def _count(self, number: int, frame: FrameType | None) -> None:
        self._asked += 1


def _ignored(ask: signal.Signals) -> bool:
    """Whether whoever started us (nohup) wants the signal to mean nothing."""
    return signal.getsignal(ask) is signal.SIG_IGN
