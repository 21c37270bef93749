"""`hello`: choose ROOT, and tell what this board is before anything is sent to it."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import platform
import pwd
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from dis2_boards.agent import environment, launcher, services, wheels
from dis2_boards.agent.fault import RefusedError
from dis2_boards.agent.places import Places, checked_root, free_bytes, pointed
from dis2_boards.agent.session import Session


def hello(session: Session, *, root: str, now_s: float, version: str) -> dict[str, Any]:
    """Facts about the board and ROOT. Nothing is changed."""
    del now_s  # the workstation compares clock_s with its own clock
    if session.places is not None:
        raise RefusedError("hello comes once", mend="connect anew for another --root")
    places = session.places = Places(checked_root(root))
    return {"version": version, "root": str(places.root), **board_facts(), **_root_facts(places)}


def board_facts() -> dict[str, Any]:
    """What does not depend on ROOT."""
    detected, memory = _detected(), _memory()
    return {
        "python": platform.python_version(),
        "python_tag": environment.tag().partition("-")[0],
        "machine": platform.machine(),
        "glibc": _glibc(),
        "user": _user(),
        "home": str(Path.home()),
        "memory_bytes": memory.get("MemTotal", 0),
        "memory_free_bytes": memory.get("MemAvailable", 0),
        "clock_s": time.time(),
        "boot_id": launcher.boot_id(),
        "sudo": _sudo(),
        "systemd": Path("/run/systemd/system").is_dir(),
        "venv": wheels.pip_wheel() is not None,
        "tensorrt": detected.get("tensorrt") or _tensorrt(),
        "cuda": detected.get("cuda") or "",
        "jtop": importlib.util.find_spec("jtop") is not None,
        "workstation": _workstation(),
        "detected": detected,
    }


def _root_facts(places: Places) -> dict[str, Any]:
    nearest = places.root
    while not os.path.lexists(nearest):
        nearest = nearest.parent
    read_only = os.statvfs(nearest).f_flag & os.ST_RDONLY
    return {
        "free_bytes": free_bytes(places.root),
        "writable": os.access(nearest, os.W_OK | os.X_OK) and not read_only,
        "deployed": places.stock.is_dir(),
        "versions": places.standing(),
        "current": places.flying(),
        "previous": pointed(places.previous),
        "trusted": sorted(path.stem for path in places.trusted.glob("*.pub")),
        "service": services.kind_of(places),
    }


def _detected() -> dict[str, Any]:
    """What dis2_boards.detection says; a fault in it must not stop a deploy."""
    try:
        table = importlib.import_module("dis2_boards.detection").detect().to_table()
    except Exception as error:
        return {"board": "", "why": f"not told ({type(error).__name__}: {error})"}
    return dict(table)


def _memory() -> dict[str, int]:
    found = {}
    with contextlib.suppress(OSError):
        for line in Path("/proc/meminfo").read_text("ascii").splitlines():
            name, _, value = line.partition(":")
            if name in ("MemTotal", "MemAvailable"):
                found[name] = int(value.split()[0]) * 1024
    return found


def _glibc() -> str:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
        return version if name == "glibc" else ""
    return ""


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _sudo() -> bool:
    """Whether root's rights are to be had without a password."""
    if os.geteuid() == 0:
        return True
    sudo = shutil.which("sudo")
    if sudo is None:
        return False
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        command = [sudo, "-n", "true"]
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=10).returncode == 0
    return False


def _tensorrt() -> str:
    from importlib import metadata

    with contextlib.suppress(Exception):  # a broken package of the system is no package
        return metadata.version("tensorrt")
    return ""


def _workstation() -> bool:
    """Whether somebody's desktop runs here; Jetsons may have one too and are boards all the same."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return False
    displays = Path("/tmp/.X11-unix")
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or next(displays.glob("X*"), None))
