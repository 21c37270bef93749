"""DIS2: one encoder a sensor, one stand-in for each, one fusion and decoder for each scenario (arXiv 2601.13502)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dis2_edge.errors import RecipeError
from dis2_edge.recipe import Recipe
from dis2_edge.scenario import sensors_of
from dis2_edge.task import Task
from dis2_train.networks import losses
from dis2_train.networks.dis2.encoder import AuxiliaryDecoder, Encoder, Levels
from dis2_train.networks.dis2.fusion import token_grid
from dis2_train.networks.dis2.plain import make_decoder, make_fusion, make_side_heads
from dis2_train.networks.dis2.sharing import tie
from dis2_train.networks.flight import flight
from dis2_train.networks.seam import Frames, Network, Output
from dis2_train.networks.widths import scaled

TAPS = ("f1", "f2", "f3", "token", "penultimate")


class Dis2(Network):
    """DIS2, default preset: two sensors, three scenarios, any input size that is a multiple of 16."""

    def __init__(self, recipe: Recipe, task: Task) -> None:
        super().__init__()
        if len(task.sensors) != 2:
            found = (
                f"dis2 is a two-sensor network, and this task has {len(task.sensors)}: {', '.join(task.sensor_names)}"
            )
            raise RecipeError(found, expected="two sensors", mend='name two of them: --set \'sensors=["a", "b"]\'')
        self.task, self.recipe = task, recipe
        widths = scaled(recipe.width)
        classes = len(task.classes)
        first, second = task.sensors
        self.encoders = nn.ModuleDict({sensor.name: Encoder(sensor.channels, widths) for sensor in task.sensors})
        self.stand_ins = nn.ModuleDict(
            {first.name: Encoder(second.channels, widths), second.name: Encoder(first.channels, widths)}
        )
        self.auxiliaries = nn.ModuleDict({sensor.name: AuxiliaryDecoder(widths, classes) for sensor in task.sensors})
        self.branches = nn.ModuleDict({scenario: Branch(recipe, widths, task) for scenario in task.scenarios})
        if recipe.shared == "branch":
            for scenario in task.scenarios[1:]:
                tie(self.branches[task.full], self.branches[scenario])

    @property
    def training_scenarios(self) -> tuple[str, ...]:
        """The scenarios that miss a sensor; the full one is trained in every step as their teacher."""
        return self.task.scenarios[1:]

    def forward(self, frames: Frames, scenario: str, taps: tuple[str, ...] = ()) -> Output:
        """Logits at the size of `frames`; see `Network.forward`."""
        found = self._branch(scenario)(*self._slots(frames, scenario))
        return Output(found["logits"], {name: found[name] for name in taps})

    def losses(self, frames: Frames, target: Tensor, scenario: str, progress: float) -> dict[str, Tensor]:
        """All terms of one step: both branches, both auxiliaries, four scales, disentanglement, distillation."""
        levels = {name: self.encoders[name](frames[name]) for name in self.task.sensor_names}
        first, second = self.task.sensor_names
        full = self._branch(self.task.full)(levels[first], levels[second], side=True)
        lone = [self._lone(frames, name, levels) for name in self._taught(scenario)]
        terms = self._supervision(levels, full, [found for found, _ in lone], target)
        terms["disentangle"] = self.recipe.disentangle_weight * torch.stack([apart for _, apart in lone]).sum()
        if progress >= self.recipe.distill_after:
            taught = torch.stack([self._distillation(found, full) for found, _ in lone]).sum()
            terms["distill"] = self.recipe.distill_weight * taught
        return terms

    def deployable(self, scenario: str, taps: tuple[str, ...] = ()) -> nn.Module:
        """Two encoders and the branch of `scenario`, sharing this network's weights."""
        used = sensors_of(scenario)
        slots = [self.encoders[name] if name in used else self.stand_ins[name] for name in self.task.sensor_names]
        return flight(TwoSlots(slots[0], slots[1], self._branch(scenario)), len(used), taps)

    def tap_names(self, scenario: str) -> tuple[str, ...]:
        """Fused maps of three levels, the global token and the penultimate map."""
        return TAPS

    def blocks(self, scenario: str) -> tuple[str, ...]:
        """Encoders, levels of fusion, stages of the decoder."""
        levels = ("fuse1", "fuse2", "fuse3", "down1", "down2", "fuse4")
        flat = not self.recipe.hierarchical
        fusion = [f"inner.branch.fusion.{name}" for name in levels if not (flat and name.startswith("down"))]
        decoder = [f"inner.branch.decoder.{name}" for name in ("stage3", "stage2", "stage1", "mix", "refine")]
        return ("inner.first", "inner.second", *fusion, *decoder)

    def _branch(self, scenario: str) -> nn.Module:
        if scenario not in self.branches:
            raise RecipeError(f"unknown scenario {scenario!r}", expected=" or ".join(self.branches))
        return self.branches[scenario]

    def _slots(self, frames: Frames, scenario: str) -> tuple[Levels, Levels]:
        """Levels for both slots: the sensor's own encoder, or the stand-in that reads the other sensor."""
        used = sensors_of(scenario)
        first, second = (
            self.encoders[name](frames[name]) if name in used else self.stand_ins[name](frames[used[0]])
            for name in self.task.sensor_names
        )
        return first, second

    def _taught(self, scenario: str) -> tuple[str, ...]:
        return self.training_scenarios if self.recipe.every_scenario else (scenario,)

    def _lone(self, frames: Frames, scenario: str, levels: dict[str, Levels]) -> tuple[dict[str, Tensor], Tensor]:
        """What the branch of a one-sensor scenario finds, and how alike its two slots are (disentanglement)."""
        (here,) = sensors_of(scenario)
        (gone,) = (name for name in self.task.sensor_names if name != here)
        present, stand_in = levels[here], self.stand_ins[gone](frames[here])
        found = self._branch(scenario)(*self._ordered(scenario, present, stand_in), side=True)
        apart = torch.stack([losses.disentanglement(stand_in[level], present[level]) for level in range(3)])
        return found, apart.mean()

    def _ordered(self, scenario: str, present: Levels, stand_in: Levels) -> tuple[Levels, Levels]:
        return (present, stand_in) if scenario == self.task.sensor_names[0] else (stand_in, present)

    def _supervision(
        self, levels: dict[str, Levels], full: dict[str, Tensor], lone: list[dict[str, Tensor]], target: Tensor
    ) -> dict[str, Tensor]:
        truth = losses.Truth.of(target, len(self.task.classes), self.task.ignore)
        missing = [losses.supervised(found["logits"], truth) for found in lone]
        terms = {"full": losses.supervised(full["logits"], truth), "missing": torch.stack(missing).sum()}
        for name, encoded in levels.items():
            terms[f"auxiliary_{name}"] = losses.supervised(self.auxiliaries[name](encoded), truth)
        sides = [found[f"side{scale}"] for found in (full, *lone) for scale in range(4)]
        terms["scales"] = torch.stack([losses.supervised(side, truth) for side in sides]).sum() / 4
        return terms

    def _distillation(self, student: dict[str, Tensor], teacher: dict[str, Tensor]) -> Tensor:
        features = torch.stack([losses.feature_distance(student[name], teacher[name]) for name in TAPS])
        return features.mean() + losses.logit_distance(student["logits"], teacher["logits"], self.recipe.temperature)


class Branch(nn.Module):
    """Fusion, class-wise attention and decoder of one scenario."""

    def __init__(self, recipe: Recipe, widths: tuple[int, int, int, int], task: Task) -> None:
        super().__init__()
        self.fusion = make_fusion(recipe, widths, token_grid(task.grid))
        self.decoder = make_decoder(recipe, len(task.classes), widths)
        self.side_heads = make_side_heads(recipe, len(task.classes), widths)

    def forward(self, first: Levels, second: Levels, side: bool = False) -> dict[str, Tensor]:
        """Levels of both slots to logits and taps by name, and with `side` the logits of four scales (`side0`...)."""
        fused, token = self.fusion(first, second)
        logits, penultimate, maps = self.decoder(fused)
        found = {"logits": logits, "token": token, "penultimate": penultimate}
        found |= {"f1": fused[0], "f2": fused[1], "f3": fused[2]}
        if side:
            found |= {f"side{scale}": logit for scale, logit in enumerate(self.side_heads(maps))}
        return found


class TwoSlots(nn.Module):
    """The encoders of both slots and the branch of one scenario."""

    def __init__(self, first: nn.Module, second: nn.Module, branch: nn.Module) -> None:
        super().__init__()
        self.first, self.second, self.branch = first, second, branch

    def forward(self, *frames: Tensor) -> dict[str, Tensor]:
        """One or two tensors (B, C, H, W) to logits and taps by name; a lone sensor feeds both slots."""
        found: dict[str, Tensor] = self.branch(self.first(frames[0]), self.second(frames[-1]))
        return found
