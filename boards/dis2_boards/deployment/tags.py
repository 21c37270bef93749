"""Which Pythons and machines a bundle locks packages for when no board is there to say its own."""

from __future__ import annotations

from pathlib import Path

from dis2_boards.packing.pins import MACHINES, PYTHONS, pinned
from dis2_boards.profile import Board


def tags_of_board(board: Board) -> tuple[str, ...]:
    """The tags that `board` may have, by its releases of system software; all that are served where it names none."""
    named = {f"cp{row.python.replace('.', '')}" for row in board.software}
    pythons = [python for python in PYTHONS if python in named or not named]
    return tuple(f"{python}-{machine}" for python in pythons for machine in MACHINES if machine in board.cpu)


def tags_in_stock(board: Board, stock: Path) -> tuple[str, ...]:
    """Those of them whose wheels all lie in `stock`: locking them fetches nothing."""
    extras = ("jetson",) if board.dialect == "trt" else ()
    return tuple(
        tag for tag in tags_of_board(board) if all((stock / wheel.filename).is_file() for wheel in pinned(tag, extras))
    )
