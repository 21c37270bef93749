"""A unit of systemd, the user's or the system's: started with the board, started anew when it falls over."""

from __future__ import annotations

import getpass
import hashlib
import os
from pathlib import Path

from dis2_boards.agent import disk
from dis2_boards.agent.bounded import Ended
from dis2_boards.agent.fault import RefusedError
from dis2_boards.agent.places import Places
from dis2_boards.agent.services.kinds import State
from dis2_boards.agent.system import as_root, ask, base_python, program

SYSTEM_UNITS = Path("/etc/systemd/system")
_NO_SYSTEMD = "choose --service process, which needs no systemd"


class SystemdService:
    """`systemctl`, with sudo where the unit is the system's."""

    def __init__(self, places: Places, *, user: bool) -> None:
        self._places, self._user = places, user
        self.unit = unit_name(places)

    def set_up(self) -> None:
        """Write the unit, and let it start with the board."""
        text = unit_text(self._places, None if self._user else getpass.getuser())
        if self._user:
            self._write_own(text)
            self._let_linger()
        else:
            self._write_system(text)
        self._must("daemon-reload")
        self._must("enable", self.unit)

    def take_down(self) -> None:
        """Stop it, and let it start with the board no more; the unit's file stays."""
        self.stop()
        self._systemctl("disable", self.unit)

    def start(self) -> None:
        """Start it, whatever went wrong with it before."""
        self._systemctl("reset-failed", self.unit)
        self._must("start", self.unit)

    def stop(self) -> None:
        """Stop it; what does not run, or is not known, is stopped."""
        self._systemctl("stop", self.unit)

    def state(self) -> State:
        """What systemd says of it."""
        words = [self._program(), *self._scope(), "show", self.unit]
        ended = ask(*words, "--property=ActiveState,SubState,MainPID,NRestarts,Result")
        told = dict(line.split("=", 1) for line in ended.tail.splitlines() if "=" in line)
        pid, restarts = told.get("MainPID", "0"), told.get("NRestarts", "0")
        why = f"systemd says {told.get('ActiveState', ended.tail.strip()[:200])} ({told.get('SubState', '-')})"
        alive = told.get("ActiveState") == "active" and pid not in ("", "0")
        number = int(restarts) if restarts.isdigit() else 0
        return State(alive, (int(pid),) if alive else (), number, "" if alive else why)

    def _write_own(self, text: str) -> None:
        folder = Path.home() / ".config" / "systemd" / "user"
        disk.make_folder(folder)
        disk.write_whole(folder / self.unit, text.encode())

    def _write_system(self, text: str) -> None:
        """Through a copy in ROOT, which root installs."""
        copy = self._places.root / "state" / self.unit
        disk.write_whole(copy, text.encode())
        ended = as_root(self._install(copy), self._allowed(copy))
        if not ended.well:
            raise RefusedError(f"the unit {self.unit} could not be installed: {ended.tail.strip()[-300:]}")

    def _let_linger(self) -> None:
        """Without it the user's services end when the user logs out, and do not start with the board."""
        user = getpass.getuser()
        loginctl = program("loginctl", _NO_SYSTEMD)
        if "yes" in ask(loginctl, "show-user", user, "--property=Linger").tail:
            return
        if not ask(loginctl, "--no-ask-password", "enable-linger", user).well:
            mend = f"on the board, once: sudo loginctl enable-linger {user}"
            raise RefusedError(f"services of {user} end when {user} logs out", expected="lingering", mend=mend)

    def _must(self, *words: str) -> None:
        ended = self._systemctl(*words)
        if not ended.well:
            mend = f"look on the board: systemctl {' '.join([*self._scope(), 'status', self.unit])}"
            raise RefusedError(f"systemctl {' '.join(words)} failed: {ended.tail.strip()[-300:]}", mend=mend)

    def _systemctl(self, *words: str) -> Ended:
        command = [self._program(), *self._scope(), *words]
        return ask(*command) if self._user else as_root(command, self._allowed(self._places.root / "state" / self.unit))

    def _scope(self) -> list[str]:
        return ["--user"] if self._user else []

    def _program(self) -> str:
        return program("systemctl", _NO_SYSTEMD)

    def _install(self, copy: Path) -> list[str]:
        return [program("install", ""), "-m", "644", str(copy), str(SYSTEM_UNITS / self.unit)]

    def _allowed(self, copy: Path) -> list[str]:
        """What sudo must allow, and nothing more."""
        verbs = ("enable", "disable", "start", "stop", "reset-failed")
        lines = [f"{self._program()} {verb} {self.unit}" for verb in verbs]
        return [" ".join(self._install(copy)), f"{self._program()} daemon-reload", *lines]


def unit_name(places: Places) -> str:
    """dis2-edge.service, or one for each other ROOT of the board."""
    if os.path.realpath(places.root) == os.path.realpath(Path.home() / "dis2-edge"):
        return "dis2-edge.service"
    return f"dis2-edge-{hashlib.sha256(str(places.root).encode()).hexdigest()[:8]}.service"


def unit_text(places: Places, user: str | None) -> str:
    """The unit; `user` is who it runs as under the system's systemd."""
    launch = _quoted(str(places.current / "launch.py"))
    return "\n".join(
        [
            "[Unit]",
            "Description=dis2-edge: segmentation from several sensors",
            f"ConditionPathExists={_escaped(str(places.current / 'launch.py'))}",
            "StartLimitIntervalSec=0",
            "",
            "[Service]",
            f"ExecStart={_quoted(base_python())} -I {launch}",
            f"WorkingDirectory={_escaped(str(places.root))}",
            *([f"User={user}"] if user else []),
            "Restart=always",
            "RestartSec=2",
            "TimeoutStopSec=30",
            "",
            "[Install]",
            f"WantedBy={'multi-user.target' if user else 'default.target'}",
            "",
        ]
    )


def _escaped(text: str) -> str:
    return text.replace("%", "%%")


def _quoted(text: str) -> str:
    for letter, written in (("\\", "\\\\"), ('"', '\\"'), ("$", "$$")):
        text = text.replace(letter, written)
    return f'"{_escaped(text)}"'
