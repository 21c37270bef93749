"""The network seam: all that training, quantisation and export know of a network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

from dis2_edge.recipe import Recipe
from dis2_edge.task import Task

Frames = Mapping[str, Tensor]
"""One normalised float tensor (B, C, H, W) for each sensor, by name."""


@dataclass
class Output:
    """What a network answers."""

    logits: Tensor
    """(B, K, H, W) float, unnormalised class scores at the input's size."""
    taps: dict[str, Tensor] = field(default_factory=dict)
    """The inner tensors that were asked for, by tap name."""


class Network(nn.Module, ABC):
    """A segmentation network over the sensors of a task, usable in every scenario of `task.scenarios`."""

    task: Task

    @abstractmethod
    def forward(self, frames: Frames, scenario: str, taps: tuple[str, ...] = ()) -> Output:
        """Segment `frames` with only the sensors of `scenario`; sensors outside it are not read and may be absent."""

    @abstractmethod
    def losses(self, frames: Frames, target: Tensor, scenario: str, progress: float) -> dict[str, Tensor]:
        """Weighted loss terms of one step; the loop minimises their sum.

        `frames` hold every sensor; `target` (B, H, W) int64 with the task's ignore index; `scenario` is the one drawn
        for this step from `training_scenarios`; `progress` is the share of training that has passed, 0..1.
        """

    @property
    @abstractmethod
    def training_scenarios(self) -> tuple[str, ...]:
        """The scenarios that the loop draws from, one a step."""

    @abstractmethod
    def deployable(self, scenario: str, taps: tuple[str, ...] = ()) -> nn.Module:
        """The module that flies in `scenario`: it shares this network's weights and holds nothing else.

        Its forward takes one tensor a sensor, in the scenario's order, and returns logits, or (logits, *taps) when taps
        are asked for. It can be traced by torch.fx.
        """

    @abstractmethod
    def tap_names(self, scenario: str) -> tuple[str, ...]:
        """Inner tensors that a student of `scenario` may be taught on; the full scenario's teacher has them too."""

    @abstractmethod
    def blocks(self, scenario: str) -> tuple[str, ...]:
        """Module names within `deployable(scenario)` that quantisation may keep in floating point as a whole."""

    def taught_by(self) -> Recipe | None:
        """The recipe of a network that must be trained on the same data before this one; None when none is waited for.

        Mostly None, and always once it was had: see `learn_from`.
        """
        return None

    def learn_from(self, teacher: Network) -> None:
        """Take the trained network that `taught_by` asked for. It is no part of this one: nothing of it is saved."""

    def start_from_teacher(self) -> None:
        """Take over the teacher's weights, where the recipe says so; asked once, before the first step."""

    def figures(self) -> dict[str, float]:
        """What a log may say of this network beside its losses, by name; asked once an epoch. Mostly nothing."""
        return {}
