"""`dis2-edge compare`: models side by side on anyone's labelled data, with paired 95 % intervals."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from dis2_edge.errors import UserError
from dis2_edge.terminal import say
from dis2_train.judging.asking import MODEL_HELP, declare, judge_of

EXAMPLE = "dis2-edge compare out/dis2-s0 out/dis2-s1 out/unet --data DATA --reference unet --out out/comparison"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `dis2-edge compare`."""
    parser.add_argument(
        "models", type=Path, nargs="*", metavar="MODEL", help=f"{MODEL_HELP}; runs that differ in the seed are one row"
    )
    declare(parser)
    parser.add_argument("--reference", metavar="ROW", help="row that differences are taken to (default: the first)")
    parser.add_argument(
        "--group",
        action="append",
        default=[],
        metavar="ROW=MODEL,MODEL",
        help="make a row of these: seeds of a network, or networks of one sensor each; may stand again",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="write comparison.json, a page, and what was judged")


def run(args: argparse.Namespace) -> int:
    """Judge what was not judged before, print the tables, and write the page where asked to."""
    from dis2_edge.report.page import need_templates
    from dis2_train.judging.comparison import compare
    from dis2_train.judging.grouping import named_groups, rows_of
    from dis2_train.judging.parts import with_parts
    from dis2_train.judging.tables import lead_measure, print_comparison

    groups = named_groups(args.group)
    models = list(dict.fromkeys([*args.models, *(path for paths in groups.values() for path in paths)]))
    if not models:
        raise UserError("nothing to compare", expected="models, or --group ROW=MODEL,MODEL")
    if args.out:
        need_templates()
    judge = judge_of(args, args.out and args.out / "evaluations")
    rows = rows_of([(model, judge.evaluate(model)) for model in models], groups)
    found = with_parts(compare(rows, args.reference), rows, judge.data.parts(judge.split))
    lead = lead_measure(args.lead, found.classes)
    print_comparison(found, lead)
    if args.out:
        from dis2_train.judging.page import write_comparison

        write_comparison(args.out, found, lead, _command(args))
        say(f"page: {args.out / 'comparison.html'}")
    return 0


def _command(args: argparse.Namespace) -> str:
    """The line that makes the page anew."""
    words = ["dis2-edge", "compare", *args.models, "--data", args.data, "--split", args.split]
    for flag, value in (("--describe", args.describe), ("--class", args.lead), ("--precision", args.precision)):
        words += [flag, value] if value else []
    words += ["--reference", args.reference] if args.reference else []
    words += [word for group in args.group for word in ("--group", group)]
    return shlex.join(map(str, [*words, *(["--no-noise"] if args.no_noise else []), "--out", args.out]))
