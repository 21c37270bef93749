"""Step 2 of the training: what the two-branch student is asked in one step, and the optical teacher that helps."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from dis2_edge.errors import CheckpointError
from dis2_edge.recipe import Recipe
from dis2_edge.task import Task
from dis2_train.networks.csknet.contrast import MemoryBank, ProjectionHead, contrast
from dis2_train.networks.csknet.exchange import pressure
from dis2_train.networks.csknet.teacher import begin_as, check_fit
from dis2_train.networks.csknet.texture import texture_distance
from dis2_train.networks.deeplab.encoder import Maps
from dis2_train.networks.deeplab.plan import STAGES
from dis2_train.networks.losses import Truth, supervised
from dis2_train.networks.seam import Frames, Network, Output

if TYPE_CHECKING:
    from dis2_train.networks.csknet.network import CskNet

TAUGHT = ("early", "penultimate")
"""The teacher's maps whose texture is asked of the student: one of the encoder, one of the decoder."""


class Lesson(nn.Module):
    """The parts that only training has: projection head, memory bank, and the teacher, which is no child of it."""

    def __init__(self, recipe: Recipe, task: Task, width: int, optical: str) -> None:
        super().__init__()
        self.recipe, self.task, self.optical = recipe, task, optical
        self.projection = ProjectionHead(width)
        self.bank = MemoryBank(len(task.classes), recipe.contrast_bank)
        self._teacher = Outside()

    @property
    def teacher_recipe(self) -> Recipe | None:
        """How the teacher is trained; None where nothing is asked of it, or it is there."""
        asked = self.recipe.texture_weight or self.recipe.begin_with == "teacher"
        if not asked or self._teacher.network is not None:
            return None
        alone = dataclasses.replace(self.recipe, network="deeplabv3", sensors=(self.optical,), grid=self.task.grid)
        return dataclasses.replace(alone, scenario_share=(), scenario_sampling="fixed")

    def take(self, teacher: Network, student: Network) -> None:
        """Keep `teacher`, if `student`, whose lesson this is, can learn from it; CheckpointError if not."""
        check_fit(teacher, student, self.optical, TAUGHT)
        self._teacher.network = teacher.eval().requires_grad_(False)

    def start(self, student: CskNet) -> None:
        """Give `student` the teacher's weights, if the recipe says so."""
        if self.recipe.begin_with == "teacher":
            begin_as(self._teacher.of(next(student.parameters()).device), student)

    def terms(self, net: CskNet, frames: Frames, target: Tensor, scenario: str, progress: float) -> dict[str, Tensor]:
        """Weighted loss terms of a step; `scenario` is the lone one that is trained where not every one is."""
        recipe, names = self.recipe, self.task.sensor_names
        truth = Truth.of(target, len(self.task.classes), self.task.ignore)
        both = net.both()
        early = both.encoder.stages(both.encoder.stem([frames[name] for name in names]), STAGES[:1])
        mixed = both.encoder.stages(early, STAGES[1:])
        decoded = both.decode(mixed)
        terms = {"full": supervised(net.heads[self.task.full](both.fuse(decoded)), truth)}
        heads = [supervised(net.heads[name](x), truth) for name, x in zip(names, decoded, strict=True)]
        terms["heads"] = torch.stack(heads).mean()
        bottom, last = self._lone(net, early, scenario, mixed, decoded)
        if recipe.norms != "sensor":
            terms |= {name: supervised(net.heads[name](x), truth) for name, x in last.items()}
        if recipe.texture_weight:
            taught = self._taught(frames)
            terms["texture"] = recipe.texture_weight * self._texture(taught, dict(zip(names, early, strict=True)), last)
            if recipe.contrast_weight and recipe.contrast_trusts == "teacher":
                target = self._believed(target, taught.logits)
        if recipe.contrast_weight:
            terms["contrast"] = recipe.contrast_weight * self._contrast(bottom, target, progress)
        if recipe.channel_exchange:
            terms["pressure"] = recipe.exchange_pressure * pressure(net.exchanged())
        return terms

    def _lone(
        self, net: CskNet, early: Maps, scenario: str, mixed: Maps, decoded: Maps
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """By sensor the encoder's last maps and the decoder's: each sensor by itself, or as published side by side.

        Where one sensor is drawn a step, only its decoder is asked; the contrast still needs both encoders.
        """
        names, recipe = self.task.sensor_names, self.recipe
        if recipe.norms == "sensor":
            return dict(zip(names, mixed, strict=True)), dict(zip(names, decoded, strict=True))
        asked = names if recipe.every_scenario else (scenario,)
        bottom, last = {}, {}
        for name, x in zip(names, early, strict=True):
            if name in asked or recipe.contrast_weight:
                (bottom[name],) = net.lone(name).encoder.stages([x], STAGES[1:])
            if name in asked:
                last[name] = net.lone(name).decoder(bottom[name])
        return bottom, last

    @torch.no_grad()
    def _taught(self, frames: Frames) -> Output:
        """What the teacher says."""
        out: Output = self._teacher.of(frames[self.optical].device)(frames, self.optical, TAUGHT)
        return out

    def _texture(self, taught: Output, early: dict[str, Tensor], last: dict[str, Tensor]) -> Tensor:
        """Distance to the teacher's texture: early maps, and the optical decoder's where it was asked in this step."""
        asked = taught.taps
        names = self.task.sensor_names if self.recipe.texture_into == "both" else (self.optical,)
        kind = self.recipe.texture
        told = [texture_distance(early[name], asked["early"], kind) for name in names]
        if self.optical in last:
            told.append(texture_distance(last[self.optical], asked["penultimate"], kind))
        return torch.stack(told).mean()

    def _believed(self, target: Tensor, logits: Tensor) -> Tensor:
        """The labels that the teacher agrees with. Hard mining seeks out wrong labels: they are the farthest of all."""
        return torch.where(logits.argmax(dim=1) == target, target, self.task.ignore)

    def _contrast(self, bottom: dict[str, Tensor], target: Tensor, progress: float) -> Tensor:
        """Contrast between the sensors' last maps, at the label in the middle of each position.

        Mining grows harder with training: all are met at first, `contrast_share` of them from the middle on. Before
        maps tell anything apart, the hardest ones only pull everything together (measured).
        """
        first, second = (self.projection(bottom[name]) for name in self.task.sensor_names)
        step = target.shape[1] // next(iter(bottom.values())).shape[2]
        labels = target[:, step // 2 :: step, step // 2 :: step].flatten()
        labels = torch.where(labels == self.task.ignore, -1, labels)
        share = 1 - min(1.0, 2 * progress) * (1 - self.recipe.contrast_share)
        return contrast(first, second, labels, self.bank, self.recipe.contrast_temperature, share)


class Outside:
    """A network that is used and not owned: no weight of it is trained, saved, averaged or copied."""

    def __init__(self) -> None:
        self.network: Network | None = None

    def of(self, device: torch.device) -> Network:
        """The network, on `device`."""
        if self.network is None:
            raise CheckpointError("the two-branch network has no optical teacher yet", mend="train by: dis2-edge train")
        return self.network.to(device)

    def __deepcopy__(self, memo: object) -> Outside:
        return self
