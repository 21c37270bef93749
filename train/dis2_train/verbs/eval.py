"""`dis2-edge eval`: one model on labelled data: every score in every scenario and under noise, with intervals."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from dis2_edge.errors import UserError
from dis2_edge.terminal import say
from dis2_train.judging.asking import MODEL_HELP, declare, judge_of

EXAMPLE = "dis2-edge eval out/ombria --data DATA --split val --out out/ombria-val.json"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `dis2-edge eval`."""
    parser.add_argument("model", type=Path, metavar="MODEL", help=MODEL_HELP)
    declare(parser)
    parser.add_argument(
        "--engine",
        action="append",
        default=[],
        metavar="ENGINE,ENGINE",
        help="what runs a run: torch (the default), torch-tensorrt, torch-tensorrt-fp16 (both need an NVIDIA GPU and "
        "the extra tensorrt); several are set side by side, with the time of a frame; may stand again",
    )
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="keep the counts of every image, and the scores")


def run(args: argparse.Namespace) -> int:
    """Judge the model, print its scores, and keep the evaluation where asked to."""
    from dis2_train.judging.engines import TORCH, check_engines, engines_of
    from dis2_train.judging.source import holds_precisions

    engines = engines_of(args.engine)
    check_engines(engines, args.model, args.device)
    if args.precision and args.model.exists() and not holds_precisions(args.model):
        where = f"--precision {args.precision}: {args.model} is"
        raise UserError(
            f"{where} one model in one precision", expected="a quantised run or a bundle, which hold several"
        )
    return _plain(args) if engines == (TORCH,) else _by_engines(args, engines)


def _plain(args: argparse.Namespace) -> int:
    """One model as it is: a run by torch, files by ONNX Runtime."""
    from dis2_train.judging.comparison import compare, plain
    from dis2_train.judging.evaluation import write_evaluation
    from dis2_train.judging.parts import with_parts
    from dis2_train.judging.tables import lead_measure, print_evaluation

    judge = judge_of(args)
    found = judge.evaluate(args.model)
    rows = {found.label: [found]}
    compared = with_parts(compare(rows), rows, judge.data.parts(judge.split))
    print_evaluation(compared, lead_measure(args.lead, found.classes))
    if args.out:
        write_evaluation(args.out, found, plain(compared.rows[0].scores))
        say(f"evaluation: {args.out}")
    return 0


def _by_engines(args: argparse.Namespace, engines: Sequence[str]) -> int:
    """One run by one or more engines, with the time of a frame; one file of counts an engine."""
    from dis2_train.judging.comparison import compare, plain
    from dis2_train.judging.engines import judge_engines, print_latencies, record
    from dis2_train.judging.evaluation import write_evaluation
    from dis2_train.judging.parts import with_parts
    from dis2_train.judging.tables import lead_measure, print_comparison, print_evaluation

    judge = judge_of(args)
    judged = judge_engines(judge, args.model, engines)
    rows = {found.evaluation.label: [found.evaluation] for found in judged}
    compared = with_parts(compare(rows), rows, judge.data.parts(judge.split))
    show = print_evaluation if len(judged) == 1 else print_comparison
    show(compared, lead_measure(args.lead, compared.classes))
    print_latencies(judged)
    for found, row in zip(judged, compared.rows, strict=True) if args.out else ():
        file = args.out if len(judged) == 1 else args.out.with_stem(f"{args.out.stem}-{found.engine}")
        write_evaluation(file, found.evaluation, plain(row.scores), record(found))
        say(f"evaluation by {found.engine}: {file}")
    return 0
