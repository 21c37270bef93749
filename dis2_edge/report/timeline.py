"""Draw a stream: which sensors were usable when, how sure the mask could be, and how long each tick took."""

from __future__ import annotations

from itertools import groupby

from dis2_edge.report.plots import WIDTH, ms
from dis2_edge.report.schema import Stream, Tick
from dis2_edge.report.svg import dot, drawing, line, path, rect, round_steps, words
from dis2_edge.scenario import BLIND

_LEFT, _RIGHT = 70.0, 16.0
_SPAN = WIDTH - _LEFT - _RIGHT
_STRIP, _MIOU, _LATENCY = (20.0, 24.0), (66.0, 56.0), (146.0, 70.0)
"""Top and height of the three lanes."""
_MOST_DOTS = 700
_ROOM_FOR_NAME = 7.5
"""Width that one letter of a scenario's name needs in the strip."""

Change = tuple[float, str, str, tuple[str, ...]]
"""Time in seconds, scenario before, scenario after, what was said of the sensors that were not used."""


def timeline(stream: Stream, styles: dict[str, str]) -> str:
    """Three lanes over one time axis: scenario, its measured mIoU, latency. `styles` gives each scenario's colour."""
    last = max(stream.ticks[-1].time_s, 1e-9)
    scale = _SPAN / (last + last / len(stream.ticks))
    parts = [*_time_axis(last, scale), *_strip(stream, scale, styles), *_miou(stream, scale), *_latency(stream, scale)]
    return drawing(WIDTH, 246, parts, f"Timeline of {stream.name}")


def changes(stream: Stream) -> list[Change]:
    """Every tick at which the scenario became another one."""
    pairs = zip(stream.ticks, stream.ticks[1:], strict=False)
    return [(new.time_s, old.scenario, new.scenario, new.reasons) for old, new in pairs if old.scenario != new.scenario]


def _time_axis(last: float, scale: float) -> list[str]:
    bottom = _LATENCY[0] + _LATENCY[1]
    parts = []
    for value in round_steps(last, 8):
        if value <= last * 1.001:
            x = _LEFT + value * scale
            parts += [line(x, 12, x, bottom, "grid"), words(x, bottom + 15, f"{value:g} s", "tick", "middle")]
    return parts


def _strip(stream: Stream, scale: float, styles: dict[str, str]) -> list[str]:
    """Bands of equal scenario; held masks are underlined."""
    top, height = _STRIP
    parts = [words(_LEFT - 8, top + 16, "scenario", "tick", "end")]
    ends = [tick.time_s for tick in stream.ticks[1:]] + [stream.ticks[-1].time_s * (1 + 1 / len(stream.ticks))]
    spans = list(zip(stream.ticks, ends, strict=True))
    for scenario, group in groupby(spans, key=lambda span: span[0].scenario):
        band = list(group)
        x, end = _LEFT + band[0][0].time_s * scale, _LEFT + band[-1][1] * scale
        style = "blind" if scenario == BLIND else styles.get(scenario, "sc6")
        told = f"{scenario} from {band[0][0].time_s:.2f} s, {len(band)} ticks"
        parts.append(rect(x, top, max(end - x, 0.8), height, style, told))
        if end - x > _ROOM_FOR_NAME * len(scenario) + 8:
            parts.append(words((x + end) / 2, top + 16.5, scenario, "inband", "middle"))
    for tick, end in spans:
        if tick.held:
            parts.append(rect(_LEFT + tick.time_s * scale, top + height + 2, (end - tick.time_s) * scale, 4, "held"))
    return parts


def _miou(stream: Stream, scale: float) -> list[str]:
    """The measured mIoU of the scenario that flew, as a staircase; a gap while blind."""
    top, height = _MIOU
    known = [tick.expected_miou for tick in stream.ticks if tick.expected_miou is not None]
    if not known:
        return []
    low, high = max(0.0, min(known) - 0.08), min(1.0, max(known) + 0.05)
    parts = [words(_LEFT - 8, top + height / 2 + 4, "mIoU", "tick", "end")]
    end_s = stream.ticks[-1].time_s * (1 + 1 / len(stream.ticks))
    ends = [tick.time_s for tick in stream.ticks[1:]] + [end_s]
    spans = zip(stream.ticks, ends, strict=True)
    for share, group in groupby(spans, key=lambda span: span[0].expected_miou):
        band = list(group)
        if share is not None:
            y = top + height * (1 - (share - low) / (high - low))
            x, end = _LEFT + band[0][0].time_s * scale, _LEFT + band[-1][1] * scale
            parts.append(path([(x, y), (end, y)], "stair"))
            if end - x > 34:
                parts.append(words((x + end) / 2, y - 5, f"{100 * share:.1f} %", "value", "middle"))
    return parts


def _latency(stream: Stream, scale: float) -> list[str]:
    top, height = _LATENCY
    highest = max(tick.latency_ms for tick in stream.ticks)
    steps = round_steps(highest, 3)
    parts = [words(_LEFT - 8, top - 12, "latency", "tick", "end")]
    for value in steps:
        y = top + height * (1 - value / steps[-1])
        parts += [line(_LEFT, y, WIDTH - _RIGHT, y, "grid"), words(_LEFT - 8, y + 4, f"{value:g} ms", "tick", "end")]
    for tick in _thinned(stream.ticks):
        y = top + height * (1 - tick.latency_ms / steps[-1])
        told = f"{tick.time_s:.2f} s: {tick.scenario}, {ms(tick.latency_ms)} ms"
        parts.append(dot(_LEFT + tick.time_s * scale, y, 1.8, "tickdot", told))
    return parts


def _thinned(ticks: tuple[Tick, ...]) -> list[Tick]:
    """At most so many ticks, the slowest of each bin, so that no peak is lost."""
    size = -(-len(ticks) // _MOST_DOTS)
    return [max(ticks[start : start + size], key=lambda tick: tick.latency_ms) for start in range(0, len(ticks), size)]
