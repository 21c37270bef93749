"""Start from a trained model: what fits is taken over, what does not starts afresh and is named."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor

from dis2_edge.errors import CheckpointError
from dis2_edge.files import read_json, sha256
from dis2_edge.recipe import Recipe
from dis2_edge.scenario import sensors_of
from dis2_edge.task import Task
from dis2_edge.terminal import note
from dis2_train import networks
from dis2_train.checkpoint import WEIGHTS, read_tensors
from dis2_train.networks.seam import Network

_APART = {"csknet": "norms=scenario --set shared_convs=false"}
"""By network what keeps apart what a model may have apart; of dis2 it is shared=encoders."""
INIT = "init.json"
"""File within a run that says which model it began from, where it was given one."""
_NAMED = 8
"""Parts that start afresh which are named on the screen; init.json names all."""


@dataclass(frozen=True)
class Start:
    """Where a network's first weights are from; kept as init.json of the run."""

    model: str
    """What was given as --init."""
    recipe_sha256: str
    """SHA-256 of its recipe.toml; empty where it has none."""
    weights_sha256: str
    """SHA-256 of its weights."""
    kept: tuple[str, ...]
    """Tensors taken over as they are."""
    resized: tuple[str, ...]
    """Position embeddings taken over by interpolation to this network's grid."""
    fresh: tuple[str, ...]
    """Tensors that start as they would without a model."""


def start_from(network: Network, recipe: Recipe, model: Path) -> Start:
    """Fill `network`, built by `recipe`, with the tensors of `model` that fit; say what was taken.

    `model` is the folder of a finished run or of a packed model, or its weights beside task.json. With another list of
    classes, all that depends on the class list starts afresh, also where the number of classes is the same. Raises
    CheckpointError when nothing fits, or when both know the same sensors in another order.
    """
    file = _weights_of(model)
    theirs = _task_of(file.parent)
    tensors = _with_lone_parts(_renamed(read_tensors(file)[0], theirs, network.task, model))
    tensors |= _of_lone_sensor(tensors, theirs, network)
    other_classes = theirs.classes != network.task.classes
    skipped = _of_classes(network, recipe) if other_classes else frozenset[str]()
    taken = {
        name: _fitted(name, tensors[name], ours)
        for name, ours in network.state_dict().items()
        if name in tensors and name not in skipped
    }
    kept = {name: value for name, value in taken.items() if value is not None}
    if not any(value.is_floating_point() for value in kept.values()):
        raise CheckpointError(
            f"nothing in {model} fits this network",
            expected="a model of the same network, preset and width, with a sensor of the same name and channels",
            mend=f"compare {file.parent / 'recipe.toml'} with the recipe",
        )
    network.load_state_dict({**network.state_dict(), **kept})
    torn = [name for name, value in network.state_dict().items() if name in kept and not value.equal(kept[name])]
    if torn:
        raise CheckpointError(
            f"{model} has weights of its own where the recipe shares them between scenarios: {torn[0]} and others",
            mend=f"--set {_APART.get(recipe.network, 'shared=encoders')}, or a model that shares them",
        )
    resized = [name for name, value in kept.items() if value.shape != tensors[name].shape]
    start = _start(model, file, network, set(kept) - set(resized), resized)
    _tell(start, other_classes)
    return start


def _weights_of(model: Path) -> Path:
    file = model / WEIGHTS if model.is_dir() else model
    if file.is_file():
        return file
    if (model / "recipe.toml").is_file():
        raise CheckpointError(f"the training of {model} is not finished", mend="go on with it by --resume first")
    raise CheckpointError(
        f"{file} is not there", expected="the folder of a finished run or of a model, or its weights.safetensors"
    )


def _task_of(folder: Path) -> Task:
    file = folder / "task.json"
    return Task.from_table(read_json(file, CheckpointError), where=str(file), error=CheckpointError)


def _renamed(tensors: Mapping[str, Tensor], theirs: Task, ours: Task, model: Path) -> dict[str, Tensor]:
    """Their tensors under our names; the order of sensors decides which slot is whose, so it must agree."""
    shared = [name for name in theirs.sensor_names if name in ours.sensor_names]
    if shared != [name for name in ours.sensor_names if name in shared]:
        raise CheckpointError(
            f"{model} has its sensors in the order {', '.join(theirs.sensor_names)}",
            expected=f"the order of this run, {', '.join(ours.sensor_names)}",
            mend=f"--set 'sensors={json.dumps(shared)}'",
        )
    names = _new_names(theirs, ours)
    words = names | {scenario: "+".join(names[name] for name in sensors_of(scenario)) for scenario in theirs.scenarios}
    return {".".join(words.get(word, word) for word in name.split(".")): value for name, value in tensors.items()}


def _with_lone_parts(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`tensors`, and where scenarios share encoders in them, those as the lone scenarios' own as well."""
    parts = ("encoders.", "auxiliaries.")
    return {f"lone_{name}": value for name, value in tensors.items() if name.startswith(parts)} | dict(tensors)


def _of_lone_sensor(tensors: Mapping[str, Tensor], theirs: Task, network: Network) -> dict[str, Tensor]:
    """`tensors` of a network of one sensor under the names that ours has for them, if ours flies that sensor just so.

    So a DeepLabV3 starts the lone path of its sensor in a CSK-Net, and with it all that both sensors share.
    """
    if len(theirs.sensors) > 1 or len(network.task.sensors) == 1:
        return {}
    (sensor,) = _new_names(theirs, network.task).values()
    if sensor not in network.task.sensor_names:
        return {}
    flown = {name.partition(".")[2]: value for name, value in network.deployable(sensor).state_dict().items()}
    fits = [tensors[name].shape == value.shape for name, value in flown.items() if name in tensors]
    if len(fits) < len(flown) or 2 * sum(fits) < len(fits):  # another network, another width
        return {}
    places = {value.data_ptr(): tensors[name] for name, value in flown.items()}
    ours = {name: places.get(value.data_ptr()) for name, value in network.state_dict().items()}
    return {name: value for name, value in ours.items() if value is not None}


def _new_names(theirs: Task, ours: Task) -> dict[str, str]:
    """Our name for each of their sensors: one that we lack is ours in the same place, if of its kind and channels."""
    names = {sensor.name: sensor.name for sensor in theirs.sensors}
    for one, other in zip(theirs.sensors, ours.sensors, strict=False):
        alike = (one.kind, one.channels) == (other.kind, other.channels)
        if alike and one.name not in ours.sensor_names and other.name not in theirs.sensor_names:
            names[one.name] = other.name
    return names


def _of_classes(network: Network, recipe: Recipe) -> frozenset[str]:
    """Names of the tensors that would have another shape if there were one class more."""
    task = network.task
    count = len(task.classes) + 1
    names, colours = tuple(f"class {index}" for index in range(count)), ("#000000",) * count
    other = networks.build(recipe, dataclasses.replace(task, classes=names, colours=colours, ignore=255)).state_dict()
    return frozenset(name for name, value in network.state_dict().items() if other[name].shape != value.shape)


def _fitted(name: str, value: Tensor, ours: Tensor) -> Tensor | None:
    """`value` as one of our tensors: as it is, or position embeddings (S, C, h, w) interpolated to our grid."""
    if value.is_floating_point() != ours.is_floating_point():
        return None
    if value.shape == ours.shape:
        return value.to(ours.dtype)
    if name.endswith(".position") and value.ndim == ours.ndim == 4 and value.shape[:2] == ours.shape[:2]:
        return F.interpolate(value.to(ours.dtype), size=ours.shape[2:], mode="bilinear", align_corners=False)
    return None


def _start(model: Path, file: Path, network: Network, kept: Iterable[str], resized: Iterable[str]) -> Start:
    recipe = file.parent / "recipe.toml"
    kept, resized = tuple(sorted(kept)), tuple(sorted(resized))
    fresh = tuple(sorted(set(network.state_dict()) - set(kept) - set(resized)))
    return Start(str(model), sha256(recipe) if recipe.is_file() else "", sha256(file), kept, resized, fresh)


def _tell(start: Start, other_classes: bool) -> None:
    taken = len(start.kept) + len(start.resized)
    note(f"init: {taken} of {taken + len(start.fresh)} tensors from {start.model}")
    if start.resized:
        note(f"init: {len(start.resized)} position embeddings interpolated to this grid")
    if start.fresh:
        parts = list(dict.fromkeys(name.rpartition(".")[0] or name for name in start.fresh))
        more = f" and {len(parts) - _NAMED} more (init.json names all)" if len(parts) > _NAMED else ""
        why = " (another class list)" if other_classes else ""
        note(f"init: afresh{why}: {', '.join(parts[:_NAMED])}{more}")
