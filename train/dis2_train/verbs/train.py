"""`dis2-edge train`: a recipe and data to a run folder, and a table of scores."""

from __future__ import annotations

import argparse
from pathlib import Path

from dis2_edge import recipe as recipes
from dis2_edge.dataset import open_dataset
from dis2_edge.terminal import say, table
from dis2_train.evaluate import table_rows
from dis2_train.fitting.fit import train

EXAMPLE = "dis2-edge train train/recipes/ombria.toml --data DATA --out out/ombria --set epochs=20"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `dis2-edge train`."""
    parser.add_argument("recipe", type=Path, metavar="RECIPE", help="TOML file of what is trained, and how")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of the data set")
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help="new folder for the run")
    parser.add_argument("--describe", type=Path, metavar="FILE", help="dataset.toml that lies elsewhere than in DIR")
    parser.add_argument(
        "--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE", help="change a key of the recipe"
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to train")
    parser.add_argument(
        "--devices", type=int, default=0, metavar="N", help="devices a node; found under torchrun or SLURM"
    )
    parser.add_argument("--nodes", type=int, default=0, metavar="N", help="nodes; found under torchrun or SLURM")
    parser.add_argument("--init", type=Path, metavar="MODEL", help="run or model whose weights are started from")
    parser.add_argument(
        "--teacher", type=Path, metavar="RUN", help="finished run that teaches a network which wants a teacher"
    )
    parser.add_argument("--resume", action="store_true", help="go on with the run in RUN; start it if there is none")


def run(args: argparse.Namespace) -> int:
    """Train, print IoU, F1 and OA of each scenario, and say where the run is."""
    recipe = recipes.load(args.recipe, args.overrides)
    data = open_dataset(args.data, args.describe)
    done = train(
        recipe,
        data,
        args.out,
        device=args.device,
        devices=args.devices,
        nodes=args.nodes,
        resume=args.resume,
        init=args.init,
        teacher=args.teacher,
    )
    columns, rows = table_rows(done.metrics, done.task)
    table(f"{data.name}, split {done.metrics['split']}, {done.metrics['images']} images, per cent", columns, rows)
    if early := done.metrics.get("stopped_early"):
        looks = f"{recipe.patience} looks in a row did not bring the worst scenario's mIoU above"
        say(
            f"stopped early, after epoch {early['epoch']} of {recipe.epochs}: {looks} {100 * early['worst_miou']:.1f} %"
        )
    say(f"run: {done.path}")
    return 0
