"""Which packages a board carries: the groups that it needs, and the Pythons and machines that it may have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dis2_boards.packing.pins import MACHINES, PYTHONS, pinned
from dis2_boards.profile import Board


def groups_for(board: Board, extras: Sequence[str] = ()) -> tuple[str, ...]:
    """The groups of packages beside what every board carries: TensorRT needs a CUDA driver's package."""
    return tuple(dict.fromkeys((*extras, *(["jetson"] if board.dialect == "trt" else []))))


def tags_of_board(board: Board) -> tuple[str, ...]:
    """The tags that `board` may have, by its releases of system software; all that are served where it names none."""
    named = {f"cp{row.python.replace('.', '')}" for row in board.software}
    pythons = [python for python in PYTHONS if python in named or not named]
    return tuple(f"{python}-{machine}" for python in pythons for machine in MACHINES if machine in board.cpu)


def tags_in_stock(board: Board, stock: Path) -> tuple[str, ...]:
    """Those of them whose wheels all lie in the folder `stock`: locking them fetches nothing."""
    groups = groups_for(board)
    return tuple(
        tag for tag in tags_of_board(board) if all((stock / wheel.filename).is_file() for wheel in pinned(tag, groups))
    )
