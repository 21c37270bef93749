"""Read a quantised run: the folder that `quantize` leaves and `deploy` turns into a bundle."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from dis2_edge.bundle_paths import safe_path
from dis2_edge.errors import CheckpointError, RecipeError
from dis2_edge.files import read_json
from dis2_edge.manifest import Golden, ModelRow
from dis2_edge.settings import from_table
from dis2_edge.statistics import SensorStatistics
from dis2_edge.task import Task

INDEX = "quantized.json"


@dataclass(frozen=True)
class QuantizedRun:
    """What stands in quantized.json; paths are relative to the run's folder."""

    name: str
    """Name for people."""
    network: str
    """Name of the network."""
    recipe_hash: str
    """Hash of the resolved recipe."""
    task: Task
    """Sensors with normalisation, classes, grid."""
    statistics: tuple[SensorStatistics, ...]
    """Of each sensor."""
    models: tuple[ModelRow, ...]
    """One row a model file."""
    goldens: tuple[Golden, ...]
    """Recorded inputs and answers."""
    provenance: dict[str, str] = field(default_factory=dict)
    """What it was made of and with."""


def read(qrun: Path) -> QuantizedRun:
    """The quantised run in the folder `qrun`; CheckpointError when it is none, unfinished or broken."""
    if not (qrun / INDEX).is_file():
        raise _what_it_is_instead(qrun)
    where = str(qrun / INDEX)
    try:
        run = from_table(QuantizedRun, read_json(qrun / INDEX, CheckpointError), where=where, error=CheckpointError)
    except RecipeError as cause:
        raise CheckpointError(f"{where}: {cause}", mend="quantize again") from cause
    for path in ("recipe.toml", *(row.file for row in run.models), *(golden.file for golden in run.goldens)):
        if not (qrun / safe_path(path)).is_file():
            raise CheckpointError(f"{qrun / path} is missing", mend="the run is unfinished or damaged: quantize again")
    return run


def _what_it_is_instead(qrun: Path) -> CheckpointError:
    """Why the folder `qrun` is no quantised run."""
    if not qrun.is_dir():
        return CheckpointError(f"{qrun} is not a folder", expected="a quantised run")
    if (qrun / "weights.safetensors").is_file():
        command = f"dis2-edge quantize {qrun} --data DATA --out QRUN"
        return CheckpointError(
            f"{qrun} is a training run", expected="a quantised one", mend=f"quantize it first: {command}"
        )
    if (qrun / "manifest.json").is_file():
        return CheckpointError(f"{qrun} is a bundle already", expected="a quantised run")
    return CheckpointError(f"{qrun} has no {INDEX}", mend="the run is unfinished: quantize again")
