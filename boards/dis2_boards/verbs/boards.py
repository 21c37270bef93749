"""`dis2-edge boards`: print the boards that are supported, or one of them in full."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from dis2_boards.figures import Figure
from dis2_boards.profile import Board, known_boards, load
from dis2_edge.terminal import say, table

EXAMPLE = "dis2-edge boards host"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("board", nargs="?", help="a board's name, or the path of a board file; without it, list all")


def run(args: argparse.Namespace) -> int:
    """Print what was asked for."""
    if args.board:
        _print_one(load(args.board))
    else:
        boards = [load(name) for name in known_boards()]
        table(
            "Boards",
            ("name", "kind", "precisions", "what it is"),
            [(board.name, board.kind, ", ".join(board.precisions), board.summary) for board in boards],
        )
    return 0


def _print_one(board: Board) -> None:
    say(f"{board.name}: {board.summary}")
    say(f"models: {board.dialect} dialect, {board.io} io, {' and '.join(board.precisions)}")
    say(f"processors: {', '.join(board.cpu)}")
    _print_figures("Hardware", "part", board.hardware)
    if board.power_modes:
        modes = [(mode.name + " (default)" * mode.default, mode.meaning, mode.source) for mode in board.power_modes]
        table("Power modes", ("mode", "meaning", "source"), modes)
    if board.software:
        columns = ("release", "Python", "CUDA", "TensorRT", "source")
        table(
            "Software", columns, [(row.name, row.python, row.cuda, row.tensorrt, row.source) for row in board.software]
        )
    _print_figures("Budgets", "budget", board.budgets)
    if board.roofline is not None:
        _print_figures("Roofline (for predictions, which are no measurements)", "figure", board.roofline.figures())


def _print_figures(title: str, kind: str, figures: Mapping[str, Figure]) -> None:
    """One row a figure; nothing where there is none."""
    if figures:
        rows = [(name, f"{row.value:g} {row.unit}", row.meaning, row.source) for name, row in figures.items()]
        table(title, (kind, "value", "meaning", "source"), rows)
