"""Where pip lies on a board that may have none installed: the wheel that ensurepip brings along."""

from __future__ import annotations

import importlib.util
import sysconfig
from pathlib import Path


def pip_wheel() -> Path | None:
    """The newest bundled wheel of pip; None where the system parted it from Python (Debian: python3-venv has it)."""
    found = [path for folder in _folders() for path in folder.glob("pip-*.whl")]
    return max(found, key=_version) if found else None


def _folders() -> list[Path]:
    if importlib.util.find_spec("ensurepip") is None:
        return []
    import ensurepip

    folders = [Path(str(ensurepip.__file__)).parent / "_bundled"]
    elsewhere = sysconfig.get_config_var("WHEEL_PKG_DIR")
    return [*folders, *([Path(elsewhere)] if elsewhere else []), Path("/usr/share/python-wheels")]


def _version(path: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in path.name.split("-")[1].split(".") if part.isdigit())
