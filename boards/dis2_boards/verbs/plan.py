"""`dis2-edge plan`: what a quantised run is predicted to do on a board, before any hardware is touched."""

from __future__ import annotations

import argparse
import json
import textwrap
from collections.abc import Mapping
from pathlib import Path

from dis2_boards.prediction.plan import plan
from dis2_boards.prediction.planned import Plan, Row
from dis2_boards.prediction.setting import FULL
from dis2_boards.profile import load
from dis2_edge.terminal import say, table

EXAMPLE = "dis2-edge plan runs/ombria-int8 --board orin-nx-16gb --fps 10"
UNKNOWN = "not known"
WIDTH = 30
"""Characters of a whole bar."""
LINE = 100
"""Characters of a line of words."""
TOLD = 6
"""Kinds of layer that get a bar of their own."""
_PARTS = {
    "weights": "weights_mb",
    "activations": "activations_mb",
    "workspace, at most": "workspace_mb",
    "to run": "run_mb",
    "to build": "build_mb",
}
_MARKS = {"compute": "#", "memory": "=", "overhead": "."}
_COLOURS = {"holds": "green", "may not hold": "yellow", "does not hold": "red"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("qrun", type=Path, metavar="QRUN", help="folder that `dis2-edge quantize` made")
    parser.add_argument("--board", required=True, help="name of a board, or path of a board file")
    parser.add_argument("--mode", default="", metavar="NAME", help="one power mode, by name (default: all)")
    parser.add_argument(
        "--fps", type=float, metavar="N", help="frames a second to hold (default: the first sensor's rate)"
    )
    parser.add_argument("--scenario", default="", metavar="S", help="one scenario (default: all)")
    parser.add_argument("--json", action="store_true", help="print all of it as JSON instead of tables")


def run(args: argparse.Namespace) -> int:
    """Predict, and print it."""
    made = plan(args.qrun, load(args.board), mode=args.mode, fps=args.fps, scenario=args.scenario)
    if args.json:
        print(json.dumps(made.to_table(), indent=2, allow_nan=False))
    else:
        _show(made)
    return 0


def _show(made: Plan) -> None:
    columns = (
        "scenario",
        "precision",
        "mode",
        "predicted ms",
        "predicted range",
        "binds",
        "predicted mJ",
        f"{made.fps:g} fps",
    )
    rows = [_cells(row) for row in made.rows if row.predicted_ms is not None]
    title = f"{made.name} on {made.board}: predicted, not measured"
    if rows:
        table(title, columns, rows, _COLOURS)
    else:
        say(title)
    unknown = dict.fromkeys(row.mode + " (default)" * row.default for row in made.rows if row.predicted_ms is None)
    if unknown:
        _note(
            f"predicted for {', '.join(unknown)}: {UNKNOWN}, as the board's file does not tell the GPU's clock there; "
            "dis2-edge boards detect, asked on the board, does"
        )
    for line in _worst(made):
        _note(line)
    for line in _limit(made):
        _note(line)
    for limit in made.limits:
        _note(f"note: {limit}")
    for row in _barred(made):
        _bars(row)
    _memory(made)


def _cells(row: Row) -> tuple[str, ...]:
    between = "-" if row.predicted_range_ms is None else "{:.1f} - {:.1f}".format(*row.predicted_range_ms)
    return (
        row.scenario,
        row.precision,
        ("-" if row.mode == FULL else row.mode) + " (default)" * row.default,
        _number(row.predicted_ms),
        between,
        _bar(row.predicted_bound_ms, WIDTH // 3) if row.predicted_ms else "-",
        _number(row.predicted_energy_mj),
        row.holds or UNKNOWN,
    )


def _worst(made: Plan) -> list[str]:
    """What each precision does in the worst scenario, by answer."""
    lines = []
    for precision in dict.fromkeys(row.precision for row in made.rows):
        found: dict[str, list[str]] = {}
        for mode in dict.fromkeys(row.mode for row in made.rows):
            held = made.worst(precision, mode)
            if held:
                found.setdefault(held, []).append(mode)
        said = "; ".join(f"{held}{_in(names)}" for held, names in found.items())
        lines.append(f"predicted for {precision} at {made.fps:g} fps, worst scenario: {said or UNKNOWN}")
    return lines


def _in(modes: list[str]) -> str:
    return "" if modes == [FULL] else f" in {', '.join(modes)}"


def _note(text: str) -> None:
    say(textwrap.fill(text, LINE, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False))


def _limit(made: Plan) -> list[str]:
    period = f"a frame has {1000 / made.fps:.1f} ms"
    around = f"{made.around_ms:g} ms are" if made.around_ms else "nothing is"
    kept = f", of which {around} kept for what stands around the engine"
    if made.error_factor is None:
        error = "the predictor was never held against measurements on such a board, so that no answer is sure"
    else:
        error = f"predictions are taken as right within a factor of {made.error_factor:g} ({made.error_source})"
    if not any(row.predicted_ms for row in made.rows):
        return [f"{period}{kept}"]
    return [f"{period}{kept}", error, f"binds: {', '.join(f'{mark} {name}' for name, mark in _MARKS.items())}"]


def _barred(made: Plan) -> list[Row]:
    """The rows whose kinds of layer are shown: each precision once, its first scenario in its first known mode."""
    shown: dict[str, Row] = {}
    for row in made.rows:
        if row.predicted_ms:
            shown.setdefault(row.precision, row)
    return list(shown.values())


def _bars(row: Row) -> None:
    whole = row.predicted_ms or 1.0
    mode = "" if row.mode == FULL else f", {row.mode}"
    say(f"\n{row.scenario}, {row.precision}{mode}: predicted ms by kind of layer")
    rows = list(row.predicted_kind_ms.items())
    rest = sum(ms for _, ms in rows[TOLD:])
    for kind, ms in [*rows[:TOLD], *([("all other", rest)] if rest else [])]:
        say(f"  {kind:<22} {ms:8.2f}  {'#' * round(WIDTH * ms / whole)}")


def _bar(parts: Mapping[str, float], width: int) -> str:
    """One bar of `width` marks, shared out among `parts`, each rounded where it ends."""
    whole, marks, done = sum(parts.values()), "", 0.0
    for name, ms in parts.items():
        done += ms
        marks += _MARKS[name] * (round(width * done / whole) - len(marks))
    return marks


def _memory(made: Plan) -> None:
    known = [(row, row.predicted) for row in made.memory if row.predicted]
    if not known:
        say(f"\npredicted memory: {UNKNOWN}; the costs are of an older version: quantize again")
        return
    rows: list[list[str]] = [
        [part, *(f"{getattr(found, name):.0f}" for _, found in known)] for part, name in _PARTS.items()
    ]
    room = UNKNOWN if made.board_memory_mb is None else f"{made.board_memory_mb:.0f}"
    rows += [["the board has, less its system", *(room for _ in known)]]
    rows += [["memory", *(row.holds or UNKNOWN for row, _ in known)]]
    say("")
    columns = ["all scenarios loaded together", *(f"{row.precision}: predicted MB" for row, _ in known)]
    table("", columns, rows, _COLOURS)


def _number(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.1f}"
