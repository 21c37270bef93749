"""From a run to a quantised run: students, calibration, tuning, model files, verdicts, goldens."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from dis2_edge import __version__
from dis2_edge.dataset import DataSet
from dis2_edge.errors import CheckpointError, DataError, RecipeError
from dis2_edge.files import new_folder, write_json, write_text
from dis2_edge.manifest import Golden, ModelRow, Precision
from dis2_edge.recipe import Recipe
from dis2_edge.scores import known
from dis2_edge.terminal import say
from dis2_quantize.judging.goldens import place_of, record
from dis2_quantize.judging.judge import Candidate, Runner, Verdict, judge
from dis2_quantize.rounding import placement
from dis2_quantize.teaching.student import Student, calibrate, make_student
from dis2_quantize.teaching.tune import in_need, tune
from dis2_quantize.typed import FILES, TypedFile, write_placement, write_ranges, write_typed
from dis2_quantize.writing.export import export
from dis2_runtime.engines.onnx_runtime import open_model
from dis2_train.checkpoint import Checkpoint
from dis2_train.data.batches import Split
from dis2_train.networks.cost import cost

PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")
TOLERANCE: dict[str, tuple[float, float]] = {"fp32": (0.999, 0.02), "fp16": (0.99, 0.1), "int8": (0.98, 0.25)}
"""Least agreement and largest confidence error of a golden: other processors round sums in another order."""


@dataclass(frozen=True)
class Quantized:
    """What `quantize` made."""

    path: Path
    """The quantised run."""
    verdicts: tuple[Verdict, ...]
    """One for each model file."""


def quantize(
    run: Checkpoint,
    recipe: Recipe,
    data: DataSet,
    out: Path,
    precisions: Sequence[str],
    dialects: Sequence[str] = ("ort",),
) -> Quantized:
    """Quantise the trained `run` by `recipe` into the folder `out`, whole or not at all.

    Each precision is written in those of `dialects` that have it. Agreement is measured against the FP32 file of the
    same scenario, where FP32 is asked for.
    """
    check(run, data, precisions, dialects)
    data = data.narrowed(run.task.sensor_names, run.task.grid)
    split = judged_split(data)
    with new_folder(out) as folder:
        networks: dict[Precision, dict[str, torch.fx.GraphModule]] = {}
        if "fp32" in precisions:  # first: it is the reference
            networks["fp32"] = _plain(run)
        if "int8" in precisions:
            networks["int8"] = {student.scenario: student.network for student in _students(run, recipe, data)}
        if "fp16" in precisions:
            networks["fp16"] = networks.get("fp32") or _plain(run)
        models: dict[Candidate, Runner] = {}
        if "ort" in dialects:
            models |= {file: open_model(file.file) for file in _export(run, recipe, networks, folder)}
        typed = _export_typed(run, recipe, data, networks, folder) if "trt" in dialects else []
        models |= {file.candidate: file.runner for file in typed}
        verdicts = judge(models, data, run.task, split)
        goldens = record(models, data, run.task, split, folder)
        write_placement(networks, folder)
        if "fp16" in networks:
            write_ranges(typed, networks["fp16"], data, run.task, split, folder)
        _write_index(run, recipe, data, split, verdicts, goldens, folder)
    return Quantized(out, tuple(verdicts))


def check(run: Checkpoint, data: DataSet, precisions: Sequence[str], dialects: Sequence[str] = ("ort",)) -> None:
    """Refuse what cannot be quantised, before anything is computed."""
    unknown = [name for name in precisions if name not in PRECISIONS]
    if unknown or not precisions:
        raise RecipeError(f"precision {','.join(unknown) or 'none'!r}", expected=f"some of {', '.join(PRECISIONS)}")
    foreign = [name for name in dialects if name not in FILES]
    if foreign or not dialects:
        raise RecipeError(f"dialect {','.join(foreign) or 'none'!r}", expected=f"some of {', '.join(FILES)}")
    written = {name for dialect, names in FILES.items() if dialect in dialects for name in names}
    for name in (name for name in precisions if name not in written):
        other = next(dialect for dialect, names in FILES.items() if name in names)
        raise RecipeError(f"{name} has no file of the dialect {dialects[0]}", mend=f"--dialect {dialects[0]},{other}")
    if data.task.classes != run.task.classes:
        found = f"the data set {data.name!r} has the classes {list(data.task.classes)}"
        raise CheckpointError(found, expected=f"{list(run.task.classes)}, which {run.path} was trained for")


def judged_split(data: DataSet) -> str:
    """The split that files are judged on: test, or else val."""
    for name in ("test", "val"):
        if name in data.splits and data.ids(name):
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
    candidates = []
    for precision in (name for name in networks if name in FILES["ort"]):
        for scenario, network in networks[precision].items():
            file = folder / "models" / f"{scenario}-{precision}-ort-frame.onnx"
            export(network, run.task, scenario, file, _metadata(run, recipe, precision, scenario))
            candidates.append(Candidate(scenario, precision, file))
    return candidates


def _export_typed(
    run: Checkpoint,
    recipe: Recipe,
    data: DataSet,
    networks: dict[Precision, dict[str, torch.fx.GraphModule]],
    folder: Path,
) -> list[TypedFile]:
    seen = Split(data, "train", run.task, torch.device("cpu"))
    told = {
        (name, scenario): _metadata(run, recipe, name, scenario) for name in networks for scenario in networks[name]
    }
    return write_typed(networks, run.task, seen, folder, told)


def _metadata(run: Checkpoint, recipe: Recipe, precision: str, scenario: str) -> dict[str, str]:
    """What a model file tells of its making."""
    told = {"recipe_hash": recipe_hash(recipe), "network": f"{recipe.network}/{recipe.preset}"}
    spent = json.dumps(dataclasses.asdict(cost(run.network, scenario)))
    return {**told, "seed": str(recipe.seed), "precision": precision, "cost": spent}


def _write_index(
    run: Checkpoint,
    recipe: Recipe,
    data: DataSet,
    split: str,
    verdicts: Sequence[Verdict],
    goldens: Sequence[Golden],
    folder: Path,
) -> None:
    provenance = {"data set": data.name, "judged on": f"{split}, {len(data.ids(split))} images"}
    provenance |= {"quantised with": f"dis2-edge {__version__}, torch {torch.__version__}"}
    index = {
        "name": f"{data.name}-{recipe.network}",
        "network": f"{recipe.network}/{recipe.preset}",
        "recipe_hash": recipe_hash(recipe),
        "task": run.task.to_table(),
        "statistics": [dataclasses.asdict(row) for row in run.statistics],
        "models": [dataclasses.asdict(_row(verdict, folder)) for verdict in verdicts],
        "goldens": [dataclasses.asdict(golden) for golden in goldens],
        "provenance": provenance,
    }
    write_json(folder / "drift.json", {place_of(v.candidate): _drift(v) for v in verdicts})
    write_text(folder / "recipe.toml", recipe.to_toml())
    write_json(folder / "quantized.json", index)


def _row(verdict: Verdict, folder: Path) -> ModelRow:
    candidate = verdict.candidate
    agreement, error = TOLERANCE[candidate.precision]
    found = verdict.scores
    return ModelRow(
        scenario=candidate.scenario,
        precision=candidate.precision,
        dialect=candidate.dialect,
        io=candidate.io,
        file=candidate.file.relative_to(folder).as_posix(),
        golden_agreement=agreement,
        golden_error=error,
        miou=known(found.miou),
        class_iou=tuple(map(known, found.iou)),
        judged_by="simulation" if candidate.precision == "fp16" else "onnxruntime",
    )


def _drift(verdict: Verdict) -> dict[str, object]:
    return {"confusion": verdict.counts.tolist(), "agreement": verdict.agreement, "pixels": verdict.pixels}


def recipe_hash(recipe: Recipe) -> str:
    """SHA-256 of the resolved recipe's text."""
    return hashlib.sha256(recipe.to_toml().encode("utf-8")).hexdigest()
