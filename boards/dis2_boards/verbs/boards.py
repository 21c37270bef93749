"""`dis2-edge boards`: print the boards that are known, one of them in full, or which one this machine is."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Mapping
from pathlib import Path

from dis2_boards.figures import Figure, PowerMode
from dis2_boards.profile import Board, known_boards, load
from dis2_boards.verbs.detected import print_detected
from dis2_edge.errors import RecipeError
from dis2_edge.terminal import say, table

EXAMPLE = "dis2-edge boards orin-nx-16gb"
DETECT = "detect"
_SUPPORT = {"first": "first class", "best-effort": "best effort", "refused": "refused"}
UNVERIFIED = "unverified"
"""How a source begins that nobody has checked."""
_WIDTH = 100
"""Characters of a line."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument(
        "board",
        nargs="?",
        help=f"a board's name, or the path of a board file; {DETECT}: ask this machine which board it is; "
        "without it, list all",
    )
    parser.add_argument("--root", type=Path, metavar="FOLDER", help=f"with {DETECT}: read the files below this folder")
    parser.add_argument("--json", action="store_true", help=f"with {DETECT}: print JSON")


def run(args: argparse.Namespace) -> int:
    """Print what was asked for."""
    if args.board == DETECT:
        return print_detected(args.root, as_json=args.json)
    if args.root or args.json:
        raise RecipeError("--root and --json were given without detect", mend="dis2-edge boards detect --json")
    if args.board:
        _print_one(load(args.board, even_refused=True))
    else:
        _print_all([load(name, even_refused=True) for name in known_boards()])
    return 0


def _print_all(boards: list[Board]) -> None:
    """One row a board, those cared for most first."""
    order = list(_SUPPORT)
    boards.sort(key=lambda board: order.index(board.support))
    columns = ("name", "support", "kind", "precisions", "what it is")
    rows = [
        (board.name, _SUPPORT[board.support], board.kind, ", ".join(board.precisions), board.summary)
        for board in boards
    ]
    table("Boards", columns, rows)


class _Sources:
    """Where figures come from: each source is told once, below the tables, as it is longer than a line has room for."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def mark(self, source: str) -> str:
        """What stands for `source` in a table; that a figure is unverified stands beside the figure itself."""
        if not source or source == UNVERIFIED:
            return source
        number = self._numbers.setdefault(source, len(self._numbers) + 1)
        return f"{UNVERIFIED} [{number}]" if source.startswith(UNVERIFIED) else f"[{number}]"

    def show(self) -> None:
        """Print them."""
        if self._numbers:
            say("Sources")
        for source, number in self._numbers.items():
            head = f"[{number}] "
            say(textwrap.fill(source, _WIDTH, initial_indent=head, subsequent_indent=" " * len(head)))


def _print_one(board: Board) -> None:
    sources = _Sources()
    say(f"{board.name}: {board.summary}")
    _paragraph(f"support: {_SUPPORT[board.support]}{f': {board.refused}' if board.refused else ''}")
    for limit in board.limits:
        _paragraph(f"limit: {limit}")
    say(f"models: {board.dialect} dialect, {board.io} io, {' and '.join(board.precisions)}")
    say(f"processors: {', '.join(board.cpu)}{f'; chip: {board.chip}' if board.chip else ''}")
    _print_figures("Hardware", "part", board.hardware, sources)
    _print_modes(board.power_modes, sources)
    if board.software:
        rows = [(row.name, row.python, row.cuda, row.tensorrt, sources.mark(row.source)) for row in board.software]
        table("Software", ("release", "Python", "CUDA", "TensorRT", "source"), rows)
    _print_figures("Budgets", "budget", board.budgets, sources)
    if board.roofline is not None:
        title = "Roofline (for predictions, which are no measurements)"
        _print_figures(title, "figure", board.roofline.figures(), sources)
    sources.show()


def _paragraph(text: str) -> None:
    say(textwrap.fill(text, _WIDTH, subsequent_indent="  "))


def _print_modes(modes: tuple[PowerMode, ...], sources: _Sources) -> None:
    """One row a mode, then one a figure of a mode with its source."""
    if not modes:
        return
    rows = [
        (
            mode.name + " (default)" * mode.default,
            mode.configuration,
            *(f"{figure.value:g} {unit}" if figure else "" for unit, figure in mode.limits().values()),
            mode.meaning,
            sources.mark(mode.source),
        )
        for mode in modes
    ]
    table("Power modes, by name", ("mode", "configuration", *modes[0].limits(), "meaning", "source"), rows)
    named = {f"{mode.name}: {name}": figure for mode in modes for name, (_, figure) in mode.limits().items() if figure}
    _print_figures("Limits of power modes", "limit", named, sources)


def _print_figures(title: str, kind: str, figures: Mapping[str, Figure], sources: _Sources) -> None:
    """One row a figure; nothing where there is none."""
    if figures:
        rows = [
            (name, f"{row.value:g} {row.unit}", row.meaning, sources.mark(row.source)) for name, row in figures.items()
        ]
        table(title, (kind, "value", "meaning", "source"), rows)
