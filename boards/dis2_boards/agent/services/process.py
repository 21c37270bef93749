"""A process of its own, for boards without systemd: it outlives the agent, not the board's next start.

It is known by a word in its environment that names ROOT, as are its children: a number that was given to another
process since is never mistaken for it, and no file has to be written on a disk that may be full.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator

from dis2_boards.agent.bounded import environment
from dis2_boards.agent.places import Places
from dis2_boards.agent.services.kinds import State
from dis2_boards.agent.system import base_python

MARK = "DIS2_EDGE_SERVICE"
STOP_S = 20.0
"""How long it has for ending gently: a flight closes its recording and writes its summary."""
_SHOWS_S = 10.0
"""How long a process that was just started may take to carry the mark."""
_SIGNALS = [signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGPIPE]

_started: set[int] = set()
"""Our own children, which must be reaped when they end."""


class ProcessService:
    """What flies is a session of its own, led by the launcher, which keeps its output in ROOT/service.out."""

    def __init__(self, places: Places) -> None:
        self._places = places

    def set_up(self) -> None:
        """Nothing to prepare."""

    def take_down(self) -> None:
        """End it: without a manager nobody else would."""
        self.stop()

    def start(self) -> None:
        """Start the launcher of what is current; it inherits no signal that is ignored here, and none of our files."""
        null = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1, 2)]
        command = [base_python(), "-I", str(self._places.current / "launch.py"), "--pump"]
        marked = environment({MARK: str(self._places.root)})
        pid = os.posix_spawn(
            command[0], command, marked, file_actions=null, setsid=True, setsigmask=[], setsigdef=_SIGNALS
        )
        _started.add(pid)
        # QEMU's user emulation returns from the spawn before the child is the launcher, and so before it has the mark.
        end = time.monotonic() + _SHOWS_S
        while not self._ours(pid) and not _ended(pid) and time.monotonic() < end:
            time.sleep(0.02)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL where that did not help in time."""
        for number, patience_s in ((signal.SIGTERM, STOP_S), (signal.SIGKILL, 5.0)):
            for handle in self._handles():
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(handle, number)
            end = time.monotonic() + patience_s
            while self.state().alive and time.monotonic() < end:
                time.sleep(0.05)

    def state(self) -> State:
        """Which processes carry the mark."""
        for pid in sorted(_started):
            try:
                over = os.waitpid(pid, os.WNOHANG)[0] == pid
            except ChildProcessError:
                over = True
            if over:
                _started.discard(pid)  # from now on another process may get its number
        pids = tuple(pid for pid in _pids() if self._ours(pid))
        return State(bool(pids), pids, why="" if pids else "its process has ended")

    def _handles(self) -> Iterator[int]:
        """A handle of each process, which stays with that very process."""
        for pid in _pids():
            with contextlib.suppress(OSError):
                handle = os.pidfd_open(pid)
                try:
                    if self._ours(pid):
                        yield handle
                finally:
                    os.close(handle)

    def _ours(self, pid: int) -> bool:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:
            return f"{MARK}={self._places.root}".encode() in file.read().split(b"\0")
        return False


def _ended(pid: int) -> bool:
    """Whether a child has ended; it is not reaped here."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]
