"""DIS2: one encoder a sensor, one stand-in for each, one fusion and decoder for each scenario (arXiv 2601.13502)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dis2_edge.errors import RecipeError
from dis2_edge.recipe import Recipe
from dis2_edge.scenario import sensors_of
from dis2_edge.task import Task
from dis2_train.networks import losses
from dis2_train.networks.dis2.branch import Branch, TwoSlots
from dis2_train.networks.dis2.encoder import AuxiliaryDecoder, Encoder, Levels
from dis2_train.networks.dis2.sharing import tie
from dis2_train.networks.flight import flight
from dis2_train.networks.losses import Truth
from dis2_train.networks.pairs import check_two_sensors
from dis2_train.networks.seam import Frames, Network, Output
from dis2_train.networks.widths import scaled

TAPS = ("f1", "f2", "f3", "token", "penultimate")
_DRAWN = "draw one scenario a step: --set every_scenario=false"
_HEARD = 0.5
"""Weight of the teacher's logits where `distill_weight` is 1: half of what the labels weigh."""


class Dis2(Network):
    """DIS2, default preset: two sensors, three scenarios, any input size that is a multiple of 16."""

    def __init__(self, recipe: Recipe, task: Task) -> None:
        super().__init__()
        check_two_sensors("dis2", task)
        if recipe.every_scenario and (recipe.scenario_share or recipe.scenario_sampling != "fixed"):
            key = "scenario_share" if recipe.scenario_share else "scenario_sampling"
            raise RecipeError(f"{key} has nothing to say where every step trains every scenario", mend=_DRAWN)
        self.task, self.recipe = task, recipe
        widths = scaled(recipe.width)
        classes = len(task.classes)
        first, second = task.sensors
        self.encoders = nn.ModuleDict({sensor.name: Encoder(sensor.channels, widths) for sensor in task.sensors})
        self.stand_ins = nn.ModuleDict(
            {first.name: Encoder(second.channels, widths), second.name: Encoder(first.channels, widths)}
        )
        self.auxiliaries = nn.ModuleDict({sensor.name: AuxiliaryDecoder(widths, classes) for sensor in task.sensors})
        alone = task.sensors if recipe.shared == "nothing" else ()
        self.lone_encoders = nn.ModuleDict({sensor.name: Encoder(sensor.channels, widths) for sensor in alone})
        self.lone_auxiliaries = nn.ModuleDict({sensor.name: AuxiliaryDecoder(widths, classes) for sensor in alone})
        self.branches = nn.ModuleDict({scenario: Branch(recipe, widths, task) for scenario in task.scenarios})
        if recipe.shared == "branch":
            for scenario in task.scenarios[1:]:
                tie(self.branches[task.full], self.branches[scenario])

    @property
    def training_scenarios(self) -> tuple[str, ...]:
        """The scenarios that miss a sensor; the full one is trained in every step."""
        return self.task.scenarios[1:]

    def forward(self, frames: Frames, scenario: str, taps: tuple[str, ...] = ()) -> Output:
        """Logits at the size of `frames`; see `Network.forward`."""
        branch, (first, second) = self._branch(scenario), self._readers(scenario)
        seen = [frames[name] for name in sensors_of(scenario)]
        found = branch(first(seen[0]), second(seen[-1]))
        return Output(found["logits"], {name: found[name] for name in taps})

    def losses(self, frames: Frames, target: Tensor, scenario: str, progress: float) -> dict[str, Tensor]:
        """All terms of one step: branches, auxiliaries, four scales, disentanglement, and distillation if it is on."""
        levels = {name: self.encoders[name](frames[name]) for name in self.task.sensor_names}
        first, second = self.task.sensor_names
        full = self._branch(self.task.full)(levels[first], levels[second], side=True)
        lone = [self._lone(frames, name, levels) for name in self._taught(scenario)]
        truth = Truth.of(target, len(self.task.classes), self.task.ignore)
        terms = self._supervision(levels, full, lone, truth)
        terms["disentangle"] = self.recipe.disentangle_weight * torch.stack([one.likeness for one in lone]).sum()
        if self.recipe.distill_weight and progress >= self.recipe.distill_after:
            taught = torch.stack([self._distillation(one.found, full, truth) for one in lone]).sum()
            terms["distill"] = self.recipe.distill_weight * taught
        return terms

    def deployable(self, scenario: str, taps: tuple[str, ...] = ()) -> nn.Module:
        """Two encoders and the branch of `scenario`, sharing this network's weights."""
        slots = TwoSlots(*self._readers(scenario), self._branch(scenario))
        return flight(slots, len(sensors_of(scenario)), taps)

    def tap_names(self, scenario: str) -> tuple[str, ...]:
        """Fused maps of three levels, the global token and the penultimate map."""
        return TAPS

    def blocks(self, scenario: str) -> tuple[str, ...]:
        """Encoders, levels of fusion and its attention, stages of the decoder."""
        levels = ["fuse1", "fuse2", "fuse3", "fuse4"]
        if self.recipe.hierarchical:
            levels = ["fuse1", "fuse2", "fuse3", "down1", "down2", "attention", "fuse4"]
        fusion = [f"inner.branch.fusion.{name}" for name in levels]
        decoder = [f"inner.branch.decoder.{name}" for name in ("stage3", "stage2", "stage1", "mix", "refine")]
        return ("inner.first", "inner.second", *fusion, *decoder)

    def _branch(self, scenario: str) -> nn.Module:
        if scenario not in self.branches:
            raise RecipeError(f"unknown scenario {scenario!r}", expected=" or ".join(self.branches))
        return self.branches[scenario]

    def _readers(self, scenario: str) -> tuple[nn.Module, nn.Module]:
        """What reads for each slot: the sensor's encoder, the lone scenario's own where it has one, or the stand-in."""
        own = self.lone_encoders if scenario != self.task.full and self.lone_encoders else self.encoders
        used = sensors_of(scenario)
        first, second = (own[name] if name in used else self.stand_ins[name] for name in self.task.sensor_names)
        return first, second

    def _taught(self, scenario: str) -> tuple[str, ...]:
        return self.training_scenarios if self.recipe.every_scenario else (scenario,)

    def _lone(self, frames: Frames, scenario: str, levels: dict[str, Levels]) -> Lone:
        """What a one-sensor scenario finds; `levels` are the full scenario's, taken over where encoders are shared."""
        (here,) = sensors_of(scenario)
        (gone,) = (name for name in self.task.sensor_names if name != here)
        own = self.lone_encoders[here](frames[here]) if here in self.lone_encoders else None
        present, stand_in = own or levels[here], self.stand_ins[gone](frames[here])
        found = self._branch(scenario)(*self._ordered(scenario, present, stand_in), side=True)
        likeness = torch.stack([losses.disentanglement(stand_in[level], present[level]) for level in range(3)])
        return Lone(here, found, own, likeness.mean())

    def _ordered(self, scenario: str, present: Levels, stand_in: Levels) -> tuple[Levels, Levels]:
        return (present, stand_in) if scenario == self.task.sensor_names[0] else (stand_in, present)

    def _supervision(
        self, levels: dict[str, Levels], full: dict[str, Tensor], lone: list[Lone], truth: Truth
    ) -> dict[str, Tensor]:
        missing = [losses.supervised(one.found["logits"], truth) for one in lone]
        terms = {"full": losses.supervised(full["logits"], truth), "missing": torch.stack(missing).sum()}
        for name, encoded in levels.items():
            terms[f"auxiliary_{name}"] = losses.supervised(self.auxiliaries[name](encoded), truth)
        for one in lone:
            if one.levels:
                said = self.lone_auxiliaries[one.sensor](one.levels)
                terms[f"auxiliary_{one.sensor}_alone"] = losses.supervised(said, truth)
        sides = [found[f"side{scale}"] for found in (full, *(one.found for one in lone)) for scale in range(4)]
        terms["scales"] = torch.stack([losses.supervised(side, truth) for side in sides]).sum() / 4
        return terms

    def _distillation(self, student: dict[str, Tensor], teacher: dict[str, Tensor], truth: Truth) -> Tensor:
        recipe, answers = self.recipe, (student["logits"], teacher["logits"])
        logits = losses.logit_distance(*answers, recipe.temperature, truth, recipe.distill_balance)
        if not recipe.distill_features:
            return _HEARD * logits
        features = torch.stack([losses.feature_distance(student[name], teacher[name]) for name in TAPS])
        return _HEARD * logits + recipe.distill_features * features.mean()


@dataclass(frozen=True)
class Lone:
    """What one training step finds of a scenario of one sensor."""

    sensor: str
    """The sensor that is left."""
    found: dict[str, Tensor]
    """What its branch gives: logits, taps, logits of four scales."""
    levels: Levels | None
    """Levels of the encoder that this scenario has for itself; None where it shares the full scenario's."""
    likeness: Tensor
    """Scalar: how alike the sensor's levels and its stand-in's are (disentanglement)."""
