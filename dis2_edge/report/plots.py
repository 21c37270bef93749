"""The report's plots: accuracy by scenario, IoU by class, and latency as boxes."""

from __future__ import annotations

import math

import numpy as np

from dis2_edge.report.schema import Measured, Profiled, Report
from dis2_edge.report.svg import drawing, line, rect, round_steps, words

WIDTH = 1020.0
_LEFT, _RIGHT = 190.0, 70.0
_SPAN = WIDTH - _LEFT - _RIGHT
_ROOM_FOR_VALUE = 44.0


def by_scenario(report: Report) -> str:
    """Mean IoU of each scenario, one bar a bundle (INT8 where measured), a mark where its FP32 stands."""
    scenarios = _scenarios(report)
    step, top = 24.0 * len(report.bundles) + 16, 8.0
    parts = _share_axis(top, top + step * len(scenarios) - 8)
    for place, scenario in enumerate(scenarios):
        y = top + place * step
        parts.append(words(_LEFT - 10, y + 12.0 * len(report.bundles) + 4, scenario, "name", "end"))
        for turn, bundle in enumerate(report.bundles):
            bars = _pair(bundle, scenario)
            miou = {kind: row.scores.miou for kind, row in bars.items()}
            parts += _share_bar(y + 24 * turn + 2, 20, miou, f"net{turn % 4}", f"{bundle.name}, {scenario}")
    return drawing(WIDTH, top + step * len(scenarios) + 16, parts, "Mean IoU of each scenario")


def by_class(bundle: Profiled, styles: dict[str, str]) -> str:
    """IoU of each class, one bar a scenario (INT8 where measured) in its style, a mark where its FP32 stands."""
    scenarios = list(dict.fromkeys(row.scenario for row in bundle.rows))
    step, top = 15.0 * len(scenarios) + 12, 6.0
    parts = _share_axis(top, top + step * len(bundle.classes) - 6)
    for index, name in enumerate(bundle.classes):
        y = top + index * step
        parts.append(
            f'<rect x="{_LEFT - 22:g}" y="{y + 7.5 * len(scenarios) - 5:g}" width="11" height="11" rx="2" '
            f'fill="{bundle.colours[index]}" class="swatch"/>'
        )
        parts.append(words(_LEFT - 30, y + 7.5 * len(scenarios) + 5, name, "name", "end"))
        for turn, scenario in enumerate(scenarios):
            iou = {kind: row.scores.iou[index] for kind, row in _pair(bundle, scenario).items()}
            parts += _share_bar(y + 15 * turn + 1, 12, iou, styles[scenario], f"{name}, {scenario}")
    return drawing(WIDTH, top + step * len(bundle.classes) + 14, parts, f"IoU of each class, {bundle.name}")


def latencies(report: Report) -> str:
    """Each model's calls as a box (quartiles), whiskers (5 % to 95 %), the median a line and in figures."""
    rows = [(bundle, row) for bundle in report.bundles for row in bundle.rows]
    highest = max(float(np.percentile(row.latency.samples_ms, 95)) for _, row in rows)
    steps = round_steps(highest * 1.05)
    scale, y, top = _SPAN / steps[-1], 8.0, 8.0
    parts: list[str] = []
    for place, (bundle, row) in enumerate(rows):
        if not place or rows[place - 1][0] is not bundle:
            y += 30 if place else 20
            parts.append(words(0, y - 5, bundle.name, "head"))
        parts += _box(row, y, scale, steps[-1])
        y += 24
    axis = []
    for value in steps:
        axis.append(line(_LEFT + value * scale, top + 14, _LEFT + value * scale, y, "grid"))
        axis.append(words(_LEFT + value * scale, y + 14, f"{value:g}", "tick", "middle"))
    axis.append(words(WIDTH, top + 6, "median, ms", "tick", "end"))
    return drawing(WIDTH, y + 20, axis + parts, "Latency of each scenario and precision")


def ms(value: float | None) -> str:
    """Milliseconds with three digits that count; `-` when there are none."""
    if value is None or math.isnan(value):
        return "–"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def _scenarios(report: Report) -> list[str]:
    return list(dict.fromkeys(row.scenario for bundle in report.bundles for row in bundle.rows))


def _pair(bundle: Profiled, scenario: str) -> dict[str, Measured]:
    return {row.precision: row for row in bundle.rows if row.scenario == scenario}


def _share_axis(top: float, bottom: float) -> list[str]:
    parts = []
    for percent in range(0, 101, 20):
        x = _LEFT + _SPAN * percent / 100
        parts += [line(x, top - 4, x, bottom, "grid"), words(x, bottom + 15, f"{percent} %", "tick", "middle")]
    return parts


def _share_bar(y: float, height: float, shares: dict[str, float], style: str, title: str) -> list[str]:
    """A bar of the INT8 share (else of what there is), with FP32 (on a board FP16) as an upright mark."""
    kind = "int8" if "int8" in shares else next(iter(shares), "")
    share = shares.get(kind, math.nan)
    if math.isnan(share):
        return [words(_LEFT + 4, y + height - 3, "does not occur" if kind else "not served", "tick")]
    told = f"{title}: " + ", ".join(f"{name.upper()} {100 * value:.2f} %" for name, value in shares.items())
    before = shares.get("fp32", shares.get("fp16", math.nan)) if kind == "int8" else math.nan
    parts = [rect(_LEFT, y, _SPAN * share, height, style, told)]
    if not math.isnan(before):
        parts.append(line(_LEFT + _SPAN * before, y - 1, _LEFT + _SPAN * before, y + height + 1, "mark"))
    low, high = (share, share) if math.isnan(before) else (min(share, before), max(share, before))
    if _SPAN * low > _ROOM_FOR_VALUE:  # inside, left of the mark, so that nobody reads it as the mark's
        parts.append(words(_LEFT + _SPAN * low - 6, y + height / 2 + 4, f"{100 * share:.1f}", "inside", "end"))
    else:
        parts.append(words(_LEFT + _SPAN * high + 5, y + height / 2 + 4, f"{100 * share:.1f}", "value"))
    return parts


def _box(row: Measured, y: float, scale: float, highest: float) -> list[str]:
    latency = row.latency
    low, first, third, high = np.percentile(latency.samples_ms, (5, 25, 75, 95))
    style = "int8" if row.precision == "int8" else "fp32"
    told = f"{row.scenario} {row.precision}: median {ms(latency.median_ms)} ms, p95 {ms(latency.p95_ms)}, n {latency.n}"
    at = [_LEFT + min(float(value), highest) * scale for value in (low, first, latency.median_ms, third, high)]
    return [
        words(_LEFT - 10, y + 14, f"{row.scenario}  {row.precision.upper()}", "name", "end"),
        line(at[0], y + 10, at[4], y + 10, f"whisker {style}"),
        rect(at[1], y + 3, max(at[3] - at[1], 1.5), 14, f"box {style}", told),
        line(at[2], y + 1, at[2], y + 19, "median"),
        words(WIDTH, y + 14, ms(latency.median_ms), "value", "end"),
    ]
