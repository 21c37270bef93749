"""A run folder: what a training leaves behind, written so that it is whole or plainly unfinished.

RUN/recipe.toml  task.json  statistics.json    from the start
RUN/log.csv  tensorboard/  resume/             while it trains (resume/ goes at the end)
RUN/metrics.json  weights.safetensors          at the end, the weights last: where they are, the run is finished

The models that come with dis2-edge are such folders too, with weights in half precision (`dis2_train.publish`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from dis2_edge import recipe as recipes
from dis2_edge.errors import CheckpointError, RecipeError
from dis2_edge.files import new_folder, read_json, write_bytes, write_json, write_text
from dis2_edge.recipe import Recipe
from dis2_edge.settings import from_table
from dis2_edge.statistics import SensorStatistics
from dis2_edge.task import Task
from dis2_train import networks
from dis2_train.networks.seam import Network

WEIGHTS = "weights.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """A finished run."""

    path: Path
    """Its folder."""
    recipe: Recipe
    """The resolved recipe it was trained by."""
    task: Task
    """Sensors with their normalisation, classes and grid."""
    statistics: tuple[SensorStatistics, ...]
    """Of each sensor over the training split."""
    metrics: dict[str, Any]
    """metrics.json: split, images, and confusion counts and scores of each scenario."""
    network: Network
    """The trained network, on the CPU, in eval mode; it computes in float32 whatever the file holds."""
    stored: Literal["float32", "float16"] = "float32"
    """What the weights' file holds: float16 says that they were rounded when the model was published."""


def save(
    run: Path,
    network: Network,
    *,
    recipe: Recipe,
    statistics: Sequence[SensorStatistics],
    metrics: Mapping[str, Any],
) -> None:
    """Write a finished run as a new folder, whole or not at all; the task is the network's."""
    with new_folder(run) as scratch:
        begin(scratch, recipe, network.task, statistics)
        finish(scratch, network, metrics)


def begin(run: Path, recipe: Recipe, task: Task, statistics: Sequence[SensorStatistics]) -> None:
    """Write into `run` what is known before training."""
    write_text(run / "recipe.toml", recipe.to_toml())
    write_json(run / "task.json", task.to_table())
    write_json(run / "statistics.json", [dataclasses.asdict(row) for row in statistics])


def finish(run: Path, network: Network, metrics: Mapping[str, Any]) -> None:
    """Write into `run` what training gave; the weights last, since they say that the run is finished."""
    write_json(run / "metrics.json", dict(metrics))
    write_bytes(run / WEIGHTS, safetensors.torch.save(plain(network.state_dict()), {"format": "pt"}))


def is_finished(run: Path) -> bool:
    """Whether `run` holds the weights of a finished training."""
    return (run / WEIGHTS).is_file()


def load(run: Path) -> Checkpoint:
    """Read a finished run; CheckpointError when it is absent, unfinished, damaged or of another recipe."""
    recipe, task, statistics = read_start(run)
    if not is_finished(run):
        raise CheckpointError(f"the training of {run} is not finished", mend="go on with it by --resume")
    network = networks.build(recipe, task)
    tensors = read_tensors(run / WEIGHTS)[0]
    fill(network, tensors, where=str(run / WEIGHTS))
    table = read_json(run / "metrics.json", CheckpointError)
    if not isinstance(table, dict) or not isinstance(table.get("scenarios"), dict):
        raise CheckpointError(f"{run / 'metrics.json'} has no scenarios", mend="train again")
    half = any(tensor.dtype == torch.float16 for tensor in tensors.values())
    stored: Literal["float32", "float16"] = "float16" if half else "float32"
    return Checkpoint(run, recipe, task, statistics, table, network.cpu().eval(), stored)


def read_start(run: Path) -> tuple[Recipe, Task, tuple[SensorStatistics, ...]]:
    """What `begin` wrote; a missing or damaged part is a CheckpointError."""
    if not run.is_dir():
        raise CheckpointError(f"{run} is no folder", expected="the folder of a run", mend="see: dis2-edge train")
    if not (run / "recipe.toml").is_file():
        raise CheckpointError(f"{run} is not a run: it holds no recipe.toml", mend="see: dis2-edge train")
    try:
        recipe = recipes.load(run / "recipe.toml")
    except RecipeError as cause:
        raise CheckpointError(f"{run} was written by another dis2-edge, or altered: {cause}") from cause
    file = run / "task.json"
    task = Task.from_table(read_json(file, CheckpointError), where=str(file), error=CheckpointError)
    rows = read_json(run / "statistics.json", CheckpointError)
    if not isinstance(rows, list):
        raise CheckpointError(f"{run / 'statistics.json'} is no list of sensors")
    where = str(run / "statistics.json")
    return recipe, task, tuple(from_table(SensorStatistics, row, where=where, error=CheckpointError) for row in rows)


def read_tensors(file: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file; a missing or damaged one is a CheckpointError."""
    try:
        with safetensors.safe_open(file, "pt") as opened:
            return {name: opened.get_tensor(name) for name in opened.keys()}, opened.metadata() or {}  # noqa: SIM118
    except (OSError, safetensors.SafetensorError) as cause:
        raise CheckpointError(f"{file} is missing or damaged ({cause})", mend="fetch the run anew") from cause


def fill(network: Network, tensors: Mapping[str, Tensor], *, where: str) -> None:
    """Load `tensors` into `network`; CheckpointError that names the first ones that do not fit.

    Tensors in half precision fit where the network has full precision, and become that.
    """
    wanted = network.state_dict()
    tensors = {name: _widened(tensor, wanted.get(name)) for name, tensor in tensors.items()}
    wrong = [f"{name} is missing" for name in wanted if name not in tensors]
    wrong += [f"{name} is not in the network" for name in tensors if name not in wanted]
    wrong += [
        f"{name} is {_form(tensors[name])} and should be {_form(tensor)}"
        for name, tensor in wanted.items()
        if name in tensors and _form(tensors[name]) != _form(tensor)
    ]
    count = _other_class_count(wanted, tensors, len(network.task.classes))
    if count:
        raise CheckpointError(
            f"{where} has {count} classes",
            expected=f"{len(network.task.classes)}: {', '.join(network.task.classes)}",
            mend="train with other classes from its weights by: dis2-edge train ... --init",
        )
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise CheckpointError(
            f"{where} is the checkpoint of another recipe: {', '.join(wrong[:3])}{more}",
            mend="keep weights and recipe.toml of one run together",
        )
    network.load_state_dict(tensors)
    torn = [name for name, value in network.state_dict().items() if not _equal(value.cpu(), tensors[name].cpu())]
    if torn:
        raise CheckpointError(
            f"{where} has weights of its own where the recipe shares them between scenarios: {torn[0]} and others",
            mend='write shared = "encoders" into recipe.toml beside it, if it was trained so',
        )


def plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Own contiguous CPU copies, as safetensors wants them."""
    return {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}


def _widened(tensor: Tensor, wanted: Tensor | None) -> Tensor:
    """`tensor` in float32 where it is half of one."""
    if wanted is not None and (tensor.dtype, wanted.dtype) == (torch.float16, torch.float32):
        return tensor.float()
    return tensor


def _other_class_count(wanted: Mapping[str, Tensor], tensors: Mapping[str, Tensor], classes: int) -> int:
    """How many classes `tensors` have, when that alone sets them apart from a network of `classes`; else 0.

    Then few tensors differ, each along one axis and all by the same factor; another width changes most, on two axes.
    """
    if wanted.keys() != tensors.keys():
        return 0
    found: set[float] = set()
    different = [name for name, tensor in wanted.items() if tensor.shape != tensors[name].shape]
    if 2 * len(different) > len(wanted):
        return 0
    for name in different:
        tensor = wanted[name]
        sizes = list(zip(tensors[name].shape, tensor.shape, strict=False))
        factors = [theirs / ours for theirs, ours in sizes if theirs != ours]
        if len(factors) > 1 or tensor.ndim != tensors[name].ndim:
            return 0
        found |= {classes * factor for factor in factors}
    (count,) = found if len(found) == 1 else (0.0,)
    return int(count) if count == int(count) else 0


def _equal(one: Tensor, other: Tensor) -> bool:
    """Whether both hold the same values; a diverged training's NaN equals itself here."""
    return torch.equal(one, other) or torch.equal(one.nan_to_num(), other.nan_to_num())


def _form(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {'x'.join(map(str, tensor.shape)) or 'scalar'}"
