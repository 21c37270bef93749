"""What `make gpu` does for one driver, for a child that has the pretend GPU; no torch is needed for it."""

from __future__ import annotations

from pathlib import Path

from benchmarks.gpu.findings import Pen
from benchmarks.gpu.proofs import prove_through


def proofs_of(driver: str, folder: str) -> str:
    """The lines that the part writes, for the kernels in `folder`."""
    pen = Pen(Path(folder) / "child")
    prove_through(driver, (Path(folder),), None, pen)
    return pen.file.read_text()
