"""A board in one of its power modes: the shares of its peaks that the mode leaves, and the power that it allows."""

from __future__ import annotations

from dataclasses import dataclass

from dis2_boards.figures import Figure, PowerMode
from dis2_boards.modes import bandwidth_share, compute_share, mode_named
from dis2_boards.profile import Board

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
    """Power that the mode is meant to hold, in W; None where its file states none."""
    default: bool = False
    """Whether a board comes in this mode."""


def settings_of(board: Board, mode: str = "") -> tuple[Setting, ...]:
    """The power modes of `board`, or the one called `mode`; a name that it does not have is a BoardError."""
    if mode:
        return (_setting(board, mode_named(board, mode)),)
    return tuple(_setting(board, each) for each in board.power_modes) or (Setting(),)


def _setting(board: Board, mode: PowerMode) -> Setting:
    return Setting(mode.name, compute_share(board, mode), bandwidth_share(board, mode), mode.power, mode.default)
