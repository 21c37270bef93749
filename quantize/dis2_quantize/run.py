"""From a run to a quantised run: students, calibration, tuning, model files, what they do, goldens, the verdict."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from dis2_boards.quantized import INDEX
from dis2_edge.dataset import DataSet
from dis2_edge.errors import CheckpointError, DataError, RecipeError
from dis2_edge.files import new_folder
from dis2_edge.manifest import Precision
from dis2_edge.recipe import Recipe
from dis2_edge.terminal import say
from dis2_edge.timing import usable_cores
from dis2_quantize.index import recipe_hash, write_index
from dis2_quantize.judging import verdict as verdicts
from dis2_quantize.judging.decide import decide
from dis2_quantize.judging.goldens import record
from dis2_quantize.judging.judge import Candidate, Judged, Runner, judge
from dis2_quantize.judging.latency import time_files
from dis2_quantize.judging.verdict import Limits, Verdict
from dis2_quantize.judging.worst import draw_worst
from dis2_quantize.rounding import placement
from dis2_quantize.teaching.student import Student, calibrate, make_student
from dis2_quantize.teaching.tune import in_need, tune
from dis2_quantize.writing.export import export
from dis2_runtime.engines.onnx_runtime import open_model
from dis2_train.checkpoint import Checkpoint
from dis2_train.data.batches import Split
from dis2_train.judging.match import check_task
from dis2_train.networks.cost import cost

PRECISIONS: tuple[Precision, ...] = ("fp32", "int8")


@dataclass(frozen=True)
class Quantized:
    """What `quantize` made."""

    path: Path
    """The quantised run."""
    judged: tuple[Judged, ...]
    """What each model file did."""
    verdict: Verdict
    """Whether that keeps the limits."""


def quantize(
    run: Checkpoint,
    recipe: Recipe,
    data: DataSet,
    out: Path,
    precisions: Sequence[str],
    limits: Limits | None = None,
) -> Quantized:
    """Quantise the trained `run` by `recipe` into the folder `out`, whole or not at all.

    Files are held against the FP32 file of the same scenario, where FP32 is asked for. A verdict that fails leaves the
    folder as one that passes does: it is there to be looked at.
    """
    check(run, data, precisions)
    data = data.narrowed(run.task.sensor_names, run.task.grid)
    split = judged_split(data)
    threads = usable_cores()
    with new_folder(out) as folder:
        networks: dict[Precision, dict[str, torch.fx.GraphModule]] = {}
        if "fp32" in precisions:
            networks["fp32"] = _plain(run)
        if "int8" in precisions:
            networks["int8"] = {student.scenario: student.network for student in _students(run, recipe, data)}
        files = _export(run, recipe, networks, folder)
        models: dict[Candidate, Runner] = {file: open_model(file.file, threads) for file in files}
        judged = judge(models, data, run.task, split)
        goldens = record(models, data, run.task, split, folder)
        timing, latencies = time_files(models, data, run.task, split, threads)
        sheets = draw_worst(judged, models, data, run.task, split, folder)
        verdict = decide(judged, data, split, limits or Limits(), timing, latencies, sheets, folder)
        verdicts.write(verdict, folder)
        write_index(run, recipe, data, split, judged, goldens, folder)
    return Quantized(out, tuple(judged), verdict)


def check(run: Checkpoint, data: DataSet, precisions: Sequence[str]) -> None:
    """Refuse what cannot be quantised, before anything is computed."""
    refuse_quantised(run.path)
    unknown = [name for name in precisions if name not in PRECISIONS]
    if unknown or not precisions:
        raise RecipeError(f"precision {','.join(unknown) or 'none'!r}", expected=f"some of {', '.join(PRECISIONS)}")
    check_task(run.task, str(run.path), data)


def refuse_quantised(path: Path) -> None:
    """Refuse a folder that is a quantised run: its integers are what is left of the weights."""
    if (path / INDEX).is_file():
        look = f"look at it: dis2-edge quantize --show {path}"
        raise CheckpointError(
            f"{path} is quantised already",
            expected="the run that it was made of",
            mend=f"{look}; or pack it: dis2-edge deploy {path} --board host",
        )


def judged_split(data: DataSet) -> str:
    """The split that files are judged on: test, or else val; one with an image that has no label is refused."""
    for name in ("test", "val"):
        if name in data.splits and data.ids(name):
            bare = [id_ for id_ in data.ids(name) if data.entry(name, id_).pair.label is None]
            if bare:
                raise DataError(f"{name}/{bare[0]} has no label", expected="labels to judge by")
            return name
    raise DataError(f"{data.name!r} has neither a test nor a val split", expected="labelled images to judge on")


def _plain(run: Checkpoint) -> dict[str, torch.fx.GraphModule]:
    return {scenario: placement.trace(run.network.deployable(scenario)) for scenario in run.task.scenarios}


def _students(run: Checkpoint, recipe: Recipe, data: DataSet) -> list[Student]:
    """A student for each scenario: calibrated, and tuned where calibration alone costs accuracy."""
    cpu = torch.device("cpu")
    train = Split(data, "train", run.task, cpu)
    validation = Split(data, "val", run.task, cpu) if "val" in data.splits and data.ids("val") else None
    students = [make_student(run.network, scenario, recipe) for scenario in run.task.scenarios]
    calibrate(students, train, recipe.calibration_images)
    needy = in_need(students, run.network, validation, recipe) if recipe.quantize_epochs else {}
    if needy:
        reason = "calibration cost more than tune_above" if validation else "there is no val split to say what is lost"
        say(f"tuned, since {reason}: " + ", ".join(map(_told, needy.items())))
        tune([s for s in students if s.scenario in needy], run.network, train, validation, recipe)
    return students


def _told(need: tuple[str, float | None]) -> str:
    return need[0] if need[1] is None else f"{need[0]} ({need[1]:.2f} points of mIoU)"


def _export(
    run: Checkpoint, recipe: Recipe, networks: dict[Precision, dict[str, torch.fx.GraphModule]], folder: Path
) -> list[Candidate]:
    metadata = {"recipe_hash": recipe_hash(recipe), "network": f"{recipe.network}/{recipe.preset}"}
    metadata |= {"seed": str(recipe.seed)}
    candidates = []
    for precision, scenarios in networks.items():
        for scenario, network in scenarios.items():
            file = folder / "models" / f"{scenario}-{precision}-ort-frame.onnx"
            told = {"precision": precision, "cost": json.dumps(dataclasses.asdict(cost(run.network, scenario)))}
            export(network, run.task, scenario, file, {**metadata, **told})
            candidates.append(Candidate(scenario, precision, file))
    return candidates
