"""Draw flights through faults: a strip a fault, with the scenario that flew, and mIoU before, during and after."""

from __future__ import annotations

from collections.abc import Sequence

from dis2_edge.report.plots import WIDTH
from dis2_edge.report.svg import drawing, line, rect, round_steps, words
from dis2_edge.report.through import Phase, Span, Through
from dis2_edge.scenario import BLIND

_LEFT, _RIGHT, _ROW, _TOP = 150.0, 230.0, 26.0, 34.0
_SPAN = WIDTH - _LEFT - _RIGHT
_COLUMNS = (WIDTH - 150, WIDTH - 75, WIDTH)


def strips(flights: Sequence[Through], styles: dict[str, str]) -> str:
    """One row a flight, all over one time axis. `styles` gives each scenario's colour."""
    seconds = max(flight.seconds for flight in flights)
    bottom = _TOP + _ROW * len(flights)
    scale = _SPAN / seconds
    parts = []
    for value in round_steps(seconds, 6):
        if value <= seconds:
            x = _LEFT + value * scale
            parts += [line(x, _TOP - 6, x, bottom, "grid"), words(x, bottom + 15, f"{value:g} s", "tick", "middle")]
    for x, name in zip(_COLUMNS, ("mIoU before", "during", "after, %"), strict=True):
        parts.append(words(x, 20, name, "tick", "end"))
    for place, flight in enumerate(flights):
        parts += _strip(flight, _TOP + place * _ROW, scale, styles)
    for edge in (flights[0].start_s, flights[0].end_s):
        x = _LEFT + edge * scale
        parts.append(line(x, _TOP - 8, x, bottom, "mark"))
    middle = _LEFT + (flights[0].start_s + flights[0].end_s) / 2 * scale
    parts.append(words(middle, 20, "fault", "head", "middle"))
    return drawing(WIDTH, bottom + 22, parts, "Scenario and accuracy through each fault")


def _strip(flight: Through, y: float, scale: float, styles: dict[str, str]) -> list[str]:
    parts = [words(_LEFT - 10, y + 14, f"{flight.sensor} {flight.kind}", "name", "end")]
    ends = [*(span.start_s for span in flight.spans[1:]), flight.seconds]
    for span, end_s in zip(flight.spans, ends, strict=True):
        x, width = _LEFT + span.start_s * scale, (end_s - span.start_s) * scale
        parts.append(rect(x, y, max(width, 0.6), 15, _style(span, styles), _told(span, end_s)))
        if span.state != "fresh":
            parts.append(rect(x, y + 16, max(width, 0.6), 3, span.state, _told(span, end_s)))
    for x, phase, style in zip(
        _COLUMNS, (flight.before, flight.during, flight.after), ("tick", "value", "tick"), strict=True
    ):
        parts.append(words(x, y + 13, _percent(phase), style, "end"))
    return parts


def _style(span: Span, styles: dict[str, str]) -> str:
    return "blind" if span.scenario == BLIND else styles.get(span.scenario, "sc6")


def _told(span: Span, end_s: float) -> str:
    return f"{span.start_s:.2f} to {end_s:.2f} s: {span.scenario}, {span.state}"


def _percent(phase: Phase) -> str:
    return f"{100 * phase.miou:.1f}" if phase.ticks else "–"
