"""What a check looks at: the board as it was found, what is asked for, and the bundle once there is one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from dis2_boards.deployment.facts import Facts
from dis2_boards.deployment.order import Order
from dis2_boards.profile import Board
from dis2_edge.bundle import Bundle
from dis2_edge.errors import BoardError


@dataclass(frozen=True)
class Case:
    """A board before anything is packed for it."""

    order: Order
    """What is asked for."""
    facts: Facts
    """The board."""
    ahead_s: float
    """Seconds by which its clock is ahead of ours."""


@dataclass(frozen=True)
class BundleCase(Case):
    """A board before a bundle is sent to it."""

    bundle: Bundle
    """What is to go there."""
    board: Board | None
    """The profile that it was packed for; None for a file of the user's own that is not at hand."""
    trusted: frozenset[str] = frozenset()
    """What signatures call the keys that the board trusts."""

    @property
    def dialects(self) -> set[str]:
        """The dialects of the bundle's models."""
        return {row.dialect for row in self.bundle.manifest.models}

    @property
    def flying(self) -> set[str]:
        """The dialects that may fly there, as far as was chosen."""
        return self.dialects - ({"trt"} if self.order.engine == "onnxruntime" else set())

    @property
    def tensorrt(self) -> bool:
        """Whether the bundle is to fly under TensorRT."""
        return "trt" in self.flying


C = TypeVar("C", bound=Case)


@dataclass(frozen=True)
class Check(Generic[C]):
    """One thing that must hold before anything is sent."""

    name: str
    """Its name."""
    looks: Callable[[C], BoardError | None]
    """The complaint, or None."""


def hold(case: C, checks: tuple[Check[C], ...]) -> None:
    """Raise the complaint of the checks; several make one message, as mending one by one would be a journey each."""
    complaints = [complaint for check in checks if (complaint := check.looks(case)) is not None]
    if len(complaints) == 1:
        raise complaints[0]
    if complaints:
        lines = "".join(f"\n  {place}. {complaint}" for place, complaint in enumerate(complaints, 1))
        raise BoardError(f"{len(complaints)} things stand in the way on {case.order.target.name}:{lines}")
