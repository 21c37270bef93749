"""Fit a network to a data set: from a recipe and data to a run folder that can be resumed after a kill."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from lightning_fabric import Fabric

from dis2_edge.errors import CheckpointError, RecipeError, StorageError
from dis2_edge.files import new_folder, storage_errors, write_json
from dis2_edge.recipe import Recipe
from dis2_edge.statistics import SensorStatistics, measure, with_statistics
from dis2_edge.task import Task
from dis2_train import checkpoint, networks
from dis2_train.checkpoint import Checkpoint
from dis2_train.data.batches import Split
from dis2_train.evaluate import metrics
from dis2_train.fitting.devices import joined
from dis2_train.fitting.loop import Training
from dis2_train.fitting.resume import FILE, write_state
from dis2_train.fitting.start import INIT, Start, start_from
from dis2_train.fitting.stopping import Stop
from dis2_train.fitting.teaching import FOLDER, keep, take_given, take_own, tell_student, tell_teacher
from dis2_train.networks.seam import Network
from dis2_train.scoring import told_split

__all__ = ["check_out", "fit", "train"]

if TYPE_CHECKING:
    from dis2_edge.dataset import DataSet

SAVE_EVERY_S = 30.0
"""Least time between two resume states, which are written at the end of an epoch."""


def train(
    recipe: Recipe,
    data: DataSet,
    out: Path,
    *,
    device: str = "auto",
    devices: int = 0,
    nodes: int = 0,
    resume: bool = False,
    init: Path | None = None,
    teacher: Path | None = None,
    save_every_s: float = SAVE_EVERY_S,
) -> Checkpoint:
    """Train the recipe's network on `data` into the run folder `out`: sensors, statistics and network, then `fit`.

    `init` is a model to start from (`dis2_train.fitting.start`); a resumed run goes on from its own state instead. A
    network that wants a teacher has it trained first, into the folder `teacher` of the run, or is given the finished
    run `teacher`, which is copied there. All that can be refused is refused before anything is written or trained.
    """
    with joined(device, recipe.precision, devices, nodes) as fabric, Stop(fabric) as stop:
        return _train(_Both(fabric, data, save_every_s, stop), recipe, out, resume, init, teacher)


def fit(
    network: Network,
    data: DataSet,
    recipe: Recipe,
    out: Path,
    *,
    statistics: Sequence[SensorStatistics] = (),
    device: str = "auto",
    devices: int = 0,
    nodes: int = 0,
    resume: bool = False,
    save_every_s: float = SAVE_EVERY_S,
) -> Checkpoint:
    """Train `network` by `recipe` on `data`, narrowed to the network's task, into the run folder `out`.

    Validates every `evaluate_every` epochs and keeps the running average that did best over all scenarios; scores it
    on the test split at the end. `resume` goes on where a killed run into `out` stood: on one CPU with one number of
    threads the weights come out bit for bit as if it had never stopped. `devices` and `nodes`: see `devices.joined`.
    A network that still waits for its teacher is refused: `train` would have trained one.
    """
    if network.taught_by():
        raise RecipeError(f"{recipe.network} has no teacher yet", mend="let it learn_from a trained one, or call train")
    with joined(device, recipe.precision, devices, nodes) as fabric, Stop(fabric) as stop:
        begun = _check_once(fabric, out, recipe, resume)
        training = _training(fabric, network, data, recipe)
        _open_run(out, training, recipe, statistics, begun)
        training.run(out, save_every_s, stop)
        return _close_run(out, training, data, recipe, statistics)


def check_out(out: Path, recipe: Recipe, resume: bool) -> None:
    """Refuse a folder that is in use, or, to resume, one that is no run or a run of another recipe."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not resume:
        raise StorageError(
            f"{out} exists already and is not empty", mend="go on with it by --resume, or choose another --out"
        )
    before = checkpoint.read_start(out)[0]
    for key in Recipe.__dataclass_fields__:
        if key == "workers":  # which changes nothing but the time it takes
            continue
        then, now = getattr(before, key), getattr(recipe, key)
        if then != now:
            raise CheckpointError(
                f"{out} was begun with {key} = {then!r}, the recipe now says {now!r}",
                mend=f"resume with the recipe {out / 'recipe.toml'}, or choose another --out",
            )


@dataclass(frozen=True)
class _Both:
    """What the training of a network and that of its teacher have in common."""

    fabric: Fabric
    """The processes."""
    data: DataSet
    """With all sensors."""
    save_every_s: float
    """Least time between two states."""
    stop: Stop
    """One for both, as a wish that comes with the last step of the teacher is heard after the network's first."""


def _train(
    both: _Both,
    recipe: Recipe,
    out: Path,
    resume: bool,
    init: Path | None = None,
    teacher: Path | None = None,
    measured: Sequence[SensorStatistics] = (),
) -> Checkpoint:
    begun = _check_once(both.fabric, out, recipe, resume)
    if begun and checkpoint.is_finished(out):
        if both.fabric.is_global_zero:
            _clear_left_over(out)
        return checkpoint.load(out)
    seen = both.data.narrowed(recipe.sensors or both.data.task.sensor_names, recipe.grid)
    statistics = tuple(row for row in measured or measure(seen, "train") if row.name in seen.task.sensor_names)
    network = networks.build(recipe, with_statistics(seen.task, statistics))
    lesson = network.taught_by()
    if teacher:
        take_given(network, recipe, teacher, out)
    start = start_from(network, recipe, init) if init and not begun else None
    training = _training(both.fabric, network, seen, recipe)
    _open_run(out, training, recipe, statistics, begun, start, teacher)
    if lesson:
        _teach(both, network, lesson, out, teacher, statistics)
        tell_student(recipe, network)
    if training.state.counters.is_fresh and not (out / INIT).is_file():
        network.start_from_teacher()
        training.state.average.restart()
    training.run(out, both.save_every_s, both.stop)
    return _close_run(out, training, seen, recipe, statistics)


def _teach(
    both: _Both,
    network: Network,
    lesson: Recipe,
    out: Path,
    given: Path | None,
    measured: Sequence[SensorStatistics],
) -> None:
    """Step 1 of a training in two: give `network` its teacher, which is trained into the run `out` if need be."""
    own = out / FOLDER
    if given:
        tell_teacher(lesson, f"{given}, given")
        return
    if checkpoint.is_finished(own):
        tell_teacher(lesson, f"{own}, trained before")
        if both.fabric.is_global_zero:
            _clear_left_over(own)
    else:
        tell_teacher(lesson, "")
        _train(both, lesson, own, resume=True, measured=measured)
        both.fabric.barrier()  # the first process has written it, and all read it
    take_own(network, out)


def _check_once(fabric: Fabric, out: Path, recipe: Recipe, resume: bool) -> bool:
    """`check_out` by the first process alone, before any other can have made the folder; whether the run has begun."""
    if fabric.is_global_zero:
        check_out(out, recipe, resume)
    return bool(fabric.broadcast((out / "recipe.toml").is_file()))


def _training(fabric: Fabric, network: Network, data: DataSet, recipe: Recipe) -> Training:
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    return Training(network.to(fabric.device), data, recipe, fabric)


def _open_run(
    out: Path,
    training: Training,
    recipe: Recipe,
    statistics: Sequence[SensorStatistics],
    begun: bool,
    start: Start | None = None,
    teacher: Path | None = None,
) -> None:
    """Make the run folder with its first state; or take over the state it has, if its data are the same."""
    state = training.state
    if begun:
        _check_task(out, checkpoint.read_start(out)[1], state.network.task)
        training.resume(out)
    elif training.rank == 0:
        with new_folder(out) as scratch:
            checkpoint.begin(scratch, recipe, state.network.task, statistics)
            if start:
                write_json(scratch / INIT, dataclasses.asdict(start))
            if teacher:
                keep(teacher, scratch)
            write_state(scratch, state)
    if begun and training.rank == 0:
        _clear_left_over(out)
        if teacher:
            keep(teacher, out)


def _clear_left_over(out: Path) -> None:
    """Remove what a kill left of files and folders that were being written; what else is hidden stays."""
    for name in ("log.csv", "metrics.json", checkpoint.WEIGHTS, str(FILE)):
        file = out / name
        for left_over in file.parent.glob(f".{file.name}.*"):
            left_over.unlink(missing_ok=True)
    for left_over in out.glob(f".{FOLDER}.*"):
        shutil.rmtree(left_over, ignore_errors=True)
    if checkpoint.is_finished(out):
        shutil.rmtree(out / FILE.parent, ignore_errors=True)


def _check_task(out: Path, then: Task, now: Task) -> None:
    if then.classes != now.classes:
        raise CheckpointError(
            f"{out} was begun on other data: with the {len(then.classes)} classes {', '.join(then.classes)}",
            expected=f"the {len(now.classes)} of these data: {', '.join(now.classes)}",
            mend=f"choose another --out; a finished run can be started from by --init {out}",
        )
    if then != now:
        raise CheckpointError(f"{out} was begun on other data: its task.json differs", mend="choose another --out")


def _close_run(
    out: Path, training: Training, data: DataSet, recipe: Recipe, statistics: Sequence[SensorStatistics]
) -> Checkpoint:
    """Score the best weights and finish the run folder."""
    network = training.state.average.network
    network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    if training.state.best:
        network.load_state_dict(training.state.best)
    name = told_split(data)
    split = Split(data, name, network.task, training.device, workers=recipe.workers)
    counts = training.evaluate(network, split, label=name)
    table = metrics(counts, name, len(split) - len(split.damaged))
    if training.sampler.split.damaged:
        table["damaged"] = {"train": list(training.sampler.split.damaged)}
    if training.stops_early:
        counters = training.state.counters
        table["stopped_early"] = {"epoch": counters.epoch, "worst_miou": counters.best_worst_miou}
    if training.rank == 0:
        checkpoint.finish(out, network, table)
        with storage_errors(out):
            shutil.rmtree(out / FILE.parent, ignore_errors=True)
    return Checkpoint(out, recipe, network.task, tuple(statistics), table, network.cpu().eval())
