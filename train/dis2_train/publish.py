"""Turn a finished run on synthetic scenes into a model that ships with dis2-edge: half precision, and a model card.

    python -m dis2_train.publish RUN --data DATA --out models/NAME

Weights may travel only where the terms of their data allow it, so that the data must be proven to be of our own
generator: scenes are drawn again and compared, and the run's statistics must be those of the data.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from dis2_edge.dataset import open_dataset
from dis2_edge.description import FILE
from dis2_edge.errors import CheckpointError, DataError, StorageError, UserError
from dis2_edge.files import check_free, new_folder, write_bytes, write_json, write_text
from dis2_edge.statistics import measure
from dis2_edge.terminal import say, table
from dis2_train import checkpoint
from dis2_train.card import Origin, card
from dis2_train.checkpoint import Checkpoint
from dis2_train.evaluate import table_rows
from dis2_train.fitting.start import INIT
from dis2_train.fitting.teaching import FOLDER
from dis2_train.importing import ORIGIN
from dis2_train.scoring import score
from dis2_train.synth.make import KINDS, draw

if TYPE_CHECKING:
    from dis2_edge.dataset import DataSet

LIMIT_BYTES = 40_000_000
"""What all models together may weigh."""
BEFORE = "miou in float32"
"""Key of metrics.json: mIoU of each scenario before the weights were rounded."""
_SAID = re.compile(r"kind (\w+), .* seed (\d+)\.")


def publish(run: Path, data: DataSet, out: Path) -> Checkpoint:
    """Write the finished `run`, trained on `data`, as the model folder `out`, whole or not at all; returns it loaded.

    Its figures are measured with the rounded weights. Raises DataError when `data` are not, to the pixel, what the
    generator draws; CheckpointError when the run was not trained on them alone; StorageError when the folder that holds
    `out` would weigh more than `LIMIT_BYTES`.
    """
    check_free(out)
    done = checkpoint.load(run)
    data = data.narrowed(done.task.sensor_names, done.task.grid)
    origin = synthetic_origin(data)
    _check_trained_on(done, data)
    if done.network.taught_by():
        _check_taught_on(run, data)
    before = {name: row["miou"] for name, row in score(done.network, data)["scenarios"].items()}
    weights = halved(done.network.state_dict())
    checkpoint.fill(done.network, weights, where=str(run))
    metrics = {**score(done.network, data), "weights": "float16", BEFORE: before}
    done = dataclasses.replace(done, path=out, metrics=metrics)
    with new_folder(out) as folder:
        checkpoint.begin(folder, done.recipe, done.task, done.statistics)
        write_json(folder / "metrics.json", metrics)
        write_text(folder / "README.md", card(done, origin, before, _seconds(run)))
        write_bytes(folder / checkpoint.WEIGHTS, safetensors.torch.save(weights, {"format": "pt"}))
        _check_weight(out.parent, folder)
    return checkpoint.load(out)


def synthetic_origin(data: DataSet) -> Origin:
    """How `data` were drawn: proven by drawing the first scene of every split again; DataError when they were not."""
    kind = data.name.removeprefix("synth_")
    said = _SAID.search((data.root / FILE).read_text("utf-8")) if (data.root / FILE).is_file() else None
    if kind not in KINDS or said is None or said[1] != kind:
        raise DataError(
            f"the data set {data.name!r} is not of the generator of dis2-edge",
            expected=f"synth_{' or synth_'.join(KINDS)}: only their terms are known to allow that weights travel",
        )
    seed = int(said[2])
    for split in data.whole_splits:
        _check_drawn(data, kind, seed, split)
    return Origin(kind, sum(len(data.ids(split)) for split in data.whole_splits), data.task.grid[0], seed)


def halved(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """`state` with floats in half precision, but for tensors that hold values too large for it."""
    kept = checkpoint.plain(state)
    halves = {name: tensor.half() for name, tensor in kept.items() if tensor.dtype == torch.float32}
    return kept | {name: half for name, half in halves.items() if half.isfinite().all()}


def _check_drawn(data: DataSet, kind: Any, seed: int, split: str) -> None:
    """Refuse a split whose first scene is another than the generator draws."""
    if split not in ("train", "val", "test"):
        raise DataError(
            f"split {split!r} of {data.name!r}", expected="train, val and test, as the generator makes them"
        )
    sample = data.read(split, data.ids(split)[0])
    drawn = draw(kind, data.task.grid, seed, split, int(sample.id.partition("_")[0]))
    pairs = [(sample.frames[name], drawn.frames[name]) for name in data.task.sensor_names]
    same = all(np.array_equal(ours.squeeze(), theirs.squeeze(), equal_nan=True) for ours, theirs in pairs)
    if not same or sample.label is None or not np.array_equal(sample.label, drawn.label):
        raise DataError(
            f"{split}/{sample.id} is not what the generator draws", mend="make the data set anew: data synth"
        )


def _check_taught_on(run: Path, data: DataSet) -> None:
    """Refuse a run whose teacher, who lives on in its weights, may have learned from anything but `data`."""
    if not (run / FOLDER).is_dir():
        found = f"{run} has lost its folder {FOLDER}: the training data of its teacher are not known"
        raise CheckpointError(found, mend="train it again, and keep the folder")
    teacher = checkpoint.load(run / FOLDER)
    _check_trained_on(teacher, data.narrowed(teacher.task.sensor_names, teacher.task.grid))


def _check_trained_on(run: Checkpoint, data: DataSet) -> None:
    if ORIGIN in run.metrics:
        raise CheckpointError(f"{run.path} was {ORIGIN} {run.metrics[ORIGIN]}: its training data are not known")
    if (run.path / INIT).exists():
        raise CheckpointError(f"{run.path} began from other weights, by its {INIT}", mend="train it without --init")
    found = {row.name: (*row.mean, *row.std) for row in measure(data, "train")}
    said = {row.name: (*row.mean, *row.std) for row in run.statistics}
    if run.task.classes != data.task.classes or found.keys() != said.keys():
        raise CheckpointError(f"{run.path} was not trained on {data.name!r}: its classes or sensors differ")
    if not all(np.allclose(found[name], said[name], rtol=1e-6) for name in found):
        raise CheckpointError(f"{run.path} was not trained on {data.root}: its statistics differ")


def _check_weight(models: Path, added: Path) -> None:
    """Refuse to let the folder of models grow beyond its limit; `added` lies in it already, under a passing name."""
    others = [path for path in models.iterdir() if path.is_dir() and not path.name.startswith(".")]
    total = sum(file.stat().st_size for folder in (*others, added) for file in folder.rglob("*") if file.is_file())
    if total > LIMIT_BYTES:
        found = f"{models} would weigh {total / 1e6:.1f} MB"
        raise StorageError(found, expected=f"{LIMIT_BYTES / 1e6:g} MB at most", mend="remove a model from it first")


def _seconds(run: Path) -> float | None:
    """How long the training took, by its log and its teacher's; None without one."""
    logs = [folder / "log.csv" for folder in (run, run / FOLDER) if folder.is_dir()]
    spent = [_spent(log) for log in logs]
    return None if None in spent else sum(filter(None, spent))


def _spent(log: Path) -> float | None:
    if not log.is_file():
        return None
    with log.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return float(rows[-1]["seconds"]) if rows and rows[-1].get("seconds") else None


def main(argv: Sequence[str] | None = None) -> int:
    """Publish a run and print its figures; 2 when the user can mend what went wrong."""
    parser = argparse.ArgumentParser(prog="python -m dis2_train.publish", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a finished training on synthetic scenes")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="the scenes it was trained on")
    parser.add_argument("--out", type=Path, required=True, metavar="MODEL", help="new folder, such as models/NAME")
    args = parser.parse_args(argv)
    try:
        made = publish(args.run, open_dataset(args.data), args.out)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    table(f"{args.out}, rounded weights, {made.metrics['images']} images", *table_rows(made.metrics, made.task))
    say(f"written: {args.out}; to commit it: git add --force {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
