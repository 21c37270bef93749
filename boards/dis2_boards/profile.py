"""A board as data: one TOML file says what it runs and what it must hold; no code asks which board it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from dis2_boards.figures import Figure, PowerMode, Roofline, Software
from dis2_edge.errors import BoardError
from dis2_edge.files import read_toml
from dis2_edge.manifest import Dialect, Io, ModelRow, Precision
from dis2_edge.settings import from_table, nearest

_ROOM = Path(__file__).parent


@dataclass(frozen=True)
class Board:
    """What a board runs, and the budgets that a bundle must hold on it."""

    name: str
    """Its name for `--board`."""
    kind: Literal["cpu", "gpu"]
    """What the networks run on."""
    summary: str
    """The board in one line."""
    dialect: Dialect
    """The model files that its engine takes."""
    io: Io
    """How frames enter these files."""
    precisions: tuple[Precision, ...]
    """Number formats that its engine computes in, best liked last."""
    cpu: tuple[str, ...]
    """Processor architectures that it is known to work on."""
    budgets: dict[str, Figure] = field(default_factory=dict)
    """What must hold, by name."""
    hardware: dict[str, Figure] = field(default_factory=dict)
    """What the board is made of, by name; of a GPU: compute capability, multiprocessors, clock, memory."""
    power_modes: tuple[PowerMode, ...] = ()
    """Its power modes, known by name."""
    software: tuple[Software, ...] = ()
    """The releases of its system software that are served, oldest first."""
    roofline: Roofline | None = None
    """What a prediction of latency needs; None where nobody gathered it."""

    def runs(self, row: ModelRow) -> bool:
        """Whether the model file of `row` is one for this board."""
        return row.dialect == self.dialect and row.io == self.io and row.precision in self.precisions


def known_boards() -> tuple[str, ...]:
    """Names of the boards that dis2-edge brings, in alphabetical order."""
    return tuple(sorted(path.stem for path in _ROOM.glob("*.toml")))


def load(board: str) -> Board:
    """The board called `board`, or the one described by the file at that path (anything with a / or .toml)."""
    by_path = board.endswith(".toml") or "/" in board
    if not by_path and board not in known_boards():
        raise BoardError(f"unknown board {board!r}", mend=nearest(board, known_boards()))
    path = Path(board) if by_path else _ROOM / f"{board}.toml"
    return from_table(Board, read_toml(path, BoardError), where=str(path), error=BoardError)
