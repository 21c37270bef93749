"""Make one run: train it or go on with it, judge it, write its record; or take in one made by other means."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.reproduce import records
from benchmarks.reproduce.places import WEIGHTS, Places, ready
from benchmarks.reproduce.plan import ROOT, Plan, Run
from benchmarks.reproduce.recorded import differences, recipe_table
from benchmarks.reproduce.records import Origin, Record
from dis2_edge import cli
from dis2_edge import recipe as recipes
from dis2_edge.errors import CheckpointError, RecipeError
from dis2_edge.timing import describe_machine

if TYPE_CHECKING:
    from dis2_edge.dataset import DataSet
    from dis2_train.checkpoint import Checkpoint


def words(plan: Plan, run: Run, threads: int, device: str = "auto", data: str = "DATA") -> list[str]:
    """The words after `dis2-edge` that train `run`; `data` stands for the folder of its data set."""
    row, data_plan = run.row, plan.data[run.row.data]
    described = ["--describe", data_plan.describe] if data_plan.describe else []
    changes = [*row.set, f"seed={run.seed}", f"threads={threads}"]
    place = ["--device", device] if device != "auto" else []
    sets = [word for change in changes for word in ("--set", change)]
    teacher = plan.teacher_of(run)
    taught = ["--teacher", f"out/reproduce/{teacher.name}"] if teacher else []
    return [
        "train",
        row.recipe,
        "--data",
        data,
        *described,
        *sets,
        *place,
        *taught,
        "--out",
        f"out/reproduce/{run.name}",
    ]


def make(plan: Plan, run: Run, places: Places, *, threads: int, device: str, splits: Sequence[str]) -> int:
    """Train `run` from where it stands, judge it on `splits` and write its record; the exit code of the training."""
    data_plan = plan.data[run.row.data]
    line = words(plan, run, threads, device, str(places.data(run.row.data, data_plan)))
    line[line.index("--out") + 1] = str(places.run(run))
    line[1] = str(_from_root(line[1]))
    if teacher := plan.teacher_of(run):
        line[line.index("--teacher") + 1] = str(places.run(teacher))
    if data_plan.describe:
        line[line.index("--describe") + 1] = str(places.described(data_plan))
    anew = not is_trained(places, run)
    code = cli.main([*line, "--resume"])
    if code:
        return code
    told, machine = command(plan, run, threads, device), trained_on(device)
    judge(plan, run, places, places.run(run), splits, command=told, trained_on=machine, taken=False, anew=anew)
    return 0


def command(plan: Plan, run: Run, threads: int, device: str = "auto") -> str:
    """The command line that trains `run`, for people to type: DATA stands for the folder of its data set."""
    return " ".join(["dis2-edge", *map(_quoted, words(plan, run, threads, device))])


def is_trained(places: Places, run: Run) -> bool:
    """Whether finished weights of `run` lie here, made by the plan's recipe of today."""
    folder = places.run(run)
    if not (folder / WEIGHTS).is_file():
        return False
    try:
        made = recipes.load(folder / "recipe.toml")
    except RecipeError:  # absent, or of keys that are no longer known
        return False
    return made.seed == run.seed and not differences(recipe_table(made), run.row.resolved(run.seed))


def take(plan: Plan, run: Run, places: Places, folder: Path, splits: Sequence[str], trained_on: str) -> None:
    """Take the finished run in `folder`, made by other means, for `run` of the plan.

    CheckpointError unless its recipe is the plan's and its sensors, classes and statistics are those of the data.
    """
    from dis2_train import checkpoint

    done = checkpoint.load(folder)
    wrong = differences(recipe_table(done.recipe), run.row.resolved(run.seed))
    wrong += [] if done.recipe.seed == run.seed else [f"seed = {done.recipe.seed}, not {run.seed}"]
    if wrong:
        raise CheckpointError(
            f"{folder} was made by another recipe than {run.name}: {'; '.join(wrong)}",
            mend="name the row that it is by --row, or change plan.toml if the plan is what is wrong",
        )
    _check_data(done, ready(places, run.row.data, plan.data[run.row.data]), folder)
    told = command(plan, run, done.recipe.threads)
    judge(plan, run, places, folder, splits, command=told, trained_on=trained_on, taken=True)


def run_for(plan: Plan, row: str, folder: Path) -> Run:
    """The run of the row `DATA/ROW` with the seed of the run in `folder`."""
    if not (folder / "recipe.toml").is_file():
        raise CheckpointError(f"{folder} is no run: it holds no recipe.toml")
    seed = recipes.load(folder / "recipe.toml").seed
    if seed not in plan.seeds:
        raise RecipeError(f"{folder} has seed {seed}", expected=f"one of the plan's, {', '.join(map(str, plan.seeds))}")
    return plan.find(f"{row}-s{seed}")


def judge(
    plan: Plan,
    run: Run,
    places: Places,
    folder: Path,
    splits: Sequence[str],
    *,
    command: str,
    trained_on: str,
    taken: bool,
    anew: bool = False,
) -> Record:
    """Judge the finished run in `folder` on those of `splits` that its record lacks, and write the record.

    `anew`: the record tells of weights that are gone, so every split that it has is judged again.
    """
    from dis2_train.judging.evaluation import evaluate_one
    from dis2_train.segmenters import open_segmenter

    recipe = recipe_table(recipes.load(folder / "recipe.toml"))
    found = {}
    if places.record(run).is_file():
        before = records.read(places.record(run))
        found = {} if records.stale(before, run) else dict(before.evaluations)
    if anew:
        splits, found = [*dict.fromkeys([*splits, *found])], {}
    data = ready(places, run.row.data, plan.data[run.row.data])
    for split in splits:
        if split not in found:
            answered = evaluate_one(open_segmenter(folder), data, split)
            found[split] = dataclasses.replace(answered, label=run.name)  # whatever its folder was called
    steps, seconds = progress_of(folder)
    images = {split: len(data.ids(split)) for split in data.splits}
    origin = Origin(command, trained_on, _torch_version(), recipe["threads"], seconds, steps, images, taken)
    record = Record(run.name, recipe, origin, found)
    records.write(places.record(run), record)
    return record


def progress_of(folder: Path) -> tuple[int, float]:
    """Steps and seconds that the run in `folder` has logged; zeros before its first epoch."""
    try:
        rows = list(csv.DictReader(io.StringIO((folder / "log.csv").read_text("utf-8"))))
        return (int(rows[-1]["step"]), float(rows[-1]["seconds"])) if rows else (0, 0.0)
    except (OSError, KeyError, ValueError, TypeError):
        return 0, 0.0


def trained_on(device: str) -> str:
    """The processor or GPU that `device` stands for here."""
    import torch

    if device != "cpu" and torch.cuda.is_available():
        return str(torch.cuda.get_device_name())
    return describe_machine(()).cpu


def _check_data(done: Checkpoint, data: DataSet, folder: Path) -> None:
    """The run must have seen these data: their statistics stand in its task."""
    from dis2_edge.statistics import measure, with_statistics

    ours = data.narrowed(done.recipe.sensors or data.task.sensor_names, done.recipe.grid)
    task = with_statistics(ours.task, measure(ours, "train"))
    same = (task.sensor_names, task.classes, task.grid) == (done.task.sensor_names, done.task.classes, done.task.grid)
    if not same or not all(
        np.allclose((*a.mean, *a.std), (*b.mean, *b.std), rtol=1e-4)
        for a, b in zip(task.sensors, done.task.sensors, strict=True)
    ):
        raise CheckpointError(
            f"{folder} was trained on other data than {data.root}: sensors, classes, grid or statistics differ",
            mend="name the data set it was trained on, by --data-root or its variable",
        )


def _from_root(path: str) -> Path:
    return ROOT / path


def _quoted(word: str) -> str:
    return f"'{word}'" if any(mark in word for mark in '[]" ') else word


def _torch_version() -> str:
    import torch

    return str(torch.__version__)
