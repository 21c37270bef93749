"""Open whatever segments: find out what a path holds, and read what stands beside the weights."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from dis2_edge import bundle as bundles
from dis2_edge import recipe as recipes
from dis2_edge.bundle_paths import safe_path
from dis2_edge.errors import CheckpointError, EngineError, RecipeError
from dis2_edge.files import read_json
from dis2_edge.manifest import ModelRow
from dis2_edge.recipe import Recipe
from dis2_edge.settings import coerce
from dis2_edge.task import Task
from dis2_train.segmenters.files import FilesSegmenter
from dis2_train.segmenters.model_file import ModelFile
from dis2_train.segmenters.segmenter import Segmenter

Precision = Literal["fp32", "int8"]
KINDS = "the folder of a run, of a quantised run or of a bundle, or an .onnx file"
QUANTISED = "quantized.json"
_RUN = "recipe.toml"


def open_segmenter(
    path: Path,
    precision: Precision | None = None,
    *,
    grid: tuple[int, int] | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
) -> Segmenter:
    """Open the model at `path`: a finished run, what `dis2-edge quantize` made, one .onnx file, or a bundle.

    `precision` chooses among the files of a quantised run or a bundle; None takes INT8, which is what flies, and FP32
    where there is no other. `grid` (height, width) asks for another input size than the model was made for, which
    only a run can give. `device` is where a run computes; files run on the CPU. Raises CheckpointError, BundleError
    or EngineError that says what the path holds instead.
    """
    path = Path(path)
    if not path.exists():
        raise CheckpointError(f"{path} does not exist", expected=KINDS)
    if path.is_file():
        found: Segmenter = _file(path, precision)
    elif (path / bundles.MANIFEST).is_file():
        found = _bundle(path, precision)
    elif (path / QUANTISED).is_file():
        found = _quantised(path, precision)
    else:
        return _run(path, precision, grid, device)
    if grid not in (None, found.task.grid):
        height, width = found.task.grid
        raise EngineError(f"{path} was exported for {height}x{width} pixels", mend="leave the windows' size as it is")
    return found


def _run(
    path: Path, precision: str | None, grid: tuple[int, int] | None, device: Literal["auto", "cpu", "cuda"]
) -> Segmenter:
    if not (path / _RUN).is_file():
        raise CheckpointError(f"{path} holds {_told(path)}", expected=KINDS)
    if precision == "int8":
        raise CheckpointError(f"{path} is a run in fp32", mend=f"make it INT8: dis2-edge quantize {path} --help")
    from dis2_train.segmenters.run import RunSegmenter

    return RunSegmenter(path, grid=grid, device=device)


def _file(path: Path, precision: str | None) -> Segmenter:
    if path.suffix != ".onnx":
        mend = "name the run's folder; a released checkpoint becomes a run by: dis2-edge import"
        raise CheckpointError(f"{path} is a {path.suffix or 'nameless kind of'} file", expected=KINDS, mend=mend)
    model = ModelFile(path)
    if (model.metadata.get("dialect"), model.metadata.get("precision")) == ("trt", "int8"):
        found = f"{path} holds FP16 Q/DQ for TensorRT, which ONNX Runtime rounds wrongly"
        raise EngineError(found, mend="take the ort file; what this one scores stands in its quantized.json")
    task = model.task()
    model.check_inputs(task.sensors)
    told = model.metadata.get("precision", "")
    if precision and told and told != precision:
        raise EngineError(f"{path} is in {told}", expected=precision, mend=f"leave out --precision {precision}")
    return FilesSegmenter(
        path.stem,
        task,
        {task.full: path},
        recipe_name=model.metadata.get("network", ""),
        seed=_whole(model.metadata.get("seed", "")),
        precision=told or precision or "",
        opened={task.full: model},
    )


def _bundle(path: Path, precision: str | None) -> Segmenter:
    """A bundle, with the hash of each file proven: it travelled."""
    found = bundles.read(path)
    bundles.verify_hashes(found)
    manifest = found.manifest
    rows = _rows(path, manifest.models, precision)
    return FilesSegmenter(
        manifest.name,
        manifest.task,
        {row.scenario: found.file(row.file) for row in rows},
        recipe_name=manifest.network,
        recipe=_recipe(path),
        precision=rows[0].precision,
    )


def _quantised(path: Path, precision: str | None) -> Segmenter:
    file = path / QUANTISED
    table = read_json(file, CheckpointError)
    if not isinstance(table, dict) or not {"task", "models"} <= set(table):
        raise CheckpointError(f"{file} holds no task and models", mend="quantise again")
    task = Task.from_table(table["task"], where=f"{file}: task", error=CheckpointError)
    models: tuple[ModelRow, ...] = coerce(table["models"], tuple[ModelRow, ...], f"{file}: models", CheckpointError)
    rows = _rows(path, models, precision)
    files = {row.scenario: path / safe_path(row.file) for row in rows}
    for missing in (each for each in files.values() if not each.is_file()):
        raise CheckpointError(f"{missing} is missing", mend="the run is unfinished or damaged: quantise again")
    return FilesSegmenter(
        path.resolve().name,
        task,
        files,
        recipe_name=str(table.get("network", "")),
        recipe=_recipe(path),
        precision=rows[0].precision,
    )


def _rows(path: Path, models: Sequence[ModelRow], precision: str | None) -> list[ModelRow]:
    """The rows for ONNX Runtime at `precision`, one a scenario; io `tensor`, which tells more, before `frame`."""
    usable = [row for row in models if row.dialect == "ort"]
    held = sorted({row.precision for row in usable}, reverse=True)
    wanted = precision or ("int8" if "int8" in held else next(iter(held), ""))
    rows = {row.scenario: row for row in sorted(usable, key=lambda row: row.io) if row.precision == wanted}
    if not rows:
        mend = f"try --precision {' or '.join(held)}" if held else "quantise, or deploy for --board host"
        raise EngineError(f"{path} holds no {precision or ''} model for ONNX Runtime".replace("  ", " "), mend=mend)
    return list(rows.values())


def _recipe(path: Path) -> Recipe | None:
    """The recipe beside the files, where there is one that can be read."""
    with contextlib.suppress(RecipeError):
        return recipes.load(path / _RUN)
    return None


def _whole(text: str) -> int | None:
    return int(text) if text.isdecimal() else None


def _told(path: Path) -> str:
    if (path / "dataset.toml").is_file():
        return "a data set, not a model"
    return "nothing" if not any(path.iterdir()) else "no recipe.toml, quantized.json or manifest.json"
