"""Draw a stream: which sensors were usable when, how sure the mask could be, and how long each tick took."""

from __future__ import annotations

from itertools import groupby

from dis2_edge.report.plots import WIDTH, ms
from dis2_edge.report.schema import Stream, Tick
from dis2_edge.report.svg import dot, drawing, line, rect, round_steps, words
from dis2_edge.scenario import BLIND

_LEFT, _RIGHT = 70.0, 16.0
_SPAN = WIDTH - _LEFT - _RIGHT
_STRIP, _MIOU, _LATENCY = (20.0, 24.0), (66.0, 56.0), (146.0, 70.0)
"""Top and height of the three lanes."""
_MOST_DOTS = 700
_ROOM_FOR_NAME = 7.5
"""Width that one letter of a scenario's name needs in the strip."""

Change = tuple[float, str, str, str]
"""Time in seconds, scenario before, scenario after, why."""


def timeline(stream: Stream, styles: dict[str, str]) -> str:
    """Three lanes over one time axis: scenario, its measured mIoU, latency. `styles` gives each scenario's colour."""
    first, ends = stream.ticks[0].time_s, _ends(stream)
    place = _Place(first, _SPAN / max(ends[-1] - first, 1e-9))
    parts = [*_time_axis(first, ends[-1], place), *_strip(stream, ends, place, styles)]
    parts += [*_miou(stream, ends, place), *_latency(stream, place)]
    return drawing(WIDTH, 246, parts, f"Timeline of {stream.name}")


def changes(stream: Stream) -> list[Change]:
    """Every tick at which the scenario became another one."""
    pairs = zip(stream.ticks, stream.ticks[1:], strict=False)
    return [(new.time_s, old.scenario, new.scenario, new.why) for old, new in pairs if old.scenario != new.scenario]


class _Place:
    """Where a moment of the stream stands on the drawing."""

    def __init__(self, first_s: float, units_per_s: float) -> None:
        self._first_s, self._units_per_s = first_s, units_per_s

    def __call__(self, time_s: float) -> float:
        return _LEFT + (time_s - self._first_s) * self._units_per_s


def _ends(stream: Stream) -> list[float]:
    """When each tick's mask gives way to the next; the last one lasts as long as the mean tick."""
    times = [tick.time_s for tick in stream.ticks]
    mean_s = (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else 1.0
    return [*times[1:], times[-1] + mean_s]


def _time_axis(first_s: float, end_s: float, place: _Place) -> list[str]:
    bottom = _LATENCY[0] + _LATENCY[1]
    parts = []
    for value in round_steps(end_s, 8):
        if first_s <= value <= end_s:
            parts += [line(place(value), 12, place(value), bottom, "grid")]
            parts += [words(place(value), bottom + 15, f"{value:g} s", "tick", "middle")]
    return parts


def _strip(stream: Stream, ends: list[float], place: _Place, styles: dict[str, str]) -> list[str]:
    """Bands of equal scenario; masks that are not fresh are underlined."""
    top, height = _STRIP
    parts = [words(_LEFT - 8, top + 16, "scenario", "tick", "end")]
    spans = list(zip(stream.ticks, ends, strict=True))
    for scenario, group in groupby(spans, key=lambda span: span[0].scenario):
        band = list(group)
        x, end = place(band[0][0].time_s), place(band[-1][1])
        style = "blind" if scenario == BLIND else styles.get(scenario, "sc6")
        told = f"{scenario} from {band[0][0].time_s:.2f} s, {len(band)} ticks"
        parts.append(rect(x, top, max(end - x, 0.8), height, style, told))
        if end - x > _ROOM_FOR_NAME * len(scenario) + 8:
            parts.append(words((x + end) / 2, top + 16.5, scenario, "inband", "middle"))
    for state, group in groupby(spans, key=lambda span: span[0].state):
        band = list(group)
        if state != "fresh":
            x, end = place(band[0][0].time_s), place(band[-1][1])
            parts.append(rect(x, top + height + 2, end - x, 4, state, f"{state}, {len(band)} ticks"))
    return parts


def _miou(stream: Stream, ends: list[float], place: _Place) -> list[str]:
    """The measured mIoU of the scenario that flew, as a staircase; a gap while there was no fresh mask."""
    top, height = _MIOU
    known = [tick.expected_miou for tick in stream.ticks if tick.expected_miou is not None]
    if not known:
        return []
    low, high = max(0.0, min(known) - 0.08), min(1.0, max(known) + 0.05)
    parts = [words(_LEFT - 8, top + height / 2 + 4, "mIoU", "tick", "end")]
    for share, group in groupby(zip(stream.ticks, ends, strict=True), key=lambda span: span[0].expected_miou):
        band = list(group)
        if share is not None:
            y = top + height * (1 - (share - low) / (high - low))
            x, end = place(band[0][0].time_s), place(band[-1][1])
            parts.append(line(x, y, end, y, "stair"))
            if end - x > 44:
                parts.append(words((x + end) / 2, y - 5, f"{100 * share:.1f} %", "value", "middle"))
    return parts


def _latency(stream: Stream, place: _Place) -> list[str]:
    top, height = _LATENCY
    steps = round_steps(max(tick.latency_ms for tick in stream.ticks), 3)
    parts = [words(_LEFT - 8, top - 12, "latency", "tick", "end")]
    for value in steps:
        y = top + height * (1 - value / steps[-1])
        parts += [line(_LEFT, y, WIDTH - _RIGHT, y, "grid"), words(_LEFT - 8, y + 4, f"{value:g} ms", "tick", "end")]
    for tick in _thinned(stream.ticks):
        y = top + height * (1 - tick.latency_ms / steps[-1])
        told = f"{tick.time_s:.2f} s: {tick.scenario}, {ms(tick.latency_ms)} ms"
        parts.append(dot(place(tick.time_s), y, 1.8, "tickdot", told))
    return parts


def _thinned(ticks: tuple[Tick, ...]) -> list[Tick]:
    """At most so many ticks, the slowest of each bin, so that no peak is lost."""
    size = -(-len(ticks) // _MOST_DOTS)
    return [max(ticks[start : start + size], key=lambda tick: tick.latency_ms) for start in range(0, len(ticks), size)]
