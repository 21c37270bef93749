"""The forest plot of a comparison: each row's difference to the reference as a dot, its 95 % interval as a line."""

from __future__ import annotations

import math

from dis2_edge.report.svg import dot, drawing, line, words
from dis2_train.judging.comparison import Comparison, Estimate

WIDTH = 1020.0
_LEFT, _RIGHT = 250.0, 190.0
_SPAN = WIDTH - _LEFT - _RIGHT
_STEP = 24.0
_KINDS = ("full", "single", "part", "mean")


def forest(found: Comparison, lead: str) -> str:
    """Differences of the measure `lead` in points, a block a condition; '' where there is nothing to set apart."""
    blocks = _blocks(found, lead)
    if not blocks:
        return ""
    every = [one for _, rows in blocks for _, one in rows]
    steps = _steps(100 * min(one.low for one in every), 100 * max(one.high for one in every))
    y, parts = 8.0, []
    for condition, rows in blocks:
        parts.append(words(0, y + 17, condition, "head"))
        for name, estimate in rows:
            parts += _one(name, estimate, y, steps)
            y += _STEP
        y += 10
    return drawing(WIDTH, y + 34, [*_axis(steps, y, found.reference), *parts], f"Differences to {found.reference}")


def _blocks(found: Comparison, lead: str) -> list[tuple[str, list[tuple[str, Estimate]]]]:
    blocks = []
    for condition in found.conditions:
        rows = [
            (row.name, row.differences[condition.name][lead])
            for row in found.rows
            if lead in row.differences.get(condition.name, {})
        ]
        if condition.kind in _KINDS and rows:
            blocks.append((condition.name, rows))
    return blocks


def _one(name: str, found: Estimate, y: float, steps: list[float]) -> list[str]:
    style = found.verdict
    low, value, high = (_x(100 * share, steps) for share in (found.low, found.value, found.high))
    figures = f"{100 * found.value:+.1f}  [{100 * found.low:+.1f}, {100 * found.high:+.1f}]".replace("-", "−")
    return [
        words(_LEFT - 12, y + 16, name, "name", "end"),
        line(low, y + 12, high, y + 12, f"reach {style}"),
        line(low, y + 8, low, y + 16, f"reach {style}"),
        line(high, y + 8, high, y + 16, f"reach {style}"),
        dot(value, y + 12, 4.5, f"mid {style}", f"{name}: {figures}"),
        words(WIDTH, y + 16, figures, f"value {style}", "end"),
    ]


def _axis(steps: list[float], bottom: float, reference: str) -> list[str]:
    parts = []
    for value in steps:
        x = _x(value, steps)
        parts.append(line(x, 2, x, bottom, "mark" if value == 0 else "grid"))
        parts.append(words(x, bottom + 14, f"{value:+g}".replace("-", "−") if value else "0", "tick", "middle"))
    parts.append(words(_x(0, steps) - 12, bottom + 30, f"← worse than {reference}", "tick", "end"))
    parts.append(words(_x(0, steps) + 12, bottom + 30, "better, points →", "tick"))
    return parts


def _steps(low: float, high: float) -> list[float]:
    """Round steps that hold `low`..`high` points and at least one step on either side of 0."""
    wanted = max(high, 0.0) - min(low, 0.0) or 0.1
    power = 10.0 ** math.floor(math.log10(wanted / 5))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if 5 * power * factor >= wanted * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(step * place, 9) for place in range(min(first, -1), max(last, 1) + 1)]


def _x(points: float, steps: list[float]) -> float:
    return _LEFT + _SPAN * (points - steps[0]) / (steps[-1] - steps[0])
