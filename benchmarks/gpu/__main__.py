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
from benchmarks.gpu.parts import DEVICE, LIMITS_S, SIZES, Where, names, run_child, run_part
from dis2_edge.errors import EngineError, UserError
from dis2_edge.terminal import note, say

REHEARSAL = {"rehearsal": "on the processor: no time here means anything"}
MINUTES = 9.0
"""Longest time of all parts together."""


def main(argv: Sequence[str] | None = None) -> int:
    """0 when every part ran and found no fault, 1 when not, 2 for what the user can mend, 130 interrupted."""
    args = _parser().parse_args(argv)
    where = Where(
        tuple(args.kernels or [Path("out/kernels")]), args.compile_into, args.pretend, tuple(args.sizes), args.limit
    )
    try:
        if args.word == "part":
            if args.part not in names():
                raise EngineError(f"no part is called {args.part!r}", expected=f"one of {', '.join(names())}")
            run_part(args.part, where, Pen(args.lines))
            return 0
        if args.word == "page":
            page.write(load(page.FINDINGS))
            return 0
        for folder in args.kernels or []:
            check_kernels(folder)
        out = args.out or (Path("out/gpu") if args.pretend else page.ROOM)
        return run_all(where, out, args.minutes, args.only, args.go_on)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; what the parts before had found is kept", file=sys.stderr)
        return 130


def run_all(where: Where, out: Path, minutes: float, only: str = "", go_on: bool = False) -> int:
    """Every part (or those that begin with `only`), each in its process; what is found is kept after each.

    With `go_on` what was kept before stands, but for what is found anew.
    """
    wanted = chosen(only)
    findings, end = _begin(where, out, go_on), time.monotonic() + 60 * minutes
    with tempfile.TemporaryDirectory(prefix="dis2-gpu-") as folder:
        for number, part in enumerate(wanted):
            limit = min(LIMITS_S[part.partition(":")[0]], end - time.monotonic())
            note(f"{part} ...")
            pen = Pen(Path(folder) / f"{number}.jsonl")
            problem = run_child(part, where, pen, limit) if limit > 1 else f"{part}: no time was left"
            if problem.startswith(f"{DEVICE}: exit code 2"):
                raise EngineError(problem.rpartition("error: ")[2], mend="go where one is, or rehearse: --pretend")
            _take(findings, pen.file)
            findings.missing += [problem] * bool(problem)
            _keep(findings, out)
    page.show(findings)
    kept = f"kept in {out / page.FINDINGS.name} and {out / page.PAGE.name}"
    say(kept if findings.worth_keeping else "nothing was found that is worth keeping")
    return 1 if findings.missing or findings.faults or not findings.rows else 0


def check_kernels(folder: Path) -> None:
    """EngineError when built kernels are said to lie where no folder is."""
    if not folder.is_dir():
        raise EngineError(f"--kernels {folder}: there is no such folder", mend=f"dis2-edge kernels --out {folder}")


def chosen(only: str) -> list[str]:
    """The parts whose names begin with `only`, after the one that looks for a device; EngineError where none does."""
    parts = [name for name in names() if name.startswith(only) and name != DEVICE]
    if not parts:
        raise EngineError(f"no part begins with {only!r}", expected=f"one of {', '.join(names())}, or its beginning")
    return [name for name in names() if name == DEVICE] + parts


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


def _side(word: str) -> int:
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"{word!r} is no count of pixels; expected 1 or more")
    return int(word)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("word", nargs="?", choices=("all", "part", "page"), default="all", help="what to do")
    parser.add_argument("part", nargs="?", help="of `part`: which")
    parser.add_argument("--kernels", type=Path, action="append", metavar="DIR", help="built kernels (out/kernels)")
    parser.add_argument("--compile-into", type=Path, metavar="DIR", help="compile what is missing, into this folder")
    parser.add_argument("--pretend", action="store_true", help="rehearse on the processor; its times mean nothing")
    parser.add_argument("--sizes", type=_side, nargs="+", default=list(SIZES), help="sides of the pictures in pixels")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="longest time of all parts together")
    parser.add_argument("--only", default="", metavar="times:", help="only parts whose names begin so")
    parser.add_argument("--go-on", action="store_true", help="add to what was kept before, in parts that are run again")
    parser.add_argument("--out", type=Path, help="folder for gpu.json and gpu.md (docs/kernels)")
    parser.add_argument("--limit", type=float, default=60.0, help="of `part`: seconds that it has")
    parser.add_argument("--lines", type=Path, help="of `part`: where its findings go")
    return parser


if __name__ == "__main__":
    sys.exit(main())
