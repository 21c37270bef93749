"""`dis2-edge quantize`: a run to one model file a scenario and precision, and a table of FP32 against INT8."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path

from dis2_edge import recipe as recipes
from dis2_edge.dataset import open_dataset
from dis2_edge.errors import CheckpointError, RecipeError
from dis2_edge.recipe import Recipe
from dis2_edge.terminal import say, table
from dis2_quantize.judging.judge import Verdict
from dis2_quantize.run import quantize
from dis2_quantize.typed import FILES
from dis2_train import checkpoint

EXAMPLE = "dis2-edge quantize out/ombria --data DATA --out out/ombria-int8 --precision fp32,int8"
_OWN_KEYS = ("tune_above", "quantize_epochs", "quantize_learning_rate", "calibration_images", "observer", "temperature")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `dis2-edge quantize`."""
    parser.add_argument("trained", type=Path, metavar="RUN", help="folder of a finished training")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of the data set")
    parser.add_argument("--out", type=Path, required=True, metavar="QRUN", help="new folder for the quantised run")
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


def run(args: argparse.Namespace) -> int:
    """Quantise, print FP32 against INT8 on the test split, and say where the quantised run is."""
    if (args.trained / "quantized.json").is_file():
        raise CheckpointError(
            f"{args.trained} is quantised already", mend=f"dis2-edge deploy {args.trained} --board host"
        )
    trained = checkpoint.load(args.trained)
    recipe = _overridden(trained.recipe, args.trained / "recipe.toml", args.overrides)
    data = open_dataset(args.data, args.describe)
    dialects = [name.strip() for name in args.dialect.split(",")]
    precisions = args.precision or ",".join(name for dialect in dialects for name in FILES.get(dialect, ()))
    done = quantize(trained, recipe, data, args.out, [name.strip() for name in precisions.split(",")], dialects)
    columns, rows = table_rows(done.verdicts)
    table(
        f"{data.name}: FP32 against FP16 and INT8, per cent; FP16 is simulated, files run by ONNX Runtime",
        columns,
        rows,
    )
    say(f"quantised run: {done.path}")
    say(f"next: dis2-edge deploy {done.path} --board host --out BUNDLE")
    return 0


def table_rows(verdicts: Sequence[Verdict]) -> tuple[list[str], list[list[str]]]:
    """One row a scenario and smaller format: mIoU of both, drop of the mean and of the worst class, agreement, size."""
    full = {v.candidate.scenario: v for v in verdicts if v.candidate.precision == "fp32"}
    columns = ["scenario", "format", "mIoU FP32", "mIoU", "drop", "worst class", "agreement", "MB FP32", "MB"]
    smaller = [verdict for verdict in verdicts if verdict.candidate.precision != "fp32"]
    rows = [[v.candidate.scenario, _format(v), *_cells(full.get(v.candidate.scenario), v)] for v in smaller]
    alone = [name for name in full if name not in {row[0] for row in rows}]
    return columns, rows + [[name, "-", *_cells(full[name], None)] for name in alone]


def _format(verdict: Verdict) -> str:
    return f"{verdict.candidate.precision.upper()} {verdict.candidate.dialect}"


def _cells(full: Verdict | None, small: Verdict | None) -> list[str]:
    drop, worst, agreement = "-", "-", "-"
    if full and small:
        losses = [100 * (f - s) for f, s in zip(full.scores.iou, small.scores.iou, strict=True) if f == f and s == s]
        drop, worst = f"{100 * (full.scores.miou - small.scores.miou):.2f}", f"{max(losses):.2f}"
        agreement = f"{100 * small.agreement:.2f}"
    ious = [f"{100 * verdict.scores.miou:.2f}" if verdict else "-" for verdict in (full, small)]
    sizes = [f"{verdict.size / 1e6:.1f}" if verdict else "-" for verdict in (full, small)]
    return [*ious, drop, worst, agreement, *sizes]


def _overridden(recipe: Recipe, file: Path, overrides: Sequence[str]) -> Recipe:
    """The run's recipe with the keys of quantisation that `overrides` set; other keys belong to training."""
    for override in overrides:
        key = override.partition("=")[0].strip()
        if key in {field.name for field in dataclasses.fields(Recipe)} and key not in _OWN_KEYS:
            raise RecipeError(f"--set {key}: a run's {key} is fixed by its training", expected=", ".join(_OWN_KEYS))
    return recipes.load(file, overrides)
