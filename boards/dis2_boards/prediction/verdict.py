"""Whether a predicted figure holds a limit: three answers, since a prediction is only right within a factor."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

Answer = Literal["holds", "may not hold", "does not hold"]
ANSWERS: tuple[Answer, ...] = ("holds", "may not hold", "does not hold")
"""From good to bad."""


def answer(predicted: float, limit: float, factor: float | None) -> Answer:
    """Whether `predicted`, right within `factor` either way, stays at or below `limit`; without a factor none is sure.

    It holds where even `factor` times as much would, and does not where even a `factor`-th would not.
    """
    if factor is None:
        return "may not hold"
    if predicted * factor <= limit:
        return "holds"
    return "does not hold" if predicted / factor > limit else "may not hold"


def worst(answers: Iterable[Answer]) -> Answer:
    """The worst of `answers`, which are one or more."""
    return max(answers, key=ANSWERS.index)
