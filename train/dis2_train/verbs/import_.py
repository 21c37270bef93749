"""`dis2-edge import`: a checkpoint in the released format to a run folder, scored where there are data."""

from __future__ import annotations

import argparse
from pathlib import Path

from dis2_edge.dataset import open_dataset
from dis2_edge.errors import RecipeError
from dis2_edge.terminal import say, table, warn
from dis2_train import checkpoint
from dis2_train.evaluate import table_rows
from dis2_train.importing import Names, import_run

EXAMPLE = "dis2-edge import dis2_potsdam.pth --out out/released --classes impervious,building,low,tree,car"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `dis2-edge import`."""
    parser.add_argument("source", type=Path, metavar="CKPT", help="file of torch or .safetensors; no code in it is run")
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help="new folder for the run")
    parser.add_argument(
        "--size", type=int, nargs=2, default=(0, 0), metavar=("H", "W"), help="pixels it was trained on, if not square"
    )
    parser.add_argument("--data", type=Path, metavar="DIR", help="data set to take names from and to score it on")
    parser.add_argument("--describe", type=Path, metavar="FILE", help="dataset.toml that lies elsewhere than in DIR")
    parser.add_argument(
        "--sensors", nargs=2, default=(), metavar=("RGB", "NDSM"), help="names of both sensors (default: rgb ndsm)"
    )
    parser.add_argument("--classes", default="", metavar="A,B,...", help="names of the classes, by index")
    parser.add_argument("--colours", default="", metavar="#RRGGBB,...", help="one colour a class")
    parser.add_argument("--mean", type=float, nargs="+", default=(), help="mean of each channel (default: 0, raw)")
    parser.add_argument("--std", type=float, nargs="+", default=(), help="its standard deviation (default: 1, raw)")
    parser.add_argument(
        "--measured", action="store_true", help="normalise by mean and std of the data set's training split"
    )


def run(args: argparse.Namespace) -> int:
    """Import, print the scores if there are data to score on, and say where the run is and what takes it."""
    if args.describe and not args.data:
        raise RecipeError("--describe without --data", mend="add --data DIR, the folder that it describes")
    data = open_dataset(args.data, args.describe) if args.data else None
    names = Names(
        sensors=tuple(args.sensors),
        classes=_words(args.classes),
        colours=_words(args.colours),
        mean=tuple(args.mean),
        std=tuple(args.std),
        measured=args.measured,
    )
    metrics = import_run(args.source, args.out, size=tuple(args.size), names=names, data=data)
    if data is not None and metrics["scenarios"]:
        columns, rows = table_rows(metrics, checkpoint.read_start(args.out)[1])
        table(f"{data.name}, split {metrics['split']}, {metrics['images']} images, per cent", columns, rows)
    else:
        warn("the run is not scored, and metrics.json says so; with --data DIR that has labels it would be")
    say(f"run: {args.out}")
    say(f"next: dis2-edge quantize {args.out} --data DATA --out QRUN --precision fp32")
    return 0


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",")) if text else ()
