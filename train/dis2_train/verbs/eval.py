"""`dis2-edge eval`: one model on labelled data: every score in every scenario and under noise, with intervals."""

from __future__ import annotations

import argparse
from pathlib import Path

from dis2_edge.errors import UserError
from dis2_edge.terminal import say
from dis2_train.judging.asking import MODEL_HELP, declare, judge_of

EXAMPLE = "dis2-edge eval out/ombria --data DATA --split val --out out/ombria-val.json"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `dis2-edge eval`."""
    parser.add_argument("model", type=Path, metavar="MODEL", help=MODEL_HELP)
    declare(parser)
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="keep the counts of every image, and the scores")


def run(args: argparse.Namespace) -> int:
    """Judge the model, print its scores, and keep the evaluation where asked to."""
    from dis2_train.judging.comparison import compare, plain
    from dis2_train.judging.evaluation import write_evaluation
    from dis2_train.judging.source import holds_precisions
    from dis2_train.judging.tables import lead_measure, print_evaluation

    if args.precision and args.model.exists() and not holds_precisions(args.model):
        where = f"--precision {args.precision}: {args.model} is"
        raise UserError(
            f"{where} one model in one precision", expected="a quantised run or a bundle, which hold several"
        )
    found = judge_of(args).evaluate(args.model)
    compared = compare({found.label: [found]})
    print_evaluation(compared, lead_measure(args.lead, found.classes))
    if args.out:
        write_evaluation(args.out, found, plain(compared.rows[0].scores))
        say(f"evaluation: {args.out}")
    return 0
