"""What flies: one branch over the slots, and the modules that fill the slots in a scenario."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from dis2_train.networks.paper.attention import ClasswiseAttention
from dis2_train.networks.paper.decoder import ClassStages, ClasswiseDecoder
from dis2_train.networks.paper.encoder import Features, Widths
from dis2_train.networks.paper.fusion import HierarchicalFusion

TAPS = ("f1", "f2", "f3", "f4", "token", "penultimate")
"""Inner tensors of a branch: the four fused levels, the global token, the features before the classifier."""


class BranchAnswer(NamedTuple):
    """What a branch answers."""

    logits: Tensor
    """(B, K, H, W)."""
    fused: Features
    """F1 to F4."""
    token: Tensor
    """The global fused token, (B, 256)."""
    penultimate: Tensor
    """(B, 32, H, W)."""
    stages: list[ClassStages]
    """What the side heads read."""

    def tap(self, name: str) -> Tensor:
        """The tensor called `name`, one of `TAPS`."""
        return {**dict(zip(TAPS, self.fused, strict=False)), "token": self.token, "penultimate": self.penultimate}[name]


class Branch(nn.Module):
    """Fusion, class-wise attention and class-wise decoder; the network has one copy a scenario."""

    def __init__(self, classes: int, size: tuple[int, int], widths: Widths) -> None:
        super().__init__()
        self.fusion = HierarchicalFusion(size, widths)
        self.attention = ClasswiseAttention(widths[3], classes, size)
        self.decoder = ClasswiseDecoder(classes, widths)

    def forward(self, first: Features, second: Features) -> BranchAnswer:
        """Segment what fills the two slots."""
        levels, token = self.fusion(first, second)
        decoded = self.decoder(levels, self.attention(levels[3]))
        return BranchAnswer(decoded.logits, levels, token, decoded.penultimate, decoded.stages)


class Flight(nn.Module):
    """The part of the network that one scenario needs; answers logits, or (logits, *taps) when taps are asked for."""

    def __init__(self, branch: nn.Module, taps: tuple[str, ...]) -> None:
        super().__init__()
        self.branch, self.taps = branch, taps

    def pick(self, answer: BranchAnswer) -> Tensor | tuple[Tensor, ...]:
        """What was asked for of `answer`."""
        return (answer.logits, *map(answer.tap, self.taps)) if self.taps else answer.logits


class FullFlight(Flight):
    """Both sensors are there: each fills its own slot."""

    def __init__(self, first: nn.Module, second: nn.Module, branch: nn.Module, taps: tuple[str, ...] = ()) -> None:
        super().__init__(branch, taps)
        self.first, self.second = first, second

    def forward(self, first: Tensor, second: Tensor) -> Tensor | tuple[Tensor, ...]:
        """One normalised frame (B, C, H, W) a sensor."""
        return self.pick(self.branch(self.first(first), self.second(second)))


class LoneFlight(Flight):
    """One sensor is there, in slot `place` (0 or 1): its stand-in fills the other slot."""

    def __init__(
        self, present: nn.Module, stand_in: nn.Module, branch: nn.Module, place: int, taps: tuple[str, ...] = ()
    ) -> None:
        super().__init__(branch, taps)
        self.present, self.stand_in, self.place = present, stand_in, place

    def forward(self, frame: Tensor) -> Tensor | tuple[Tensor, ...]:
        """The normalised frame (B, C, H, W) of the sensor that is there."""
        return self.pick(self.branch(*in_slots(self.present(frame), self.stand_in(frame), self.place)))


def in_slots(present: Features, stand_in: Features, place: int) -> tuple[Features, Features]:
    """Both slots' features in the task's order, with the present sensor's in slot `place`."""
    return (present, stand_in) if place == 0 else (stand_in, present)
