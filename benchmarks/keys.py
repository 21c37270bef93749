"""What coarser keys of the fusion attention cost a trained DIS2: FP32 mIoU with other squares, not trained again.

    python -m benchmarks.keys RUN --data DATA [--describe FILE] [--split test] [--most 16,8,4] [--threads 2]

`--most` lists how many keys along a side a slot may have; squares are never smaller than 2x2 positions.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import torch

from dis2_edge.dataset import open_dataset
from dis2_edge.errors import UserError
from dis2_edge.scores import scores
from dis2_edge.terminal import table
from dis2_train import checkpoint
from dis2_train.data.batches import Split
from dis2_train.evaluate import evaluate
from dis2_train.networks.dis2 import fusion


def main(argv: Sequence[str] | None = None) -> int:
    """Score the run with each number of keys and print a table; 2 when the user can mend what went wrong."""
    args = _arguments(argv)
    torch.set_num_threads(args.threads)
    try:
        rows, scenarios, images = scored(args.run, args.data, args.describe, args.split, args.most)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    table(f"{args.run}, {args.split}, {images} images: FP32 mIoU, per cent", ("most keys", *scenarios), rows)
    return 0


def scored(
    run: Path, data: Path, describe: Path | None, split: str, most: Sequence[int]
) -> tuple[list[tuple[str, ...]], tuple[str, ...], int]:
    """One row for each of `most`: mIoU in every scenario; the scenarios; and the images of the split."""
    trained = checkpoint.load(run)
    task = trained.task
    images = Split(
        open_dataset(data, describe).narrowed(task.sensor_names, task.grid), split, task, torch.device("cpu")
    )
    rows = []
    for keys in most:
        with mock.patch.object(fusion, "MOST_KEYS", keys):
            counts = evaluate(trained.network, images, task.scenarios, label=f"{keys} keys")
        found = [f"{100 * scores(counts[scenario]).miou:.2f}" for scenario in task.scenarios]
        rows.append((f"{keys}x{keys}", *found))
    return rows, task.scenarios, len(images)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.keys", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a finished training of dis2")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of its data set")
    parser.add_argument("--describe", type=Path, metavar="FILE", help="dataset.toml that lies elsewhere than in DIR")
    parser.add_argument("--split", default="test", help="which images are scored")
    parser.add_argument(
        "--most", type=lambda text: [int(part) for part in text.split(",")], default=[16, 8, 4], metavar="LIST"
    )
    parser.add_argument("--threads", type=int, default=2, help="torch threads")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
