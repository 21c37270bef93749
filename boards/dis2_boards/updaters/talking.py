"""The archive's agent, spoken to on the board itself: the words that `dis2-edge deploy` speaks from afar."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import subprocess
import sys
from collections.abc import Iterable
from types import TracebackType
from typing import IO, Any, cast

from dis2_boards.updaters.messages import StoppedError, say


class Agent:
    """The agent in a process of its own, as whoever owns ROOT; used in a `with`."""

    def __init__(self, source: str, code: bytes, root: str, user: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", source],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd="/",
            start_new_session=True,  # what ends the updater's own group lets the agent undo what it began
            **_identity(user, root),
        )
        self._to, self._from = cast(IO[bytes], self._process.stdin), cast(IO[bytes], self._process.stdout)
        self._send(code)

    def __enter__(self) -> Agent:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._to.close()
        self._process.wait()
        self._from.close()

    def ask(self, verb: str, body: Iterable[bytes] = (), **keys: Any) -> dict[str, Any]:
        """Ask, send the pieces of `body` after it, and wait for the answer; StoppedError with the agent's reason."""
        self._send((json.dumps({"ask": verb, **keys}) + "\n").encode("ascii"))
        for piece in body:
            self._send(piece)
        label = ""
        while True:
            said = self._line()
            if "answer" in said:
                return dict(said["answer"])
            if "error" in said:
                raise StoppedError(*(str(said["error"].get(part) or "") for part in ("found", "expected", "mend")))
            if said.get("tell", {}).get("label", label) != label:
                label = said["tell"]["label"]
                say(str(label))

    def _send(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # if it is gone, why it went is read next
            self._to.write(data)
            self._to.flush()

    def _line(self) -> dict[str, Any]:
        line = self._from.readline()
        if not line.endswith(b"\n"):
            raise StoppedError("the agent ended without an answer")
        return dict(json.loads(line.decode("utf-8")))


def _identity(user: str, root: str) -> dict[str, Any]:
    """How to become `user`, else the owner of `root`, with their home and their services."""
    entry = _owner(user, root)
    places = {"HOME": entry.pw_dir, "USER": entry.pw_name, "XDG_RUNTIME_DIR": f"/run/user/{entry.pw_uid}"}
    if entry.pw_uid == os.getuid():
        return {"env": {**places, **os.environ}}
    groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
    return {"env": {**os.environ, **places}, "user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": groups}


def _owner(user: str, root: str) -> pwd.struct_passwd:
    try:
        if user:
            return pwd.getpwnam(user)
        return pwd.getpwuid(os.stat(root).st_uid if os.path.isdir(root) else os.getuid())
    except KeyError:
        whose = f"DIS2_EDGE_USER is {user!r}" if user else f"nobody on this board owns {root}"
        raise StoppedError(whose, "a user of this board", "set it in /etc/default/dis2-edge") from None
