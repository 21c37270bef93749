"""A board in one of its power modes: the shares of its peaks that the mode leaves, and the power that it allows."""

from __future__ import annotations

from dataclasses import dataclass

from dis2_boards.figures import Figure
from dis2_boards.profile import Board
from dis2_edge.errors import BoardError
from dis2_edge.settings import nearest

FULL = "as the roofline"
"""Stands for the mode of a board that has none: its figures are those of the roofline."""


@dataclass(frozen=True)
class Setting:
    """What a power mode leaves of the roofline of its board."""

    mode: str = FULL
    """Name of the power mode."""
    compute: float | None = 1.0
    """Share of the compute peaks: that of the clock times that of the multiprocessors; None where not known."""
    bandwidth: float = 1.0
    """Share of the memory's bandwidth."""
    power: Figure | None = None
    """Most power that the mode allows, in watts; None where no file says it."""
    default: bool = False
    """Whether a board comes in this mode."""


def settings_of(board: Board, mode: str = "") -> tuple[Setting, ...]:
    """The power modes of `board`, or the one called `mode`; a name that it does not have is a BoardError."""
    found = tuple(_setting(board, place) for place in range(len(board.power_modes))) or (Setting(),)
    if not mode:
        return found
    chosen = tuple(setting for setting in found if setting.mode == mode)
    if not chosen:
        names = [setting.mode for setting in found]
        expected = f"one of {', '.join(names)}" if board.power_modes else "no --mode: its file has no power modes"
        raise BoardError(f"{board.name!r} has no mode {mode!r}", expected=expected, mend=nearest(mode, names))
    return chosen


def _setting(board: Board, place: int) -> Setting:
    mode = board.power_modes[place]
    return Setting(mode.name, compute=None, default=mode.default)
