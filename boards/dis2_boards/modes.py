"""What a power mode leaves of a board: more watts in its name may mean a slower GPU, so clocks are asked."""

from __future__ import annotations

from dis2_boards.figures import PowerMode
from dis2_boards.profile import Board
from dis2_edge.errors import BoardError
from dis2_edge.settings import nearest


def mode_named(board: Board, name: str) -> PowerMode:
    """The mode of `board` called `name`; BoardError with the nearest name when it has none such."""
    found = next((mode for mode in board.power_modes if mode.is_called(name)), None)
    if found is None:
        names = [mode.name for mode in board.power_modes]
        expected = f"one of {', '.join(names)}" if names else "no mode: its file has none"
        raise BoardError(f"{board.name!r} has no power mode {name!r}", expected=expected, mend=nearest(name, names))
    return found


def compute_share(board: Board, mode: PowerMode) -> float | None:
    """Share of the board's compute peaks in `mode`: that of the clock times that of the multiprocessors.

    None where the mode's clock is not known. Above 1 in a mode of a faster configuration (Super) than the peaks'.
    """
    if mode.gpu_clock is None or not {"clock", "multiprocessors"} <= set(board.hardware):
        return None
    whole = board.hardware["multiprocessors"].value
    active = mode.multiprocessors.value if mode.multiprocessors else whole
    return mode.gpu_clock.value / board.hardware["clock"].value * active / whole


def bandwidth_share(board: Board, mode: PowerMode) -> float:
    """Share of the memory's bandwidth in `mode`; 1 where no cap is known."""
    if mode.bandwidth is None or "bandwidth" not in board.hardware:
        return 1.0
    return mode.bandwidth.value / board.hardware["bandwidth"].value
