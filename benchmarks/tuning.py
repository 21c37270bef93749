"""What tuning under fake quantisation is worth: ranges by each observer, then labels, distillation, scales, norms.

    python -m benchmarks.tuning RUN --data DATA [--describe FILE] [--epochs N] [--only PATTERN] [--out out/tuning.json]

Every row makes the students of RUN anew, in every scenario, and judges them as fake-quantised torch graphs, which is
many times quicker than files and says the same (`tests/quantize/writing/test_export.py` compares the two). `drop` is
in points of mIoU against the FP32 network of the same scenario, `agreement` the share of test pixels that it names as
that network does. As 8 bits cost so little that there is nothing to mend, the second group has 3-bit activations, a
setting of this benchmark alone. Figures are written as they come: called again, finished rows are not made again.
"""

from __future__ import annotations

import argparse
import dataclasses
import fnmatch
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.tuning_rows import ROWS, CoarseQuant, OwnScenario, Row
from dis2_edge.dataset import open_dataset
from dis2_edge.errors import RecipeError, UserError
from dis2_edge.files import read_json, write_json
from dis2_edge.recipe import Recipe
from dis2_edge.scores import confusion, scores
from dis2_edge.terminal import note, progress, say, table
from dis2_edge.timing import describe_machine
from dis2_quantize.rounding.fake import ActivationQuant
from dis2_quantize.teaching.student import Student, calibrate, logits_of, make_student
from dis2_quantize.teaching.tune import tune
from dis2_train import checkpoint
from dis2_train.checkpoint import Checkpoint
from dis2_train.data.batches import Split, whole_images
from dis2_train.evaluate import Segmenter

COLUMNS = ("row", "mIoU val", "drop val", "mIoU test", "drop test", "agreement %")
Masks = dict[str, list[npt.NDArray[np.uint8]]]
"""By scenario, the masks (B, H, W) of each batch of a split."""


@dataclass(frozen=True)
class Figure:
    """One row in one scenario, mIoU 0..1."""

    val: float
    """mIoU on the split that tuning chose its best state by."""
    test: float
    """mIoU on the split that nothing was chosen by."""
    agreement: float
    """Share of test pixels (0..1) equal to the FP32 mask of the same scenario."""


@dataclass(frozen=True)
class Bench:
    """What every row starts from."""

    run: Checkpoint
    recipe: Recipe
    train: Split
    val: Split
    test: Split
    reference: Masks
    """FP32 masks of the test split."""


def main(argv: Sequence[str] | None = None) -> int:
    """Make the rows that are missing, print all of them; 2 when the user can mend what went wrong."""
    args = _arguments(argv)
    torch.set_num_threads(args.threads)
    try:
        rows = [row for row in ROWS if fnmatch.fnmatch(row.name, args.only)]
        bench = prepare(args)
        made = make(bench, rows, args.out)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    show(bench, made)
    return 0


def prepare(args: argparse.Namespace) -> Bench:
    """The run, its data, and what its FP32 network says of the test split."""
    run = checkpoint.load(args.run)
    data = open_dataset(args.data, args.describe).narrowed(run.task.sensor_names, run.task.grid)
    recipe = dataclasses.replace(run.recipe, quantize_epochs=args.epochs, distill_balance=True)
    train, val, test = (Split(data, name, run.task, torch.device("cpu")) for name in ("train", "val", "test"))
    reference = masks(lambda frames, scenario: run.network(frames, scenario).logits, test)
    return Bench(run, recipe, train, val, test, reference)


def make(bench: Bench, rows: Sequence[Row], out: Path) -> dict[str, dict[str, Figure]]:
    """Figures by row and scenario, the FP32 network first; `out` is read first, and written after every row."""
    kept: dict[str, Any] = read_json(out, RecipeError) if out.exists() else {}
    made = {"FP32": judged(lambda frames, scenario: bench.run.network(frames, scenario).logits, bench)}
    for place, row in enumerate(progress(rows, "rows")):
        recipe = dataclasses.replace(bench.recipe, **row.changes)
        setting = {"row": _jsonable(asdict(row)), "recipe": recipe.to_toml(), "weights": str(bench.run.path)}
        if kept.get(row.name, {}).get("setting") != setting:
            started = time.monotonic()
            found = judged(logits_of(students_of(bench, row, recipe)), bench)
            figures = {scenario: asdict(figure) for scenario, figure in found.items()}
            kept[row.name] = {"setting": setting, "figures": figures, "seconds": time.monotonic() - started}
            write_json(out, kept)
            note(_told(row, kept, rows[place + 1 :]))
        made[row.name] = {scenario: Figure(**value) for scenario, value in kept[row.name]["figures"].items()}
    return made


def students_of(bench: Bench, row: Row, recipe: Recipe) -> list[Student]:
    """The students of a row, calibrated, and tuned if the row tunes."""
    students = [make_student(bench.run.network, scenario, recipe) for scenario in bench.run.task.scenarios]
    if row.bits < 8:
        for student in students:
            for path, fine in list(student.network.named_modules()):
                if isinstance(fine, ActivationQuant):
                    student.network.set_submodule(path, CoarseQuant(fine.name, recipe.observer, row.bits))
    calibrate(students, bench.train, recipe.calibration_images)
    if row.tuned and row.teacher == "full":
        tune(students, bench.run.network, bench.train, bench.val, recipe)
    elif row.tuned:
        for student in students:
            teacher: Any = OwnScenario(bench.run.network, student.scenario)
            tune([student], teacher, bench.train, bench.val, recipe)
    return students


def judged(segment: Segmenter, bench: Bench) -> dict[str, Figure]:
    """mIoU on both splits and agreement with FP32, by scenario."""
    val, test = masks(segment, bench.val), masks(segment, bench.test)
    found = {}
    for scenario in bench.run.task.scenarios:
        pairs = zip(test[scenario], bench.reference[scenario], strict=True)
        equal = [float((mask == reference).mean()) * len(mask) for mask, reference in pairs]
        ious = _miou(bench.val, val[scenario]), _miou(bench.test, test[scenario])
        found[scenario] = Figure(*ious, agreement=sum(equal) / len(bench.test))
    return found


@torch.no_grad()
def masks(segment: Segmenter, split: Split) -> Masks:
    """What `segment` says of a split in every scenario."""
    said: Masks = {scenario: [] for scenario in split.task.scenarios}
    for batch in whole_images(split, 8):
        for scenario, seen in said.items():
            used = {sensor.name: batch.frames[sensor.name] for sensor in split.task.used(scenario)}
            seen.append(segment(used, scenario).argmax(1).to(torch.uint8).numpy())
    return said


def show(bench: Bench, made: Mapping[str, Mapping[str, Figure]]) -> None:
    """Print a table a scenario, and what it was measured on."""
    for scenario in bench.run.task.scenarios:
        whole = made["FP32"][scenario]
        rows = [(name, *_cells(found[scenario], whole)) for name, found in made.items()]
        title = f"{scenario}: {len(bench.val)} val and {len(bench.test)} test images, fake-quantised torch graphs"
        table(title, COLUMNS, rows)
    machine = describe_machine(("torch",))
    told = f"{bench.run.path}, {bench.recipe.quantize_epochs} epochs of tuning"
    say(f"{told}; {machine.cpu}, {torch.get_num_threads()} threads, torch {machine.packages['torch']}")


def _cells(figure: Figure, whole: Figure) -> tuple[str, ...]:
    val, test = 100 * figure.val, 100 * figure.test
    drops = 100 * whole.val - val, 100 * whole.test - test
    return f"{val:.2f}", f"{drops[0]:.2f}", f"{test:.2f}", f"{drops[1]:.2f}", f"{100 * figure.agreement:.2f}"


def _miou(split: Split, said: Sequence[npt.NDArray[np.uint8]]) -> float:
    classes = len(split.task.classes)
    pairs = zip(whole_images(split, 8), said, strict=True)
    return scores(sum(confusion(batch.target.numpy().astype(np.uint8), mask, classes) for batch, mask in pairs)).miou


def _told(row: Row, kept: Mapping[str, Any], left: Sequence[Row]) -> str:
    """What a row took, and how long the rest will: as long as the last one that tuned, or did not."""
    tuned = {one.name: one.tuned for one in ROWS}
    took = {tuned[name]: entry["seconds"] for name, entry in kept.items() if name in tuned}
    rest = sum(took.get(one.tuned, kept[row.name]["seconds"]) for one in left)
    return f"{row.name}: {kept[row.name]['seconds']:.0f} s; about {rest / 60:.0f} min left"


def _jsonable(value: dict[str, Any]) -> dict[str, Any]:
    return {key: list(item) if isinstance(item, tuple) else item for key, item in value.items()}


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tuning", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a finished training")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of its data set")
    parser.add_argument("--describe", type=Path, metavar="FILE", help="dataset.toml that lies elsewhere than in DIR")
    parser.add_argument("--epochs", type=int, default=2, help="passes of tuning over the training split")
    parser.add_argument("--threads", type=int, default=1, help="torch threads")
    parser.add_argument("--only", default="*", metavar="PATTERN", help="rows whose names match, such as '3 bits*'")
    parser.add_argument("--out", type=Path, default=Path("out/tuning.json"), metavar="FILE", help="the figures")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
