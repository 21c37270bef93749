"""Choose which blocks stay in floating point: measure damage and time of each, build the front, try its points."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from dis2_boards.profile import Board
from dis2_edge.dataset import DataSet
from dis2_edge.files import sha256
from dis2_edge.manifest import Dialect
from dis2_edge.recipe import Recipe
from dis2_edge.task import Task
from dis2_edge.terminal import progress, warn
from dis2_edge.timing import describe_machine
from dis2_quantize.choosing import front, sensitivity
from dis2_quantize.choosing.choice import BlockRow, Choice, ScenarioChoice, Tried
from dis2_quantize.choosing.front import Point, Trade
from dis2_quantize.choosing.interval import Interval, interval
from dis2_quantize.choosing.keep import Kept
from dis2_quantize.choosing.latency import Clock, clock_of, clock_told
from dis2_quantize.choosing.mixing import Mixer
from dis2_quantize.choosing.sensitivity import Damage, HeldOut, Sensitivity
from dis2_quantize.rounding.form import typed_form
from dis2_quantize.teaching.student import Student
from dis2_quantize.writing import trt
from dis2_quantize.writing.export import export
from dis2_train.checkpoint import WEIGHTS, Checkpoint
from dis2_train.data.batches import Split

TRIES = 6
"""Points of a front that are made and measured, its ends among them."""


@dataclass(frozen=True)
class Limits:
    """What a choice may cost."""

    max_drop: float = 0.5
    """Points of mIoU (0..100) on the held-out images."""
    budget_ms: float | None = None
    """Milliseconds; where given, the least damage within it is chosen, else the fastest point within `max_drop`."""


Timed = Callable[[dict[Kept, Student], str], dict[Kept, Interval]]
"""Milliseconds of students as the files that they become; the text stands at the progress bar."""


def choose(run: Checkpoint, recipe: Recipe, data: DataSet, board: Board, limits: Limits) -> Choice:
    """Choose for every scenario of `run`. Raises DataError without held-out images, RecipeError without integers."""
    data = data.narrowed(run.task.sensor_names, run.task.grid)
    name, places = sensitivity.held_out_ids(data, recipe.calibration_images)
    cpu = torch.device("cpu")
    train = Split(data, "train", run.task, cpu)
    split = train if name == "train" else Split(data, name, run.task, cpu)
    frames = data.on_grid(data.read(name, data.ids(name)[places[0]]), run.task).frames
    timed = partial(_timed, task=run.task, clock=clock_of(board, frames), dialect=board.dialect)
    chosen = []
    for scenario in run.task.scenarios:
        mixer = Mixer(run.network, scenario, recipe, train)
        held = sensitivity.hold_out(run.network, scenario, split, places)
        chosen.append(_scenario(mixer, held, timed, limits))
    counted = f"{len(held.frames)} images of {name}, ranges from {recipe.calibration_images} of train"
    machine, weights = describe_machine(("numpy", "onnxruntime", "torch")), sha256(run.path / WEIGHTS)
    how = {"damage": counted, "ms": clock_told(board)}
    return Choice(board.name, machine, limits.max_drop, limits.budget_ms, how, weights, tuple(chosen))


def _scenario(mixer: Mixer, held: HeldOut, timed: Timed, limits: Limits) -> ScenarioChoice:
    scenario = mixer.scenario
    whole = sensitivity.damage(mixer.mixed(()), held)
    found = sensitivity.measure(mixer, held)
    single = {kept: mixer.mixed(kept) for kept in ((), *((block,) for block in mixer.blocks))}
    ms = timed(single, f"{scenario}: time of blocks")
    rows = tuple(_row(one, whole, ms) for one in found)
    start = Point((), ms[()].value, whole.mean)
    points = front.pareto(trades(rows, whole.mean), start)
    tried = _try(mixer, held, timed, [start, *_worth_trying(points, limits)])
    kept, why = decide([one for one in tried if mixer.flies(one.kept)], limits)
    if why.startswith("none"):
        warn(f"{scenario}: {why}")
    return ScenarioChoice(scenario, rows, points, tried, kept, why)


def trades(rows: Sequence[BlockRow], whole: float) -> tuple[Trade, ...]:
    """What each block gives and takes in the additive model.

    Damage is `whole`, the nats of all blocks together, shared out in proportion to what each costs alone.
    """
    total = sum(row.alone.value for row in rows)
    share = whole / total if total else 0.0
    return tuple(Trade(row.block, share * row.alone.value, row.ms.value) for row in rows)


def decide(tried: Sequence[Tried], limits: Limits) -> tuple[Kept, str]:
    """The blocks to keep, of the points that were made, and why; where no point holds the limits, the nearest one.

    The first of `tried` keeps nothing. What is not measurably faster than that is not faster.
    """
    by_point = {_told_apart(one, tried[0].ms.value): one for one in tried}
    if limits.budget_ms is not None:
        best = front.best_within(by_point, limits.budget_ms)
        if best:
            return best.kept, f"least damage of those within {limits.budget_ms:g} ms"
        return min(by_point, key=lambda point: point.ms).kept, f"none within {limits.budget_ms:g} ms: the fastest"
    best = front.fastest(by_point, lambda point: by_point[point].drop <= limits.max_drop)
    if best:
        return best.kept, f"fastest of those that lose at most {limits.max_drop:g} points of mIoU"
    least = min(by_point, key=lambda point: by_point[point].drop)
    return least.kept, f"none loses at most {limits.max_drop:g} points of mIoU: the one that loses least"


def _told_apart(one: Tried, first_ms: float) -> Point:
    """The point as it was found; with the first one's time where the clock cannot tell them apart."""
    alike = one.ms.low <= first_ms <= one.ms.high
    return Point(one.kept, first_ms if alike else one.ms.value, one.damage.value)


def _row(one: Sensitivity, whole: Damage, ms: dict[Kept, Interval]) -> BlockRow:
    back = [full - less for full, less in zip(whole.nats, one.without.nats, strict=True)]
    more = ms[(one.block,)].moved(-ms[()].value)
    drops = one.alone.drop, whole.drop - one.without.drop
    return BlockRow(one.block, interval(one.alone.nats), interval(back), *drops, more)


def _worth_trying(points: Sequence[Point], limits: Limits) -> tuple[Point, ...]:
    """Points spread over the front and, with a budget of time, the one that the model would choose."""
    best = None if limits.budget_ms is None else front.best_within(points, limits.budget_ms)
    some = front.spread(points, TRIES)
    return tuple(point for point in points if point in some or point == best)


def _try(mixer: Mixer, held: HeldOut, timed: Timed, points: Sequence[Point]) -> tuple[Tried, ...]:
    """Make each of `points` as it would fly; the first one, all integers, is what times are compared with."""
    ordered = {tuple(block for block in mixer.blocks if block in point.kept): point for point in points}
    bar = progress(ordered, f"{mixer.scenario}: points of the front")
    students = {kept: mixer.calibrated(kept) for kept in bar}
    ms = timed(students, f"{mixer.scenario}: time of points")
    tried = []
    drift_ms = ms[()].value - points[0].ms  # the same file was timed for the blocks, minutes before
    for kept, point in ordered.items():
        found = sensitivity.damage(students[kept], held)
        tried.append(Tried(kept, point, ms[kept].moved(-drift_ms), interval(found.nats), found.drop))
    return tuple(tried)


def _timed(
    students: dict[Kept, Student], label: str, *, task: Task, clock: Clock, dialect: Dialect
) -> dict[Kept, Interval]:
    """Milliseconds of each student as the file that it becomes for a board of `dialect`."""
    with tempfile.TemporaryDirectory(prefix="dis2-choose-") as folder:
        files = {kept: Path(folder) / f"{number}.onnx" for number, kept in enumerate(students)}
        for kept, file in files.items():
            network, scenario = students[kept].network, students[kept].scenario
            if dialect == "trt":
                trt.write(typed_form(network), task, scenario, file, {})
            else:
                export(network, task, scenario, file, {})
        return clock(files, label)
