"""The Pareto front as a picture (SVG): the additive model's line, the points that were made, the chosen one marked."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape

from dis2_edge.report.svg import dot, line, round_steps, words
from dis2_quantize.choosing.choice import Choice, ScenarioChoice, Tried
from dis2_quantize.choosing.front import Point

WIDTH, LEFT, RIGHT, TOP, HEIGHT = 880.0, 74.0, 30.0, 84.0, 320.0
BOTTOM = TOP + HEIGHT
ROW = 21.0
NEAR = 15.0
"""Numbers closer than this would be written over each other."""
COLUMNS = ((LEFT, "start"), (LEFT + 48, "start"), (620.0, "end"), (720.0, "end"), (WIDTH - RIGHT, "end"))
"""Place and anchor of the legend's columns."""
STYLE = """
svg { font: 12px system-ui, "Liberation Sans", sans-serif; }
.paper { fill: #ffffff; } text { fill: #1a2030; } .tick, .note { fill: #5a6374; font-size: 11px; }
.head { font-weight: 650; font-size: 14px; } .strong, .number { font-weight: 650; }
.grid { stroke: #e1e5eb; } .axis { stroke: #8b93a7; } .whisker { stroke: #2f6fde; stroke-opacity: 0.55; }
.model { fill: none; stroke: #8b93a7; stroke-width: 1.6; stroke-dasharray: 4 3; }
.made { fill: #2f6fde; } .chosen { fill: none; stroke: #d9730d; stroke-width: 2.4; } .mark { fill: #d9730d; }
@media (prefers-color-scheme: dark) {
  .paper { fill: #12161e; } text { fill: #e6eaf1; } .tick, .note { fill: #9aa5b6; }
  .grid { stroke: #29313d; } .axis, .model { stroke: #78829a; } .whisker { stroke: #6ea3ff; }
  .made { fill: #6ea3ff; } .chosen { stroke: #f29a45; } .mark { fill: #f29a45; }
}
"""
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

Map = Callable[[float], float]
"""A value to its place on the picture."""


def front_picture(choice: Choice, scenario: ScenarioChoice) -> str:
    """One scenario's front as a whole SVG file that reads on light and dark paper."""
    power = _power(max(tried.damage.high for tried in scenario.tried))
    unit = 10.0**power
    low_ms, high_ms = _span(scenario)
    high = round_steps(max(tried.damage.high for tried in scenario.tried) / unit)
    across: Map = lambda ms: LEFT + (WIDTH - LEFT - RIGHT) * (ms - low_ms) / (high_ms - low_ms)  # noqa: E731
    down: Map = lambda nats: BOTTOM - HEIGHT * nats / unit / high[-1]  # noqa: E731
    parts = _heading(choice, scenario)
    parts += _axes(low_ms, high_ms, high, across, lambda value: down(value * unit), power)
    parts += _model(scenario.front, across, down)
    parts += [part for tried in scenario.tried for part in _made(tried, tried.kept == scenario.kept, across, down)]
    parts += _numbers(scenario.tried, across, down)
    parts += _legend(scenario, unit, power)
    return _whole(parts, BOTTOM + 66 + ROW * (len(scenario.tried) + 1), f"Pareto front of {scenario.scenario}")


def told(kept: Sequence[str], blocks: Sequence[str]) -> str:
    """The blocks `kept` in few words: last parts of their names where these tell them apart, the shorter way round."""
    short = {block: block.rpartition(".")[2] for block in blocks}
    if len(set(short.values())) < len(short):
        short = {block: block for block in blocks}
    rest = [block for block in blocks if block not in kept]
    if not kept:
        return "nothing: all INT8"
    if not rest:
        return "everything: FP32"
    if len(rest) < len(kept):
        return "all but " + ", ".join(short[block] for block in rest)
    return ", ".join(short[block] for block in blocks if block in kept)


def _heading(choice: Choice, scenario: ScenarioChoice) -> list[str]:
    source = f"{choice.board}: {choice.how['ms']}"
    return [
        words(LEFT, 22, f"{scenario.scenario}: what is kept in floating point, and what that buys", "head"),
        words(LEFT, 40, source, "note"),
        dot(WIDTH - RIGHT - 220, 58, 4.5, "made"),
        words(WIDTH - RIGHT - 210, 62, "made and measured", "note"),
        line(WIDTH - RIGHT - 78, 58, WIDTH - RIGHT - 54, 58, "model"),
        words(WIDTH - RIGHT, 62, "by model", "note", "end"),
    ]


def _axes(low: float, high: float, damage: list[float], across: Map, down: Map, power: int) -> list[str]:
    parts = []
    for value in damage:
        parts += [line(LEFT, down(value), WIDTH - RIGHT, down(value), "grid")]
        parts += [words(LEFT - 8, down(value) + 4, f"{value:g}", "tick", "end")]
    step = round_steps(high - low, 6)[1]
    for place in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1):
        x = across(place * step)
        parts += [line(x, TOP, x, BOTTOM, "grid"), words(x, BOTTOM + 16, f"{place * step:g}", "tick", "middle")]
    parts.append(line(LEFT, BOTTOM, WIDTH - RIGHT, BOTTOM, "axis"))
    parts.append(words(WIDTH - RIGHT, BOTTOM + 33, "latency, ms", "tick", "end"))
    parts.append(words(LEFT, TOP - 8, f"divergence from FP32 (KL), {_times(power)} nats", "tick"))
    return parts


def _model(front: Sequence[Point], across: Map, down: Map) -> list[str]:
    path = " ".join(f"{across(point.ms):.1f},{down(max(point.damage, 0.0)):.1f}" for point in front)
    return [f'<polyline class="model" points="{path}"/>']


def _made(tried: Tried, chosen: bool, across: Map, down: Map) -> list[str]:
    x, y = across(tried.ms.value), down(tried.damage.value)
    parts = [
        line(across(tried.ms.low), y, across(tried.ms.high), y, "whisker"),
        line(x, down(tried.damage.low), x, down(tried.damage.high), "whisker"),
        dot(x, y, 4.5, "made", f"{tried.ms.value:.2f} ms, {tried.damage.value:.2e} nats"),
    ]
    return [*parts, dot(x, y, 9, "chosen")] if chosen else parts


def _numbers(tried: Sequence[Tried], across: Map, down: Map) -> list[str]:
    """A number at each point, right above it, or higher up where another number stands."""
    placed: list[tuple[float, float]] = []
    for one in tried:
        x, y = across(one.ms.value) + 8, down(one.damage.value) - 10
        while any(abs(x - other) < NEAR and abs(y - above) < NEAR for other, above in placed):
            y -= NEAR
        placed.append((min(x, WIDTH - 12), y))
    return [words(x, y, str(number), "number") for number, (x, y) in enumerate(placed, 1)]


def _legend(scenario: ScenarioChoice, unit: float, power: int) -> list[str]:
    top = BOTTOM + 62
    heads = ["point", "kept in floating point", "ms", f"{_times(power)} nats", "mIoU lost, points"]
    parts = [words(x, top, head, "note", anchor) for (x, anchor), head in zip(COLUMNS, heads, strict=True)]
    blocks = [row.block for row in scenario.blocks]
    for number, tried in enumerate(scenario.tried, 1):
        y, chosen = top + ROW * number, tried.kept == scenario.kept
        kept = told(tried.kept, blocks)
        cells = [str(number), kept if len(kept) < 70 else f"{len(tried.kept)} of {len(blocks)} blocks"]
        cells += [f"{tried.ms.value:.2f}", f"{tried.damage.value / unit:.2f}", f"{round(tried.drop, 2) + 0.0:.2f}"]
        cells[1] += "  (chosen)" if chosen else ""
        style = "strong" if chosen else ""
        parts += [words(x, y, cell, style, anchor) for (x, anchor), cell in zip(COLUMNS, cells, strict=True)]
        if chosen:
            parts.append(dot(LEFT - 12, y - 4, 4, "mark"))
    return parts


def _span(scenario: ScenarioChoice) -> tuple[float, float]:
    """Least and largest millisecond shown: all that is drawn, with a little room."""
    shown = [ms for tried in scenario.tried for ms in (tried.ms.low, tried.ms.high, tried.ms.value)]
    shown += [point.ms for point in scenario.front]
    room = 0.05 * (max(shown) - min(shown)) or 0.5
    return min(shown) - room, max(shown) + room


def _power(highest: float) -> int:
    """The power of ten, a multiple of three, that makes `highest` a number of one to three digits."""
    return 3 * math.floor(math.log10(highest) / 3) if highest > 0 else 0


def _times(power: int) -> str:
    return f"10{str(power).translate(_RAISED)}" if power else ""


def _whole(parts: Sequence[str], height: float, label: str) -> str:
    view = f'viewBox="0 0 {WIDTH:g} {height:g}" width="{WIDTH:g}" height="{height:g}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {view} role="img" aria-label="{escape(label)}">'
    paper = f'<rect class="paper" width="{WIDTH:g}" height="{height:g}"/>'
    return f"{head}<style>{STYLE}</style>{paper}{''.join(parts)}</svg>\n"
