"""`dis2-edge bundle prove`: what a bundle does on this machine, as proof.json, and which of its models fly."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from dis2_edge import bundle as bundles
from dis2_edge.bundle import Bundle
from dis2_edge.engine_names import WANTED
from dis2_edge.errors import EngineError, UserError
from dis2_edge.files import refuse_within, write_json
from dis2_edge.terminal import say, table, telling_programs
from dis2_runtime.selftest.precision import How
from dis2_runtime.selftest.prove import Proof, prove
from dis2_runtime.selftest.report import check_report, write_report


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the action's arguments."""
    parser.add_argument(
        "--out", type=Path, default=Path("proof.json"), metavar="FILE", help="what came of it, as JSON (proof.json)"
    )
    parser.add_argument("--engine", choices=WANTED, default="auto", help="what may run it (auto: all that is here)")
    parser.add_argument(
        "--engines", type=Path, metavar="DIR", help="folder of TensorRT's plans (default: .engines beside the bundle)"
    )
    parser.add_argument(
        "--max-drop", type=float, default=0.5, metavar="POINTS", help="mIoU that speed may cost a scenario (0.5)"
    )
    parser.add_argument("--tiles", type=Path, metavar="FILE", help="labelled tiles that accuracy is measured on")
    parser.add_argument(
        "--report", type=Path, metavar="DIR", help="folder for a report on them: new, or that of an earlier one"
    )
    parser.add_argument("--calls", type=int, default=How.calls, help=f"timed calls of each model ({How.calls})")
    parser.add_argument("--threads", type=int, default=0, help="threads of one inference on the processor; 0: all")
    parser.add_argument(
        "--progress", choices=("people", "json"), default="people", help="json: a line a step on stderr"
    )


def run(args: argparse.Namespace) -> int:
    """Prove, write proof.json whatever came of it, and say what flies; EngineError where nothing can."""
    with telling_programs(args.progress == "json"):
        return _prove(args)


def _prove(args: argparse.Namespace) -> int:
    bundle = bundles.read(args.bundle)
    _check(args, bundle)
    how = How(args.threads, args.engines, args.tiles, args.calls)
    proof = prove(bundle, how, args.engine, args.max_drop)
    write_json(args.out, proof.to_table())
    _show(proof)
    if args.report is not None and any(row.measured for row in proof.rows):
        write_report(args.report, bundle, proof, args.tiles, args.threads)
        say(f"the report is in {args.report}")
    if proof.precision is None:
        raise EngineError(f"bundle {bundle.id} does not fly here: {proof.why}", mend=f"all of it is in {args.out}")
    say(f"bundle {bundle.id} flies here: {proof.why}")
    return 0


def _check(args: argparse.Namespace, bundle: Bundle) -> None:
    for name, least in (("calls", 1), ("threads", 0)):
        if getattr(args, name) < least:
            raise UserError(f"--{name} is {getattr(args, name)}", expected=f"{least} or more")
    if not 0 <= args.max_drop < math.inf:
        raise UserError(f"--max-drop is {args.max_drop}", expected="points of mIoU, 0 or more")
    if args.report is not None and args.tiles is None:
        raise UserError("--report without --tiles", mend="give labelled tiles: there is nothing else to report")
    for word, path in (("--out", args.out), ("--engines", args.engines), ("--report", args.report)):
        if path is not None:
            refuse_within(path, bundle.path, word)
    if args.report is not None:
        check_report(args.report)


def _show(proof: Proof) -> None:
    columns = ("engine", "scenario", "precision", "proven", "agreement", "p50 ms", "p90 ms", "n", "mIoU (%)")
    rows = []
    for cells in (row.to_table() for row in proof.rows):
        figures = [_cell(cells["agreement"], 1, 4), _cell(cells["p50_ms"], 1, 2), _cell(cells["p90_ms"], 1, 2)]
        passed = "yes" if cells["proven"] else "no"
        miou = _cell(cells["miou"], 100, 2)
        rows.append((cells["engine"], cells["scenario"], cells["precision"], passed, *figures, cells["n"], miou))
    if rows:
        table("On this machine", columns, rows)


def _cell(value: float | None, times: float, digits: int) -> str:
    return "-" if value is None else f"{times * value:.{digits}f}"
