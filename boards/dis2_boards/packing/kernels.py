"""CUDA kernels for a bundle: sources always; machine code and PTX for the board's GPU where they can be had.

An engine looks below `kernels/` of its bundle first (docs/kernels/building.md). Packing knows no kernel itself: it asks
`dis2-edge kernels`, in a process of its own. Files are built once, below the user's cache, and are the same bytes
from any folder.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from dis2_boards.packing.proving import said, start
from dis2_boards.packing.stock import cache_folder
from dis2_boards.profile import Board
from dis2_edge.errors import BundleError
from dis2_edge.files import storage_errors
from dis2_edge.terminal import note

FOLDER = "kernels"
"""The folder of kernels in a bundle."""
LIMIT_S = 1800.0
_KINDS = (".cubin", ".ptx", ".json")


@dataclass(frozen=True)
class PackedKernels:
    """What a bundle holds of kernels."""

    targets: tuple[str, ...] = ()
    """What they were built for: sm_87, compute_87. Empty: sources alone."""
    why: str = ""
    """Why there are sources alone, in words that hold on any machine."""


def write_kernels(folder: Path, board: Board, given: Path | None = None) -> PackedKernels | None:
    """Put kernels into the bundle that is made in `folder`; None for a board without a GPU of ours.

    `given` is a folder that `dis2-edge kernels` filled, taken as it is; BundleError when a file of it is missing,
    damaged or of other sources. Without it they are built where nvcc is; where that fails, sources go alone.
    """
    if board.dialect != "trt" or "compute_capability" not in board.hardware:
        return None
    target = f"sm_{round(10 * board.hardware['compute_capability'].value)}"
    place = folder / FOLDER
    _ask(["--sources", "--out", str(place)])
    built = given or cache_folder() / "kernels" / target
    words = ["--arch", target, "--portable", "--out", str(built)] + ["--as-built"] * (given is not None)
    try:
        _ask(words)
    except BundleError as error:
        if given is not None:
            raise
        note(f"the bundle gets the kernels' sources alone: {error}")
        return PackedKernels(why=_plainly(error, target))
    return PackedKernels(_copy(built, place, target))


def _plainly(error: BundleError, target: str) -> str:
    """Why, without the places of this machine: it stands in the card, and equal inputs give equal cards."""
    return "no nvcc was found" if "no nvcc" in error.found else f"the nvcc that was there built none for {target}"


def _copy(built: Path, place: Path, target: str) -> tuple[str, ...]:
    """Copy what was built for `target`, and PTX for any; what was copied."""
    rooms = [room for room in sorted(built.iterdir()) if room.name == target or room.name.startswith("compute_")]
    with storage_errors(place):
        for room in rooms:
            (place / room.name).mkdir()
            for file in sorted(room.iterdir()):
                if file.suffix in _KINDS and file.is_file():
                    shutil.copyfile(file, place / room.name / file.name)
    return tuple(room.name for room in rooms)


def _ask(words: list[str]) -> None:
    try:
        done = start(["kernels", *words], LIMIT_S)
    except subprocess.TimeoutExpired as cause:
        raise BundleError(f"the kernels were not built within {LIMIT_S:g} s") from cause
    if done.returncode:
        raise BundleError(said(done))
