"""Draw where a tick's time goes: the stages one after the other at their medians, whiskers to p95 and p99."""

from __future__ import annotations

from collections.abc import Mapping

from dis2_edge.percentiles import Percentile, Spread
from dis2_edge.report.plots import WIDTH, ms
from dis2_edge.report.svg import drawing, line, rect, round_steps, words

TOTAL = "total"
ORDER = ("health", "align", "engine", "sink", "rest")
"""Stages in the order of a tick; `rest` is what of the total no stage explains, waiting above all."""
_TOLD = {"sink": "hand-off to sinks", "rest": "rest and waiting", TOTAL: "whole tick"}
_LEFT, _RIGHT, _ROW, _TOP = 150.0, 400.0, 28.0, 26.0
_SPAN = WIDTH - _LEFT - _RIGHT
_COLUMNS = {"p50": WIDTH - 275, "p95": WIDTH - 140, "p99": WIDTH}


def waterfall(stages: Mapping[str, Spread]) -> str:
    """One row a stage and one for the whole tick. Medians of stages need not add up to the median of the whole."""
    names = [name for name in (*ORDER, TOTAL) if name in stages and stages[name].p50 is not None]
    reach = _reach(stages, names)
    steps = round_steps(reach, 5)
    scale, bottom = _SPAN / steps[-1], _TOP + _ROW * len(names)
    parts = []
    for value in steps:
        x = _LEFT + value * scale
        parts += [line(x, _TOP - 6, x, bottom, "grid"), words(x, bottom + 15, f"{value:g} ms", "tick", "middle")]
    parts += [words(x, 14, f"{name}, ms [95 %]", "tick", "end") for name, x in _COLUMNS.items()]
    begin = 0.0
    for place, name in enumerate(names):
        y = _TOP + place * _ROW
        parts += _row(name, stages[name], 0.0 if name == TOTAL else begin, y, scale)
        begin += _median(stages[name])
    return drawing(WIDTH, bottom + 22, parts, "Where the time of a tick goes")


def bounded(value: Percentile | None) -> str:
    """A percentile with its bounds; a dash for what so few samples cannot tell."""
    if value is None:
        return "–"
    low, high = ("–" if bound is None else ms(bound) for bound in (value.low_ms, value.high_ms))
    return f"{ms(value.ms)} [{low}, {high}]"


def _row(name: str, spread: Spread, begin: float, y: float, scale: float) -> list[str]:
    median = _median(spread)
    x, end = _LEFT + begin * scale, _LEFT + (begin + median) * scale
    told = f"{name}: " + ", ".join(f"{key} {bounded(getattr(spread, key))}" for key in _COLUMNS) + f", n {spread.n}"
    parts = [words(_LEFT - 10, y + 14, _TOLD.get(name, name), "head" if name == TOTAL else "name", "end")]
    for key, height in (("p95", 6.0), ("p99", 3.0)):
        reach: Percentile | None = getattr(spread, key)
        if reach is not None:
            far = _LEFT + (begin + reach.ms) * scale
            parts += [
                line(end, y + 9, far, y + 9, "whisker int8"),
                line(far, y + 9 - height, far, y + 9 + height, "mark"),
            ]
    parts.append(rect(x, y + 1, max(end - x, 1.0), 16, "net0" if name == TOTAL else "int8", told))
    return parts + [words(at, y + 14, bounded(getattr(spread, key)), "value", "end") for key, at in _COLUMNS.items()]


def _reach(stages: Mapping[str, Spread], names: list[str]) -> float:
    """How far the longest whisker goes."""
    begin, most = 0.0, 0.0
    for name in names:
        far = stages[name].p99 or stages[name].p95 or stages[name].p50
        most = max(most, (0.0 if name == TOTAL else begin) + (far.ms if far else 0.0))
        begin += _median(stages[name])
    return most


def _median(spread: Spread) -> float:
    return spread.p50.ms if spread.p50 else 0.0
