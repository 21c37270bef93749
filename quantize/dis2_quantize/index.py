"""Write the index of a quantised run: what every later stage reads of it."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch

from dis2_boards.packing.quantized import INDEX
from dis2_edge import __version__
from dis2_edge.dataset import DataSet
from dis2_edge.files import write_json, write_text
from dis2_edge.manifest import Golden, ModelRow, Precision
from dis2_edge.recipe import Recipe
from dis2_edge.scores import known
from dis2_quantize.judging.judge import Judged
from dis2_train.checkpoint import Checkpoint

TOLERANCE: dict[Precision, tuple[float, float]] = {"fp32": (0.999, 0.02), "fp16": (0.99, 0.1), "int8": (0.98, 0.25)}
"""Least agreement and largest confidence error of a golden: other processors round sums in another order."""


def write_index(
    run: Checkpoint,
    recipe: Recipe,
    data: DataSet,
    split: str,
    judged: Sequence[Judged],
    goldens: Sequence[Golden],
    folder: Path,
) -> None:
    """Write drift.json, recipe.toml and, last, quantized.json, which says that the run is whole."""
    provenance = {"data set": data.name, "judged on": f"{split}, {len(data.ids(split))} images"}
    provenance |= {"quantised with": f"dis2-edge {__version__}, torch {torch.__version__}"}
    index = {
        "name": f"{data.name}-{recipe.network}",
        "network": f"{recipe.network}/{recipe.preset}",
        "recipe_hash": recipe_hash(recipe),
        "task": run.task.to_table(),
        "statistics": [dataclasses.asdict(row) for row in run.statistics],
        "models": [dataclasses.asdict(_row(found, folder)) for found in judged],
        "goldens": [dataclasses.asdict(golden) for golden in goldens],
        "provenance": provenance,
    }
    write_json(folder / "drift.json", {"/".join(found.candidate.key): _drift(found) for found in judged})
    write_text(folder / "recipe.toml", recipe.to_toml())
    write_json(folder / INDEX, index)


def recipe_hash(recipe: Recipe) -> str:
    """SHA-256 of the resolved recipe's text."""
    return hashlib.sha256(recipe.to_toml().encode("utf-8")).hexdigest()


def _row(found: Judged, folder: Path) -> ModelRow:
    candidate = found.candidate
    agreement, error = TOLERANCE[candidate.precision]
    return ModelRow(
        scenario=candidate.scenario,
        precision=candidate.precision,
        dialect=candidate.dialect,
        io=candidate.io,
        file=candidate.file.relative_to(folder).as_posix(),
        golden_agreement=agreement,
        golden_error=error,
        miou=known(found.scores.miou),
        class_iou=tuple(map(known, found.scores.iou)),
        judged_by="simulation" if candidate.precision == "fp16" else "onnxruntime",
    )


def _drift(found: Judged) -> dict[str, object]:
    told: dict[str, object] = {"confusion": found.total.tolist(), "agreement": found.agreement}
    return {**told, "pixels": found.compared_pixels}
