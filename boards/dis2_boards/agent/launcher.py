"""Start what flies. A copy of this file lies in each version, and the service starts the one below ROOT/current.

It needs Python alone. A version that was never kept is started once: after a power cut, or when it fell over, this goes
back to what flew before, by one rename that needs no room on the disk.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

OUTPUT_LIMIT = 1 << 20
"""Size, in bytes, at which service.out becomes service.out.1."""


def main(words: list[str]) -> None:
    """Go back if that is due, then become what flies; with `--pump` stay, and keep its output in service.out."""
    root = Path(os.path.abspath(__file__)).parents[1]  # ROOT/current/launch.py, whatever `current` names
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    if go_back(root):
        if not (root / "current").is_symlink():
            sys.exit("this version was never kept, and none flew before it: deploy again")
        os.execv(sys.executable, [sys.executable, "-I", str(root / "current" / "launch.py"), *words])
    command = command_of(root)
    os.chdir(root)
    if "--pump" in words:
        sys.exit(_pumped(command, root / "service.out"))
    os.execve(command[0], command, clean_environment())


def go_back(root: Path) -> bool:
    """Whether `current` was set back, as the version that it names was started before and never kept."""
    pending = _table(root / "pending.json")
    current = os.path.basename(os.path.realpath(root / "current"))
    if pending is None or pending.get("id") != current or pending.get("before") == current:
        return False
    if _torn(root / ".pending.ticket") and pending.get("boot") == boot_id():
        return False
    with contextlib.suppress(OSError):  # a disk that became read-only: what is there flies on
        if pending.get("before") is None:
            os.unlink(root / "current")
        else:
            os.replace(root / ".current.back", root / "current")
        _sync(root)
        return True
    return False


def command_of(root: Path) -> list[str]:
    """What to start, from choice.json of the version and service.json."""
    version = Path(os.path.realpath(root / "current"))
    choice, service = _table(version / "choice.json") or {}, _service(root, version.name)
    known = {
        "{python}": str(Path(os.path.realpath(version / "env")) / "bin" / "python"),
        "{bundle}": str(root / "current" / "bundle"),
        "{root}": str(root),
        "{engine}": str(choice.get("engine", "auto")),
        "{precision}": str(choice.get("precision", "int8")),
    }
    words = _words(service.get("command")) or _usual(rig_of(root, version.name))
    return [_filled(word, known) for word in [*words, *_words(service.get("args"))]]


def boot_id() -> str:
    """A name for the time since the kernel started."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    return ""


def clean_environment() -> dict[str, str]:
    """The environment without what would change a Python."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def rig_of(root: Path, name: str) -> Path | None:
    """The rig that version `name` flies with; a new one that comes with a version is for that version alone, too."""
    before = root / ".rig.back"
    rig = before if _comes_with(root) != name and before.is_file() else root / "rig.toml"
    return rig if rig.is_file() and rig.stat().st_size else None  # an empty one of before stands for none


def _service(root: Path, name: str) -> dict[str, Any]:
    """How it is started; a new way that comes with a version holds for that version alone until it is kept."""
    before = _table(root / ".service.back") if _comes_with(root) != name else None
    return before or _table(root / "service.json") or {}


def _comes_with(root: Path) -> Any:
    """The version that a new rig or a new way of starting comes with; None before it was switched to."""
    return (_table(root / "pending.json") or _table(root / ".pending.kept") or {}).get("id")


def _usual(rig: Path | None) -> list[str]:
    words = ["{python}", "-I", "-m", "dis2_edge", "run", "{bundle}", "--state", "{root}/state/live.json"]
    words += ["--engines", "{root}/engines", "--engine", "{engine}", "--precision", "{precision}"]
    return [*words, "--rig", str(rig)] if rig else words


def _words(given: Any) -> list[str]:
    """`given`, if it is a list of words; what is damaged is none."""
    return given if isinstance(given, list) and all(isinstance(word, str) for word in given) else []


def _filled(word: str, known: dict[str, str]) -> str:
    for name, value in known.items():
        word = word.replace(name, value)
    return word


def _torn(ticket: Path) -> bool:
    """Whether there was a ticket; there is none afterwards."""
    try:
        os.unlink(ticket)
    except FileNotFoundError:
        return False
    except OSError:
        return True  # a disk that became read-only
    _sync(ticket.parent)
    return True


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _table(path: Path) -> dict[str, Any] | None:
    try:
        table = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return table if isinstance(table, dict) else None


def _pumped(command: list[str], out: Path) -> int:
    """Run `command` as a child, keep the last of its output in `out` and `out`.1, and end as it ends."""
    import subprocess

    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=clean_environment()
    )
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda got, _: child.send_signal(got))
    assert child.stdout is not None
    with child.stdout:
        while piece := os.read(child.stdout.fileno(), 4096):
            with contextlib.suppress(OSError):  # a full disk must not stop what flies
                _keep(out, piece)
    status = child.wait()
    return status if status >= 0 else 128 - status


def _keep(out: Path, piece: bytes) -> None:
    if out.exists() and out.stat().st_size + len(piece) > OUTPUT_LIMIT:
        os.replace(out, out.with_name(f"{out.name}.1"))
    with out.open("ab") as file:
        file.write(piece)


if __name__ == "__main__":
    main(sys.argv[1:])
