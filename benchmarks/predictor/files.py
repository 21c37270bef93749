"""Model files to hold predictions against: our networks with drawn weights, which are as fast as trained ones."""

from __future__ import annotations

from pathlib import Path

import onnx
import torch

from benchmarks.predictor.cases import Case, recipe_of, task_of
from dis2_edge.costs import LayerCost, read_costs, write_costs
from dis2_edge.scenario import sensors_of
from dis2_quantize.costs import layer_costs
from dis2_quantize.rounding import placement
from dis2_quantize.rounding.form import typed_form
from dis2_quantize.writing import trt
from dis2_quantize.writing.export import export
from dis2_train import networks


def written(case: Case, folder: Path) -> tuple[Path, tuple[LayerCost, ...]]:
    """The file of `case` below `folder`, made where it is not there yet, and what its layers cost."""
    file = folder / f"{case.name}.onnx"
    if not file.with_suffix(".costs.json").exists():
        _write(case, file)
        write_costs(file.with_suffix(".costs.json"), layer_costs(onnx.load(file)))
    return file, read_costs(file.with_suffix(".costs.json"))


def _write(case: Case, file: Path) -> None:
    task = task_of(case)
    graph = placement.trace(networks.build(recipe_of(case), task).eval().deployable(case.scenario))
    if case.precision == "fp16":
        trt.write(typed_form(graph), task, case.scenario, file, {})
        return
    if case.precision == "int8":
        graph = placement.place(graph, "minmax")
        random = torch.Generator().manual_seed(0)
        frames = (
            torch.randn(1, task.sensor(name).channels, *task.grid, generator=random)
            for name in sensors_of(case.scenario)
        )
        with torch.no_grad():
            graph(*frames)
        placement.freeze(graph)
    export(graph, task, case.scenario, file, {"recipe_hash": "drawn"})
