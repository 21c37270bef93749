"""What a fault does to accuracy: the same labelled pictures before, during and after it, tick by tick."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from dis2_edge.scores import scores


@dataclass(frozen=True)
class Phase:
    """The ticks before, during or after a fault."""

    confusion: tuple[tuple[int, ...], ...]
    """Kx(K+1) pixel counts over its ticks; a held mask counts against the truth of its tick, a blind one is wrong."""
    fresh: int
    """Ticks with a mask from the engine."""
    held: int
    """Ticks with the last mask again."""
    blind: int
    """Ticks without a mask."""

    @property
    def ticks(self) -> int:
        """All of them."""
        return self.fresh + self.held + self.blind

    @property
    def miou(self) -> float:
        """Mean IoU over the classes that occur, 0..1."""
        return scores(np.array(self.confusion, np.int64)).miou


@dataclass(frozen=True)
class Span:
    """Ticks in a row of one scenario and state."""

    start_s: float
    """When the first fell due."""
    scenario: str
    """What the masks were made from; `blind` without any."""
    state: Literal["fresh", "held", "blind"]
    """What they were."""


@dataclass(frozen=True)
class Through:
    """One fault of one sensor, flown through."""

    sensor: str
    """Whose frames suffered."""
    kind: str
    """What happened to them."""
    start_s: float
    """When it began."""
    end_s: float
    """When it ended."""
    seconds: float
    """Length of the flight."""
    before: Phase
    """Until it began."""
    during: Phase
    """While it was on."""
    after: Phase
    """The same length again, return included."""
    spans: tuple[Span, ...]
    """What flew when."""
