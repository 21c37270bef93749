"""Cells of the page's tables: scores in per cent, differences in points, and tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.reproduce.verdict import points
from dis2_train.judging.comparison import Estimate
from dis2_train.judging.comparison import Row as Line

NOTHING = "–"
"""Where there is no score."""


def percent(found: Estimate | None) -> str:
    """A score in per cent."""
    return NOTHING if found is None else f"{100 * found.value:.1f}"


def interval(found: Estimate | None) -> str:
    """A difference in points with its 95 % interval."""
    return NOTHING if found is None else f"{points(found.value)} [{points(found.low)}, {points(found.high)}]"


def costs(row: Line) -> list[str]:
    """Parameters in millions and GFLOP of the fullest scenario; of networks of one sensor each, all of theirs."""
    most = max((scenario.count("+") for scenario in row.costs), default=0)
    shown = [cost for scenario, cost in row.costs.items() if scenario.count("+") == most]
    if not shown:
        return [NOTHING, NOTHING]
    return [
        " + ".join(dict.fromkeys(f"{cost.parameters / 1e6:.2f}" for cost in shown)),
        " + ".join(dict.fromkeys(f"{cost.gflop:.2f}" for cost in shown)),
    ]


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
