"""Where the pretend GPU and the packages over it lie, all below out/pretend."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
ROOTS = (".", "train", "quantize", "boards", "runtime")
OUT = ROOT / "out" / "pretend"
_MADE_BY = ("make_tensorrt", "make_pycuda")
PREPARE = "make pretend"
"""What to type: for the Python of .venv, or for another one what `make pretend` does, by that one."""
if Path(sys.prefix).parent == ROOT and Path(sys.prefix).name != ".venv":
    _python = Path(sys.prefix).name + "/bin/python"
    PREPARE = " && ".join(f"{_python} -m tests.runtime.pretend.{part}" for part in _MADE_BY)
TAG = f"cp{sys.version_info[0]}{sys.version_info[1]}"
DONE = "complete.txt"
"""Written last into a package's folder: without it the folder is what a killed run left."""


def pinned(name: str) -> str:
    """The version of `name` that constraints.txt pins for this Python."""
    from packaging.requirements import Requirement

    for line in (ROOT / "constraints.txt").read_text().splitlines():
        text = line.partition("#")[0].strip()
        if not text:
            continue
        requirement = Requirement(text)
        if requirement.name == name and (requirement.marker is None or requirement.marker.evaluate()):
            return str(requirement.specifier).removeprefix("==")
    raise LookupError(f"constraints.txt pins no {name}")


def folder(name: str) -> Path:
    """Where the package `name` goes for this Python."""
    return OUT / f"{name}-{pinned(name)}-{TAG}"


def package(name: str) -> Path | None:
    """The folder of a prepared package, to be put on a child's path; None where it is not prepared."""
    where = folder(name)
    return where if (where / DONE).exists() else None
