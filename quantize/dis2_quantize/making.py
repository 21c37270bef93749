"""The networks of a quantised run, and their files in every dialect that is asked for."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
import torch
from torch import fx

from dis2_edge.costs import write_costs
from dis2_edge.dataset import DataSet
from dis2_edge.manifest import Precision
from dis2_edge.recipe import Recipe
from dis2_edge.terminal import say
from dis2_quantize.choosing.keep import kept_blocks
from dis2_quantize.costs import layer_costs
from dis2_quantize.index import recipe_hash
from dis2_quantize.judging.judge import Candidate, Runner
from dis2_quantize.rounding import placement
from dis2_quantize.teaching.student import Student, calibrate, make_student
from dis2_quantize.teaching.tune import in_need, tune
from dis2_quantize.typed import FILES, TypedFile, write_typed
from dis2_quantize.writing.export import export
from dis2_runtime.engines.onnx_runtime import open_model
from dis2_train.checkpoint import Checkpoint
from dis2_train.data.batches import Split
from dis2_train.networks.cost import cost

Networks = Mapping[Precision, Mapping[str, fx.GraphModule]]
"""One network a precision and scenario: traced, or placed, calibrated and tuned."""


@dataclass(frozen=True)
class Files:
    """The model files of a quantised run."""

    models: Mapping[Candidate, Runner]
    """Every file, with what answers for it."""
    typed: Sequence[TypedFile]
    """Those of the dialect `trt`."""


def networks_of(run: Checkpoint, recipe: Recipe, data: DataSet, precisions: Sequence[str]) -> Networks:
    """The networks that files of `precisions` are written of; FP32 first, as it is the reference."""
    made: dict[Precision, Mapping[str, fx.GraphModule]] = {}
    if "fp32" in precisions:
        made["fp32"] = _plain(run)
    if "int8" in precisions:
        made["int8"] = {student.scenario: student.network for student in _students(run, recipe, data)}
    if "fp16" in precisions:
        made["fp16"] = made.get("fp32") or _plain(run)
    return made


def write_files(
    run: Checkpoint,
    recipe: Recipe,
    data: DataSet,
    networks: Networks,
    dialects: Sequence[str],
    folder: Path,
    threads: int,
) -> Files:
    """Write every file of `networks` in `dialects` below `folder`, with its costs beside it, and open it."""
    told = {
        (precision, scenario): _metadata(run, recipe, precision, scenario)
        for precision, scenarios in networks.items()
        for scenario in scenarios
    }
    models: dict[Candidate, Runner] = {}
    if "ort" in dialects:
        written = _write_ort(run, networks, folder, told)
        models |= {candidate: open_model(candidate.file, threads) for candidate in written}
    typed: list[TypedFile] = []
    if "trt" in dialects:
        seen = Split(data, "train", run.task, torch.device("cpu"))
        typed = write_typed(networks, run.task, seen, folder, told)
        models |= {file.candidate: file.runner for file in typed}
    for candidate in models:
        write_costs(candidate.file.with_suffix(".costs.json"), layer_costs(onnx.load(candidate.file)))
    return Files(models, typed)


def _plain(run: Checkpoint) -> dict[str, fx.GraphModule]:
    return {scenario: placement.trace(run.network.deployable(scenario)) for scenario in run.task.scenarios}


def _students(run: Checkpoint, recipe: Recipe, data: DataSet) -> list[Student]:
    """A student for each scenario: calibrated, and tuned where calibration alone costs accuracy."""
    cpu = torch.device("cpu")
    train = Split(data, "train", run.task, cpu)
    validation = Split(data, "val", run.task, cpu) if "val" in data.splits and data.ids("val") else None
    kept = kept_blocks(recipe.keep_float, run.network)
    students = [make_student(run.network, scenario, recipe, kept[scenario]) for scenario in run.task.scenarios]
    calibrate(students, train, recipe.calibration_images)
    needy = in_need(students, run.network, validation, recipe) if recipe.quantize_epochs else {}
    if needy:
        reason = "calibration cost more than tune_above" if validation else "there is no val split to say what is lost"
        say(f"tuned, since {reason}: " + ", ".join(map(_told, needy.items())))
        tune([s for s in students if s.scenario in needy], run.network, train, validation, recipe)
    return students


def _told(need: tuple[str, float | None]) -> str:
    return need[0] if need[1] is None else f"{need[0]} ({need[1]:.2f} points of mIoU)"


def _write_ort(
    run: Checkpoint, networks: Networks, folder: Path, told: Mapping[tuple[Precision, str], Mapping[str, str]]
) -> list[Candidate]:
    candidates = []
    for precision in (name for name in networks if name in FILES["ort"]):
        for scenario, network in networks[precision].items():
            file = folder / "models" / f"{scenario}-{precision}-ort-frame.onnx"
            export(network, run.task, scenario, file, told[precision, scenario])
            candidates.append(Candidate(scenario, precision, file))
    return candidates


def _metadata(run: Checkpoint, recipe: Recipe, precision: Precision, scenario: str) -> dict[str, str]:
    """What a model file tells of its making."""
    kept = kept_blocks(recipe.keep_float, run.network)[scenario] if precision == "int8" else ()
    told = {"recipe_hash": recipe_hash(recipe), "network": f"{recipe.network}/{recipe.preset}"}
    told |= {"seed": str(recipe.seed), "precision": precision, "keep_float": json.dumps(kept)}
    return {**told, "cost": json.dumps(dataclasses.asdict(cost(run.network, scenario)))}
