"""A quantised run in miniature, with goldens, and a labelled data set that fits it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import onnx
from tiny_bundle import NDSM, RGB, expected, frames_of, linear_model, make_bundle, task_of

from dis2_edge import bundle as bundles
from dis2_edge.bundle import Bundle, Golden
from dis2_edge.goldens import write_golden
from dis2_edge.images import write_png, write_tiff
from dis2_edge.task import Task
from dis2_runtime.engines.onnx_runtime import open_model

TASK = task_of(RGB, NDSM)


def make_run(folder: Path, task: Task = TASK) -> Path:
    """A QRUN at `folder`: what `dis2-edge quantize` leaves, of a linear classifier."""
    bundle = make_proven(folder, task)
    manifest = bundle.manifest
    table = manifest.to_table()
    kept = ("name", "network", "recipe_hash", "task", "statistics", "models", "goldens")
    run = {key: table[key] for key in kept} | {"provenance": {"data": "made up"}}
    (folder / "quantized.json").write_text(json.dumps(run))
    for name in (bundles.MANIFEST, bundles.SEAL, "card.md"):
        (folder / name).unlink()
    return folder


def make_proven(folder: Path, task: Task = TASK, precisions: tuple[str, ...] = ("int8", "fp32")) -> Bundle:
    """A bundle whose models were run on two goldens."""
    made = make_bundle(folder, task, precisions=precisions)
    goldens = []
    for seed in (1, 2):
        frames = frames_of(task, seed)
        arrays = dict(frames)
        for row in made.manifest.models:
            answer = open_model(made.file(row.file), threads=1).run(frames)
            arrays[f"{row.scenario}/{row.precision}/mask"] = answer.mask
            arrays[f"{row.scenario}/{row.precision}/confidence"] = answer.confidence
        goldens.append(Golden(f"seed{seed}", f"goldens/seed{seed}.npz"))
        write_golden(folder / goldens[-1].file, arrays)
    return bundles.write(folder, dataclasses.replace(made.manifest, goldens=tuple(goldens)))


def make_data(folder: Path, task: Task = TASK, count: int = 6, labels: bool = True) -> Path:
    """A data set whose truth is what the full scenario answers, but for a band at the top that is no class."""
    for place in range(count):
        frames = frames_of(task, seed=100 + place)
        write_png(folder / f"test/rgb/{place:02}.png", frames["rgb"])
        write_tiff(folder / f"test/ndsm/{place:02}.tif", frames["ndsm"])
        truth = expected(task, task.full, frames)
        truth[:3] = 255
        if labels:
            write_png(folder / f"test/gt/{place:02}.png", truth)
    rows = [
        'name = "toy"',
        'classes = ["dark", "bright"]',
        'colours = ["#204080", "#f0e020"]',
        f"grid = [{task.grid[0]}, {task.grid[1]}]",
        'alignment = "registered"',
        'labels = "{split}/gt/{id}.png"' if labels else "",
        '[split]\nby = "folder"',
        '[sensors.rgb]\nkind = "optical"\npath = "{split}/rgb/{id}.png"\nunit = "DN"',
        '[sensors.ndsm]\nkind = "height"\npath = "{split}/ndsm/{id}.tif"\nunit = "metres"',
        "valid_min = -5\nvalid_max = 80",
    ]
    (folder / "dataset.toml").write_text("\n".join(rows) + "\n")
    return folder


def other_model(folder: Path, scenario: str, task: Task = TASK) -> None:
    """Put another network's file, with its weights turned round, in place of the model of `scenario` in INT8."""
    model = linear_model(task, scenario)
    for tensor in model.graph.initializer:
        if tensor.name.endswith("_weight"):
            flipped = -onnx.numpy_helper.to_array(tensor)
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.ascontiguousarray(flipped), tensor.name))
    onnx.save(model, folder / f"models/{scenario.replace('+', '-')}-int8-ort-frame.onnx")
