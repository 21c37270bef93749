"""The state of a training between two steps, as one file that a kill cannot halve.

No random state is kept: every draw comes from (recipe.seed, epoch, step), so the counters below say all.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from dis2_edge.errors import CheckpointError
from dis2_edge.files import write_bytes
from dis2_edge.settings import from_table
from dis2_train.checkpoint import fill, plain, read_tensors
from dis2_train.fitting.schedule import Average
from dis2_train.networks.seam import Network

FILE = Path("resume") / "state.safetensors"
"""Place of the state within a run folder."""


@dataclass
class Counters:
    """How far a training has come."""

    epoch: int = 0
    """Whole epochs that have passed."""
    step: int = 0
    """Steps of the epoch under way that have passed; 0 but after a wish to stop."""
    best_epoch: int = -1
    """Epoch whose averaged weights did best on the validation split; -1 before the first look."""
    best_miou: float = -1.0
    """Their mean-over-scenarios mIoU, 0..1."""
    miou: dict[str, float] = field(default_factory=dict)
    """By scenario, 0..1, at the last look at the validation split; without those in which it is undefined."""
    best_worst_miou: float = -1.0
    """Highest mIoU that the worst scenario of a look has had."""
    looks_without_gain: int = 0
    """Looks since then."""
    seconds: float = 0.0
    """Time spent so far."""

    @property
    def is_fresh(self) -> bool:
        """Whether no step was taken yet."""
        return not (self.epoch or self.step)


@dataclass
class State:
    """All that changes while a network is trained."""

    network: Network
    """The network that learns."""
    average: Average
    """Its running average."""
    optimizer: torch.optim.Optimizer
    """The optimiser with its moments."""
    counters: Counters = field(default_factory=Counters)
    """How far it has come."""
    best: dict[str, Tensor] = field(default_factory=dict)
    """The best averaged weights so far, on the CPU; empty before the first look."""
    sums: dict[str, Tensor] = field(default_factory=dict)
    """(2,) float by loss term: its sum since the last row of the log, and how often it was added."""
    scaler: dict[str, Any] = field(default_factory=dict)
    """What Fabric's precision keeps: of fp16 the scale of gradients."""


def write_state(run: Path, state: State) -> None:
    """Replace the state in `run` at once: after a kill there is the old one or the new one."""
    groups = {
        "network": state.network.state_dict(),
        "average": state.average.network.state_dict(),
        "best": state.best,
        "optimizer": _moments(state.optimizer),
        "sums": state.sums,
    }
    tensors = {f"{group}/{name}": value for group, values in groups.items() for name, value in values.items()}
    metadata = {"counters": json.dumps(dataclasses.asdict(state.counters)), "scaler": json.dumps(state.scaler)}
    write_bytes(run / FILE, safetensors.torch.save(plain(tensors), metadata))


def read_state(run: Path, state: State) -> None:
    """Fill `state` with what `write_state` left in `run`; CheckpointError when it is damaged or does not fit."""
    tensors, metadata = read_tensors(run / FILE)
    where = str(run / FILE)
    fill(state.network, _group(tensors, "network"), where=where)
    fill(state.average.network, _group(tensors, "average"), where=where)
    state.best, sums = _group(tensors, "best"), _group(tensors, "sums")
    state.sums = {name: value.to(_device(state.network)) for name, value in sums.items()}
    _set_moments(state.optimizer, _group(tensors, "optimizer"), where)
    try:
        counters, state.scaler = json.loads(metadata["counters"]), json.loads(metadata.get("scaler", "{}"))
    except (KeyError, ValueError) as cause:
        raise CheckpointError(f"{where} holds no counters", mend="train again into another --out") from cause
    state.counters = from_table(Counters, counters, where=where, error=CheckpointError)


def _group(tensors: Mapping[str, Tensor], group: str) -> dict[str, Tensor]:
    return {name.removeprefix(f"{group}/"): value for name, value in tensors.items() if name.startswith(f"{group}/")}


def _device(network: Network) -> torch.device:
    return next(network.parameters()).device


def _moments(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's tensors as `PLACE.NAME`; a parameter that no step has touched yet has none."""
    state = optimizer.state_dict()["state"]
    return {
        f"{place}.{name}": value
        for place, values in state.items()
        for name, value in values.items()
        if isinstance(value, Tensor)
    }


def _set_moments(optimizer: torch.optim.Optimizer, moments: Mapping[str, Tensor], where: str) -> None:
    table = optimizer.state_dict()
    learned = [value for group in optimizer.param_groups for value in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in moments.items():
        place, _, name = key.partition(".")
        if int(place) >= len(learned) or (value.ndim and value.shape != learned[int(place)].shape):
            raise CheckpointError(f"{where} holds moments of another network", mend="train again into another --out")
        # In the parameter's memory layout, so that the next step adds up in the same order as without a stop.
        state.setdefault(int(place), {})[name] = (
            torch.empty_like(learned[int(place)], device="cpu").copy_(value) if value.ndim else value
        )
    optimizer.load_state_dict({**table, "state": state})
