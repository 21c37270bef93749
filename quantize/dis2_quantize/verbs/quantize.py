"""`dis2-edge quantize`: a run to one model file a scenario and precision, a table of them, and a verdict."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dis2_edge import recipe as recipes
from dis2_edge.errors import RecipeError, UserError
from dis2_edge.recipe import Recipe
from dis2_edge.terminal import say

if TYPE_CHECKING:
    from dis2_quantize.judging.verdict import Limits, Verdict

EXAMPLE = "dis2-edge quantize out/ombria --data DATA --out out/ombria-int8 --precision fp32,int8"
FAILED = 1
"""Exit code of a verdict that failed; the quantised run is there all the same."""
_OWN_KEYS = (
    "tune_above",
    "quantize_epochs",
    "quantize_learning_rate",
    "calibration_images",
    "observer",
    "temperature",
    "quantize_lesson",
    "learned_scales",
    "quantize_freeze_norms",
    "keep_float",
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `dis2-edge quantize`."""
    parser.add_argument("trained", type=Path, nargs="?", metavar="RUN", help="folder of a finished training")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of the data set")
    parser.add_argument("--out", type=Path, metavar="QRUN", help="new folder for the quantised run")
    parser.add_argument("--describe", type=Path, metavar="FILE", help="dataset.toml that lies elsewhere than in DIR")
    parser.add_argument(
        "--precision", metavar="LIST", help="some of fp32, fp16, int8 (default: all that the dialects have)"
    )
    parser.add_argument(
        "--dialect", default="ort,trt", metavar="LIST", help="ort for ONNX Runtime, trt for TensorRT (default: both)"
    )
    parser.add_argument(
        "--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE", help="change a key of quantisation"
    )
    parser.add_argument(
        "--max-drop", type=float, metavar="POINTS", help="mIoU that a file may lose against FP32 (default: 0.5)"
    )
    parser.add_argument(
        "--max-class-drop", type=float, metavar="POINTS", help="IoU that any one class may lose (default: 2.0)"
    )
    parser.add_argument(
        "--show",
        type=Path,
        metavar="QRUN",
        help="print table and verdict of a quantised run again, by other limits where given; computes nothing",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--choose", metavar="BOARD", help="measure which blocks to keep in floating point, for BOARD")
    how.add_argument("--replay", type=Path, metavar="FILE", help="choice.json of a quantised run: choose the same")
    parser.add_argument("--budget-ms", type=float, metavar="MS", help="with --choose: least damage within that time")


def run(args: argparse.Namespace) -> int:
    """Quantise, print what each file does and the verdict on it; exit code 1 where the verdict failed."""
    if args.show:
        return _show_again(args)
    _check_given(args)
    from dis2_edge.dataset import open_dataset
    from dis2_quantize.choosing import arguments
    from dis2_quantize.judging.mends import mends
    from dis2_quantize.run import quantize, refuse_quantised
    from dis2_quantize.typed import FILES
    from dis2_train import checkpoint

    limits = _limits(args)
    refuse_quantised(args.trained)
    trained = checkpoint.load(args.trained)
    recipe = _overridden(trained.recipe, args.trained / "recipe.toml", args.overrides)
    data = open_dataset(args.data, args.describe)
    dialects = [name.strip() for name in args.dialect.split(",")]
    given = args.precision or ",".join(dict.fromkeys(name for kind in dialects for name in FILES.get(kind, ())))
    precisions = [name.strip() for name in given.split(",")]
    choice = arguments.choice_of(args, trained, recipe, data, precisions)
    done = quantize(trained, recipe, data, args.out, precisions, dialects, limits, choice)
    code = _tell(done.verdict, done.path)
    say(f"quantised run: {done.path}")
    if code == 0:
        say(f"next: dis2-edge deploy {done.path} --board host --out BUNDLE")
        return code
    failed = next(row.scenario for row in done.verdict.rows if not done.verdict.kept(row))
    for why, line in mends(done.verdict, recipe, trained.network.blocks(failed), _words(args), done.path):
        say(f"next, to {why}:\n  {line}")
    return code


def _show_again(args: argparse.Namespace) -> int:
    """What `run` printed of a finished quantised run, by the limits that are given now, else by those of then."""
    from dis2_quantize.judging import verdict as verdicts

    given = [args.trained, args.data, args.out, args.describe, *args.overrides]
    if any(given):
        raise UserError("--show prints what is there, and something to compute was given too", mend="leave one out")
    found = verdicts.read(args.show)
    return _tell(dataclasses.replace(found, limits=_limits(args, found.limits)), args.show)


def _tell(verdict: Verdict, qrun: Path) -> int:
    """Print table and verdict; the exit code that it asks for."""
    from dis2_quantize.judging import tables

    tables.show(verdict)
    for line in tables.sentences(verdict, qrun):
        say(line)
    return FAILED if verdict.passed is False else 0


def _check_given(args: argparse.Namespace) -> None:
    """Refuse a command without what only --show can do without."""
    needed = {"RUN": args.trained, "--data DIR": args.data, "--out QRUN": args.out}
    missing = [name for name, given in needed.items() if given is None]
    if missing:
        raise UserError(f"{', '.join(missing)} is missing", mend=f"type such as: {EXAMPLE}; or --show QRUN")


def _words(args: argparse.Namespace) -> list[str]:
    """The command that was typed, with another folder to write to."""
    words = ["dis2-edge", "quantize", str(args.trained), "--data", str(args.data)]
    words += ["--describe", str(args.describe)] if args.describe else []
    words += ["--out", f"{args.out}-2", "--dialect", args.dialect]
    words += ["--precision", args.precision] if args.precision else []
    for name in ("max_drop", "max_class_drop"):
        given = getattr(args, name)
        words += [] if given is None else [f"--{name.replace('_', '-')}", f"{given:g}"]
    return words + [word for override in args.overrides for word in ("--set", override)]


def _limits(args: argparse.Namespace, base: Limits | None = None) -> Limits:
    """The limits that were typed, over those of `base`."""
    from dis2_quantize.judging.verdict import Limits

    given = {"max_drop": args.max_drop, "max_class_drop": args.max_class_drop}
    return dataclasses.replace(base or Limits(), **{name: value for name, value in given.items() if value is not None})


def _overridden(recipe: Recipe, file: Path, overrides: Sequence[str]) -> Recipe:
    """The run's recipe with the keys of quantisation that `overrides` set; other keys belong to training."""
    for override in overrides:
        key = override.partition("=")[0].strip()
        if key in {field.name for field in dataclasses.fields(Recipe)} and key not in _OWN_KEYS:
            raise RecipeError(f"--set {key}: a run's {key} is fixed by its training", expected=", ".join(_OWN_KEYS))
    return recipes.load(file, overrides)
