"""`dis2-edge boards`: print the boards that are supported, or one of them in full."""

from __future__ import annotations

import argparse

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
    rows = [
        (name, f"{figure.value:g} {figure.unit}", figure.meaning, figure.source)
        for name, figure in board.budgets.items()
    ]
    table("Budgets", ("budget", "value", "meaning", "source"), rows)
