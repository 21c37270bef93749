"""A command of the workstation under our eyes: its connection to the board passes through here, moment by moment.

A moment is `VERB NUMBER WHEN`: the third file that is sent is `put 3`; `before` its request leaves, `amid` it (half of
a file's bytes; `amid 2` is the second word of progress), `after` its answer came. See ssh_shim.py, which tells them.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.boards.emulated import ssh_shim

Blow = Callable[["Watched"], str]
"""What is done at a moment; returns how to go on: go, drop or flip."""
LIMIT_S = 900.0
SETTINGS = """Host *
    IdentityFile {key}
    IdentitiesOnly yes
    UserKnownHostsFile {known}
    StrictHostKeyChecking accept-new
    LogLevel ERROR
"""


@dataclass
class Watched:
    """A command that runs, or ran."""

    words: Sequence[str]
    """Its command line."""
    moments: list[str] = field(default_factory=list)
    """What passed so far, in order."""
    times_s: list[float] = field(default_factory=list)
    """When, in seconds from its start."""
    code: int | None = None
    """Its exit code."""
    said: str = ""
    """What it printed."""
    seconds: float = 0.0
    """How long it took."""
    process: subprocess.Popen[bytes] | None = None
    """The process itself, with all its children in one group."""

    def kill(self) -> str:
        """Kill it and all that it started, as a workstation's power cut would."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        return "drop"


@dataclass(frozen=True)
class Workstation:
    """Whoever deploys: settings of ssh, and the environment of dis2-edge's commands."""

    folder: Path
    """Where its files are."""
    ssh: str
    """The real ssh."""

    @classmethod
    def made(cls, folder: Path, key: Path, ssh: str | None = None) -> Workstation:
        """Write the settings, and the `ssh` that stands in the PATH before the real one."""
        (folder / "bin").mkdir(parents=True, exist_ok=True)
        text = SETTINGS.format(key=key, known=folder / "known_hosts")
        (folder / "ssh_config").write_text(text, "utf-8")
        stand_in = folder / "bin" / "ssh"
        stand_in.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I "{Path(ssh_shim.__file__).resolve()}" "$@"\n')
        stand_in.chmod(0o755)
        return cls(folder, ssh or shutil.which("ssh") or "ssh")

    def forget_hosts(self) -> None:
        """Know no host's key any more."""
        (self.folder / "known_hosts").unlink(missing_ok=True)

    def run(
        self,
        words: Sequence[str],
        blows: Mapping[str, Blow] | None = None,
        hear: Callable[[str], None] = lambda _: None,
        limit_s: float = LIMIT_S,
    ) -> Watched:
        """Run a command to its end, by force after `limit_s`; at a moment that is a key of `blows`, do that once."""
        watched, left = Watched(words), dict(blows or {})
        with tempfile.TemporaryDirectory() as name, _server(Path(name) / "s") as server:
            environment = self._environment(Path(name) / "s")
            began = time.monotonic()
            with tempfile.TemporaryFile() as out:
                watched.process = subprocess.Popen(
                    words, env=environment, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
                )
                listener = threading.Thread(target=_listen, args=(server, watched, left, hear, began), daemon=True)
                listener.start()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    watched.process.wait(limit_s)
                if watched.process.poll() is None:
                    watched.kill()
                watched.code = watched.process.wait()
                listener.join(60)
                out.seek(0)
                watched.said = out.read().decode("utf-8", "replace")
            watched.seconds = time.monotonic() - began
        return watched

    def _environment(self, place: Path) -> dict[str, str]:
        shim = {ssh_shim.PROGRAM: self.ssh, ssh_shim.CONFIG: str(self.folder / "ssh_config")}
        path = os.pathsep.join([str(self.folder / "bin"), os.environ.get("PATH", "")])
        python = os.pathsep.join(str(Path(part).resolve()) for part in sys.path if part)
        return {**os.environ, **shim, ssh_shim.SOCKET: str(place), "PATH": path, "PYTHONPATH": python}


def _server(place: Path) -> socket.socket:
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(place))
    server.listen()
    server.settimeout(0.2)
    return server


def _listen(
    server: socket.socket, watched: Watched, left: dict[str, Blow], hear: Callable[[str], None], began: float
) -> None:
    """Answer one connection after another, until the command has ended."""
    assert watched.process is not None
    while watched.process.poll() is None:
        try:
            line, _ = server.accept()
        except TimeoutError:
            continue
        line.settimeout(None)
        with contextlib.suppress(OSError, ValueError), line, line.makefile("rw", encoding="utf-8") as talk:
            for moment in talk:
                moment = moment.strip()
                watched.moments.append(moment)
                watched.times_s.append(time.monotonic() - began)
                hear(moment)
                blow = left.pop(moment, None)
                talk.write(f"{blow(watched) if blow else 'go'}\n")
                talk.flush()
