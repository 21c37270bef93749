"""Print what detection found out about a machine, and what dis2-edge makes of it."""

from __future__ import annotations

import json
from pathlib import Path

from dis2_boards.detection import Detected, detect
from dis2_boards.figures import PowerMode
from dis2_boards.profile import Board, known_boards, load
from dis2_edge.errors import BoardError
from dis2_edge.terminal import say, table

_UNKNOWN = "not told"


def print_detected(root: Path | None, *, as_json: bool = False) -> int:
    """Print the machine whose files lie below `root`, by default this one; BoardError on a folder that is none."""
    if root is not None and not root.is_dir():
        raise BoardError(f"{root} is no folder", mend="give --root the folder that stands for the machine's /")
    found = detect(root or Path("/"))
    if as_json:
        say(json.dumps(found.to_table(), indent=2, ensure_ascii=False))
        return 0
    table("This machine" if root is None else f"The machine of {root}", ("what", "found"), _rows(found))
    _print_modes(found)
    for line in judged(found):
        say(line)
    return 0


def _print_modes(found: Detected) -> None:
    """What the machine's own file caps in each mode: figures for a board file, which may not know them."""
    if found.mode_limits:
        columns = ("mode", "GPU, at most (MHz)", "processor cores", "GPU parts off (mask)")
        rows = [
            (name, *("" if value is None else f"{value:g}" for value in limits.values()))
            for name, limits in found.mode_limits.items()
        ]
        table("Power modes of its own /etc/nvpmodel.conf", columns, rows)


def judged(found: Detected) -> list[str]:
    """What follows for dis2-edge: which board file serves the machine, and what its power mode costs."""
    if found.board not in known_boards():
        return ["no board file fits; copy the nearest one, put in its figures, and give its path to --board"]
    board = load(found.board, even_refused=True)
    if board.refused:
        return [f"{board.name} is refused: {board.refused}"]
    return [f"board file: {board.name} (dis2-edge boards {board.name})", *_of_mode(found, board), *board.limits]


def _of_mode(found: Detected, board: Board) -> list[str]:
    """A sentence on the power mode, where it holds the GPU back or this file does not know it."""
    mode: PowerMode | None = next((mode for mode in board.power_modes if mode.is_called(found.power_mode)), None)
    lines = []
    if found.power_mode and board.power_modes and mode is None:
        lines.append(f"the mode {found.power_mode!r} is not in the board file: nothing is predicted for it")
    top = board.hardware.get("clock")
    if found.gpu_max_mhz and top and found.gpu_max_mhz < 0.95 * top.value:
        lines.append(
            f"the GPU may go up to {found.gpu_max_mhz:g} of {top.value:g} MHz"
            f"{f' in mode {found.power_mode!r}' if found.power_mode else ''}: latencies will not be the board's best"
        )
    return lines


def _rows(found: Detected) -> list[tuple[str, str]]:
    memory = f"{found.memory_bytes / 2**30:.1f} GiB" if found.memory_bytes else ""
    clock = f"{found.gpu_max_mhz:g} MHz" if found.gpu_max_mhz else ""
    modes = ", ".join(name + " (default)" * (name == found.default_mode) for name in found.modes)
    rows = [
        ("board", found.board),
        ("told by", found.why),
        ("kind", found.kind),
        ("model", found.model),
        ("module", found.module),
        ("processor", found.machine),
        ("memory", memory),
        ("NVIDIA card", found.gpu),
        ("Jetson Linux", found.l4t),
        ("JetPack", found.jetpack),
        ("CUDA", found.cuda),
        ("TensorRT", found.tensorrt),
        ("Python", found.python),
        ("power mode", found.power_mode),
        ("power modes", modes),
        ("GPU clock, at most", clock),
    ]
    jetson_only = {"module", "Jetson Linux", "JetPack", "power mode", "power modes", "GPU clock, at most"}
    return [(name, text or _UNKNOWN) for name, text in rows if found.kind == "jetson" or name not in jetson_only]
