"""`dis2-edge check`: hold a model file, or all of a quantised run or bundle, against the rules of a board."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from dis2_boards.profile import Board, load
from dis2_edge.errors import CheckpointError
from dis2_edge.files import write_json
from dis2_edge.terminal import progress, say, table
from dis2_quantize.lint.check import check
from dis2_quantize.lint.finding import Finding
from dis2_quantize.reading.open import files_for, open_model

EXAMPLE = "dis2-edge check runs/ombria-int8 --board host"
SHOWN = 8
"""Findings of one rule that the table shows; the JSON holds all."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `dis2-edge check`."""
    parser.add_argument("model", type=Path, metavar="MODEL", help="an .onnx file, a quantised run or a bundle")
    parser.add_argument("--board", default="host", help="name of a board, or path of a board file (default: host)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every finding to FILE as well")


def run(args: argparse.Namespace) -> int:
    """Print the findings of each file; 0 without errors, 1 with."""
    board = load(args.board)
    files = files_for(args.model, board)
    findings = {file: _checked(file, board) for file in progress(files, "check")}
    for file, found in findings.items():
        _show(file, found, board)
    if args.json is not None:
        rows = [{"file": str(file), "findings": list(map(asdict, found))} for file, found in findings.items()]
        write_json(args.json, {"board": board.name, "files": rows})
    return int(any(finding.severity == "error" for found in findings.values() for finding in found))


def _checked(file: Path, board: Board) -> list[Finding]:
    model = open_model(file)
    try:
        return check(model, board)
    except (UnicodeDecodeError, OverflowError, MemoryError) as cause:
        raise CheckpointError(f"{file} is damaged ({cause})", mend="export it again") from cause


def _show(file: Path, findings: Sequence[Finding], board: Board) -> None:
    if not findings:
        say(f"{file}: nothing found for {board.name}")
        return
    counts = Counter(finding.severity for finding in findings)
    title = f"{file} for {board.name}: {counts['error']} errors, {counts['warning']} warnings"
    table(title, ("severity", "rule", "where", "found"), _rows(findings))
    for rule, mend in {finding.rule: finding.mend for finding in findings}.items():
        say(f"mend {rule}: {mend}")


def _rows(findings: Sequence[Finding]) -> Iterator[tuple[str, str, str, str]]:
    """The first findings of each rule, and how many more there are."""
    counts = Counter(finding.rule for finding in findings)
    shown: Counter[str] = Counter()
    for finding in findings:
        shown[finding.rule] += 1
        if shown[finding.rule] <= SHOWN:
            yield finding.severity, finding.rule, finding.node, finding.found
        elif shown[finding.rule] == SHOWN + 1:
            yield finding.severity, finding.rule, "...", f"and {counts[finding.rule] - SHOWN} more"
