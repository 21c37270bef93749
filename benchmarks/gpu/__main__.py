"""`python -m benchmarks.gpu`: all parts on the GPU that is here, in minutes; `part NAME`: one, in this process."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.gpu import page
from benchmarks.gpu.findings import Findings, Pen, load
from benchmarks.gpu.parts import LIMITS_S, SIZES, Where, names, run_child, run_part
from dis2_edge.errors import UserError
from dis2_edge.terminal import note, say

REHEARSAL = {"rehearsal": "on the processor: no time here means anything"}
MINUTES = 9.0
"""Longest time of all parts together."""


def main(argv: Sequence[str] | None = None) -> int:
    """0 when every part ran and found no fault, 1 when not, 2 for what the user can mend."""
    args = _parser().parse_args(argv)
    where = Where(
        tuple(args.kernels or [Path("out/kernels")]), args.compile_into, args.pretend, tuple(args.sizes), args.limit
    )
    try:
        if args.word == "part":
            run_part(args.part, where, Pen(args.lines))
            return 0
        if args.word == "page":
            page.write(load(page.FINDINGS))
            return 0
        out = args.out or (Path("out/gpu") if args.pretend else page.ROOM)
        return run_all(where, out, args.minutes, args.only, args.go_on)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def run_all(where: Where, out: Path, minutes: float, only: str = "", go_on: bool = False) -> int:
    """Every part (or those that begin with `only`), each in its process; what is found is kept after each.

    With `go_on` what was kept before stands, but for what is found anew.
    """
    findings, end = _begin(where, out, go_on), time.monotonic() + 60 * minutes
    with tempfile.TemporaryDirectory(prefix="dis2-gpu-") as folder:
        for number, part in enumerate(name for name in names() if name.startswith(only)):
            limit = min(LIMITS_S[part.partition(":")[0]], end - time.monotonic())
            note(f"{part} ...")
            pen = Pen(Path(folder) / f"{number}.jsonl")
            problem = run_child(part, where, pen, limit) if limit > 1 else f"{part}: no time was left"
            _take(findings, pen.file)
            findings.missing += [problem] * bool(problem)
            _keep(findings, out)
    page.show(findings)
    kept = f"kept in {out / page.FINDINGS.name} and {out / page.PAGE.name}"
    say(kept if findings.worth_keeping else "nothing was found that is worth keeping")
    return 1 if findings.missing or findings.faults or not findings.rows else 0


def _begin(where: Where, out: Path, go_on: bool) -> Findings:
    findings = load(out / page.FINDINGS.name) if go_on else Findings()
    findings.facts |= REHEARSAL if where.pretend else {}
    findings.missing.clear()
    return findings


def _take(findings: Findings, lines: Path) -> None:
    if lines.exists():
        for line in lines.read_text("utf-8", errors="replace").splitlines():
            findings.take(line)


def _keep(findings: Findings, out: Path) -> None:
    """Facts alone are no reason to overwrite what an earlier run found."""
    if findings.worth_keeping:
        findings.save(out / page.FINDINGS.name)
        page.write(findings, out / page.PAGE.name)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("word", nargs="?", choices=("all", "part", "page"), default="all", help="what to do")
    parser.add_argument("part", nargs="?", help="of `part`: which")
    parser.add_argument("--kernels", type=Path, action="append", metavar="DIR", help="built kernels (out/kernels)")
    parser.add_argument("--compile-into", type=Path, metavar="DIR", help="compile what is missing, into this folder")
    parser.add_argument("--pretend", action="store_true", help="rehearse on the processor; its times mean nothing")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="sides of the pictures in pixels")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="longest time of all parts together")
    parser.add_argument("--only", default="", metavar="times:", help="only parts whose names begin so")
    parser.add_argument("--go-on", action="store_true", help="add to what was kept before, in parts that are run again")
    parser.add_argument("--out", type=Path, help="folder for gpu.json and gpu.md (docs/kernels)")
    parser.add_argument("--limit", type=float, default=60.0, help="of `part`: seconds that it has")
    parser.add_argument("--lines", type=Path, help="of `part`: where its findings go")
    return parser


if __name__ == "__main__":
    sys.exit(main())
