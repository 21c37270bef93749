"""One connection's state: whose it is, which ROOT, whether it holds the lock or owes a judgement of a switch."""

from __future__ import annotations

import contextlib
import datetime
import os
from collections.abc import Callable
from dataclasses import dataclass

from dis2_boards.agent import disk
from dis2_boards.agent.fault import RefusedError
from dis2_boards.agent.locking import Lock
from dis2_boards.agent.places import Places
from dis2_boards.agent.wire import Wire

LOG_LIMIT = 1 << 18
"""Size, in bytes, at which deploy.log becomes deploy.log.1."""


@dataclass
class Session:
    """What the verbs of one connection share."""

    wire: Wire
    """The connection."""
    mend: Callable[[Places], list[str]]
    """Finishes or undoes what another session left half done; what it did, in words."""
    leave: Callable[[Places], None]
    """Called at the end of a session that owes nothing: a rig or service that it set and did not switch to goes."""
    places: Places | None = None
    """ROOT, from `hello` on."""
    lock: Lock | None = None
    """Held from the first change on."""
    who: str = ""
    """Who changes things, for the log and for whoever has to wait."""
    owes_judgement: bool = False
    """Whether this session switched and nobody judged the result yet."""

    def at(self) -> Places:
        """ROOT; RefusedError before `hello`."""
        if self.places is None:
            raise RefusedError("the first request must be hello", expected='{"ask": "hello", ...}')
        return self.places

    def hold(self, wait_s: float = 0.0) -> None:
        """Take the lock if this session has it not, then finish or undo what another session left half done."""
        if self.lock is not None:
            return
        places = self.at()
        self.lock = Lock.taken(places, wait_s, self.who)
        try:
            for line in self.mend(places):
                self.log("mended", line)
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Give the lock back."""
        if self.lock is not None:
            self.lock.free()
            self.lock = None

    def close(self) -> None:
        """End: a switch that nobody judged is undone, as the workstation that should have done so is gone."""
        try:
            if self.owes_judgement and self.places is not None and self.lock is not None:
                self.log("gone", "the workstation left before the new version was judged")
                for line in self.mend(self.places):
                    self.log("mended", line)
            elif self.lock is not None and self.places is not None:
                self.leave(self.places)
        finally:
            self.release()

    def log(self, action: str, result: str) -> None:
        """Add a line to deploy.log; a full disk is no reason to stop."""
        if self.places is None or not os.path.isdir(self.places.root):
            return
        log, now = self.places.log, datetime.datetime.now(datetime.timezone.utc)
        who, action, flat = (" ".join(text.split())[:500] for text in (self.who or "-", action, result))
        with contextlib.suppress(OSError):
            if log.exists() and log.stat().st_size > LOG_LIMIT:
                disk.rename(log, log.with_name(f"{log.name}.1"))
            disk.append_line(log, f"{now:%Y-%m-%dT%H:%M:%SZ}  {who}  {action}  {flat}")
