"""A board as data: one TOML file says what it runs and what it must hold; no code asks which board it is."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from dis2_boards.chip import load_chip
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
    support: Literal["first", "best-effort", "refused"] = "first"
    """How far dis2-edge cares for it: first class, best effort, or listed and refused."""
    refused: str = ""
    """Why it is refused; empty for every board that is not."""
    limits: tuple[str, ...] = ()
    """What does not hold on it, in sentences."""
    chip: str = ""
    """The chip whose file says what all its boards share; empty for a board that says all itself."""
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

    def __post_init__(self) -> None:
        if (self.support == "refused") != bool(self.refused.strip()):
            raise BoardError(
                f"{self.name!r} has support {self.support!r} and {'a' if self.refused else 'no'} reason for refusal",
                expected="a reason under refused with support 'refused', and only there",
            )
        names = [mode.name for mode in self.power_modes]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise BoardError(f"{self.name!r} has the power mode {twice[0]!r} twice", expected="each name once")

    def runs(self, row: ModelRow) -> bool:
        """Whether the model file of `row` is one for this board."""
        return row.dialect == self.dialect and row.io == self.io and row.precision in self.precisions


def known_boards() -> tuple[str, ...]:
    """Names of the boards that dis2-edge brings, in alphabetical order."""
    return tuple(sorted(path.stem for path in _ROOM.glob("*.toml")))


def only_on(name: str) -> str:
    """The one board that a bundle for the board `name` flies on, for one with a GPU.

    Empty where any board of its architecture will do, or where it is a board of the user's own, of which nothing tells.
    """
    return name if name in known_boards() and load(name, even_refused=True).kind == "gpu" else ""


def load(board: str, *, even_refused: bool = False) -> Board:
    """The board called `board`, or the one described by the file at that path (anything with a / or .toml).

    A board that is listed as refused raises BoardError with its reason, whichever verb asks, unless `even_refused`.
    """
    by_path = board.endswith(".toml") or "/" in board
    if not by_path and board not in known_boards():
        mend = f"{nearest(board, known_boards())}; list them with: dis2-edge boards; your own file: --board ./FILE.toml"
        raise BoardError(f"unknown board {board!r}", mend=mend)
    path = Path(board) if by_path else _ROOM / f"{board}.toml"
    found = _completed(from_table(Board, read_toml(path, BoardError), where=str(path), error=BoardError), str(path))
    if found.refused and not even_refused:
        raise BoardError(
            f"the board {found.name!r} is listed, but refused: {found.refused}",
            expected="a board that is served",
            mend="list them with: dis2-edge boards",
        )
    return found


def _completed(board: Board, where: str) -> Board:
    """`board` with what its chip's file says; what its own file says goes first."""
    if not board.chip:
        return board
    chip = load_chip(board.chip)
    return replace(
        board,
        hardware={**chip.hardware, **board.hardware},
        software=board.software or chip.software,
        roofline=board.roofline or chip.roofline(board.hardware, where),
    )
