"""`dis2-edge data`: describe a folder of pictures, check a data set, or make a synthetic one."""

from __future__ import annotations

import argparse
from pathlib import Path

from dis2_edge.dataset import open_dataset
from dis2_edge.terminal import say, table, warn
from dis2_train import datacheck
from dis2_train.describe import describe
from dis2_train.synth.make import KINDS, synthesise

EXAMPLE = "dis2-edge data synth --out out/aerial --kind aerial --count 40 --size 128 --seed 1"
EXAMPLES = {
    "init": "dis2-edge data init DATA --out my_dataset.toml",
    "check": "dis2-edge data check DATA --describe my_dataset.toml --out out/check",
    "synth": EXAMPLE,
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare `init`, `check` and `synth` and their arguments."""
    verbs = parser.add_subparsers(dest="data_verb", required=True, metavar="init|check|synth")
    init = _verb(verbs, "init", "write the first draft of a dataset.toml by looking at a folder")
    init.add_argument("data", type=Path, metavar="DATA", help="folder of pictures")
    init.add_argument("--out", type=Path, metavar="FILE", help="where to write it (default: DATA/dataset.toml)")
    check = _verb(
        verbs, "check", "read all of a data set: pairs, sizes, ranges, holes, class shares, a sheet to look at"
    )
    check.add_argument("data", type=Path, metavar="DATA", help="folder of the data set")
    check.add_argument("--describe", type=Path, metavar="FILE", help="dataset.toml that lies elsewhere than in DATA")
    check.add_argument("--out", type=Path, metavar="DIR", help="folder for sheet.png; without it no sheet is made")
    check.add_argument("--rows", type=int, default=8, metavar="N", help="samples on the sheet (default: 8)")
    synth = _verb(verbs, "synth", "make a synthetic data set with its truth and a strip to fly over")
    synth.add_argument("--out", type=Path, required=True, metavar="DIR", help="new folder for the data set")
    synth.add_argument("--kind", choices=tuple(KINDS), default="aerial", help="colour + height, or colour + thermal")
    synth.add_argument("--count", type=int, default=100, metavar="N", help="number of scenes (default: 100)")
    synth.add_argument("--size", type=int, default=256, metavar="S", help="side in pixels (default: 256)")
    synth.add_argument("--seed", type=int, default=0, metavar="K", help="another seed gives other scenes (default: 0)")


def run(args: argparse.Namespace) -> int:
    """Do what was asked; 0 when it is done."""
    return {"init": _init, "check": _check, "synth": _synth}[args.data_verb](args)


def _verb(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], name: str, summary: str
) -> argparse.ArgumentParser:
    return verbs.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=f"example:\n  {EXAMPLES[name]}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _init(args: argparse.Namespace) -> int:
    out = args.out or args.data / "dataset.toml"
    draft = describe(args.data, out)
    say(f"written: {out}")
    for guess in draft.guesses:
        say(f"  look at: {guess}")
    say(f"next: dis2-edge data check {args.data} --describe {out} --out out/check")
    return 0


def _check(args: argparse.Namespace) -> int:
    dataset = open_dataset(args.data, args.describe)
    found = datacheck.check(dataset)
    height, width = dataset.task.grid
    table(f"{dataset.name}: sensors, grid {height}x{width}", *datacheck.sensor_rows(dataset, found))
    table("class shares, per cent of labelled pixels (ignore: of all)", *datacheck.class_rows(dataset, found))
    for warning in datacheck.warnings_of(dataset, found):
        warn(warning)
    if args.out:
        datacheck.write_sheet(dataset, args.out / "sheet.png", rows=max(1, args.rows))
        say(f"sheet: {args.out / 'sheet.png'}")
    return 0


def _synth(args: argparse.Namespace) -> int:
    synthesise(args.out, args.kind, args.count, args.size, args.seed)
    say(f"written: {args.out}")
    say(f"next: dis2-edge data check {args.out} --out out/check")
    return 0
