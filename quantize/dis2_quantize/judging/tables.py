"""What a person is told of a verdict: a table of all files, what was missed and by how much, what to type next."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dis2_edge.quantities import percent
from dis2_edge.terminal import say, table
from dis2_quantize.judging.drops import Drop
from dis2_quantize.judging.verdict import Held, Row, Timing, Verdict

COLUMNS = ("precision", "dialect", "scenario", "mIoU", "drop [95 %]", "worst class", "agree", "ms", "MB", "verdict")
COLOURS = {"pass": "green", "FAIL": "bold red"}


def show(verdict: Verdict) -> None:
    """Print the table of all files, and under it what its figures are."""
    title = f"{verdict.dataset}, {verdict.split}, {verdict.images} images: per cent, and points lost against FP32"
    table(title, COLUMNS, [_cells(verdict, row) for row in verdict.rows], COLOURS)
    for line in _notes(verdict):
        say(line)


def sentences(verdict: Verdict, qrun: Path) -> Iterator[str]:
    """The verdict in words: kept, or each limit that was missed and where to look."""
    limits = verdict.limits
    asked = f"at most {limits.max_drop:g} points of mIoU and {limits.max_class_drop:g} of any class may be lost"
    if verdict.passed is None:
        yield f"verdict: none ({asked}); no file could be held against FP32: ask for --precision fp32,int8"
        return
    yield f"verdict: {'pass' if verdict.passed else 'FAIL'} ({asked})"
    for held in verdict.held():
        if held.missed or not held.is_sure:
            yield f"  {_told(held)}"
    for row in verdict.rows:
        if row.overflow:
            where = f"{row.scenario}, {row.precision} {row.dialect}: {row.overflow}"
            yield f"  {where} passes what FP16 may hold (ranges.json); leave that file out, or train again"
    for sheet in dict.fromkeys(miss.row.worst for miss in verdict.misses() if miss.row.worst):
        yield f"  worst tiles: {qrun / sheet}"


def _told(held: Held) -> str:
    row, drop = held.row, held.drop
    lost = f"{'IoU of ' + repr(held.name) if held.name else 'mIoU'} lost {_interval(drop)} points"
    by = f"{drop.points - held.limit:.3g} more than the {held.limit:g} allowed" if held.missed else "within the limit"
    unsure = "" if held.is_sure else "; the interval holds the limit, so other images might decide otherwise"
    return f"{row.scenario}, {row.precision} {row.dialect}: {lost}, {by}{unsure}"


def _cells(verdict: Verdict, row: Row) -> tuple[str, ...]:
    judged = verdict.is_judged(row)
    return (
        row.precision,
        row.dialect,
        row.scenario,
        percent(row.miou),
        _interval(row.drop) if row.drop else "-",
        _worst_class(verdict, row),
        percent(row.agreement),
        "-" if row.median_ms is None else f"{row.median_ms:.1f}",
        f"{row.bytes / 1e6:.1f}",
        "-" if not judged else "pass" if verdict.kept(row) else "FAIL",
    )


def _worst_class(verdict: Verdict, row: Row) -> str:
    """What the class that lost most lost, and its name."""
    lost = [(drop.points, name) for name, drop in zip(verdict.classes, row.class_drops, strict=True) if drop]
    return f"{_points(max(lost)[0])} {max(lost)[1]}" if lost else "-"


def _notes(verdict: Verdict) -> Iterator[str]:
    interval = f"drop: points lost, [95 % of {verdict.resamples} resamples of the images]"
    yield f"{interval}; agree: pixels that say what FP32 says"
    yield _clocked(verdict.timing)
    if any(row.median_ms is None for row in verdict.rows):
        yield "ms -: a file for another engine; int8 was judged by ONNX Runtime, whose time says nothing of it"
    if any(row.precision == "fp16" for row in verdict.rows):
        yield "fp16: judged by a simulation that rounds every intermediate to half; no engine ran it"
    if verdict.absent:
        yield f"not judged, as no label of {verdict.split} has them: {', '.join(verdict.absent)}"


def _clocked(timing: Timing) -> str:
    machine = timing.machine
    packages = ", ".join(f"{name} {version}" for name, version in machine.packages.items())
    how = f"median of {timing.n} calls in turn after {timing.warm_up}, {timing.threads} threads"
    return f"ms: {how}, {machine.cpu}, {packages}; it decides nothing"


def _interval(drop: Drop) -> str:
    return f"{_points(drop.points)} [{_points(drop.low)}, {_points(drop.high)}]"


def _points(value: float) -> str:
    """Two decimals, and no minus before a zero."""
    return f"{round(value, 2) + 0.0:.2f}"
