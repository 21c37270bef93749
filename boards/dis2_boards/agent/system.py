"""The board's own programs: which Python starts things, and how systemctl and sudo are asked."""

from __future__ import annotations

import getpass
import os
import shutil
import sys
from pathlib import Path

from dis2_boards.agent import bounded
from dis2_boards.agent.bounded import Ended
from dis2_boards.agent.fault import RefusedError

_LIMIT_S = 90.0


def base_python() -> str:
    """The system's Python, not that of an environment which may be removed."""
    return str(getattr(sys, "_base_executable", "") or sys.executable)


def program(name: str, mend: str) -> str:
    """The path of a program; RefusedError if the board has none."""
    found = shutil.which(name, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin:/usr/bin:/bin")
    if found is None:
        raise RefusedError(f"{name} is not on this board", mend=mend)
    return found


def ask(*words: str) -> Ended:
    """Run a program of the board that ends soon."""
    return bounded.run(words, _LIMIT_S, extra=_session())


def as_root(words: list[str], allow: list[str]) -> Ended:
    """Run a program as root; RefusedError with the line that allows it, where sudo wants a password."""
    if os.geteuid() == 0:
        return ask(*words)
    sudo = program("sudo", "choose --service systemd-user, which needs no root")
    if not ask(sudo, "-n", "-l", *words).well:
        line = f"{getpass.getuser()} ALL=(root) NOPASSWD: {', '.join(allow)}"
        mend = f"write this line to /etc/sudoers.d/dis2-edge with `sudo visudo -f`: {line}"
        raise RefusedError("sudo asks for a password on this board", mend=f"{mend}; or choose --service systemd-user")
    return ask(sudo, "-n", *words)


def _session() -> dict[str, str]:
    """Where the user's own systemd is; over ssh that is not always told."""
    folder = f"/run/user/{os.getuid()}"
    wanted = "XDG_RUNTIME_DIR" not in os.environ and Path(folder).is_dir()
    return {"LC_ALL": "C", **({"XDG_RUNTIME_DIR": folder} if wanted else {})}
