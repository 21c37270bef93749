"""What a comparison and an evaluation print: tables that fit 100 columns, all figures in per cent or points."""

from __future__ import annotations

from collections.abc import Sequence

from dis2_edge.errors import UserError
from dis2_edge.scenario import sensors_of
from dis2_edge.settings import nearest
from dis2_edge.terminal import say, table
from dis2_train.judging.comparison import Comparison, Estimate, Row
from dis2_train.judging.conditions import Condition

_MARK = {"better": "+", "worse": "-"}
_LEADING = ("full", "single", "mean")
"""Kinds of conditions whose differences are printed; JSON and the page hold all."""
FEW_CLASSES = 2
"""So few that each class's IoU is always shown."""


def print_comparison(found: Comparison, lead: str = "miou") -> None:
    """Three tables: the lead measure in every condition, its differences with intervals, the further scores."""
    overview(found, lead)
    differences(found, lead)
    further(found, lead)
    by_part(found, lead)
    for line in notes(found):
        say(line)


def print_evaluation(found: Comparison, lead: str = "miou") -> None:
    """A line a condition with every score, and IoU of each class where there are more than two."""
    row, shown = found.rows[0], _class_measures(found, lead)
    columns = ["condition", "mIoU", "95 %", "F1", "OA", "worst", *map(measure_words, shown), "Mpar", "GFLOP"]
    lines = []
    for condition in found.conditions:
        scores = row.scores.get(condition.name, {})
        if scores:
            cells = [percent(scores.get(name)) for name in ("mean_f1", "oa", "worst_iou", *shown)]
            costs = _costs(row, condition)
            lines.append([told(condition), percent(scores.get("miou")), interval(scores.get("miou")), *cells, *costs])
    table(f"{row.name} on {_what(found)}, per cent", columns, lines)
    if len(found.classes) > FEW_CLASSES:
        _print_classes(found, row)
    by_part(found, lead)
    say(f"95 %: over {found.resamples} resamples of the {found.images} images.")
    say(MEANING)


def overview(found: Comparison, lead: str) -> None:
    """A line a row, a column a condition: what is left with sensors lost, and under noise where that was judged."""
    lost = [condition for condition in found.conditions if condition.kind in ("full", "single", "mean", "failing")]
    _overview(found, lead, lost, f"{_what(found)}: {measure_words(lead)}, per cent")
    noise = [condition for condition in found.conditions if condition.kind in ("full", "noise")]
    if any(condition.name in row.scores for row in found.rows for condition in noise[1:]):
        _overview(found, lead, noise, f"noise on every sensor: {measure_words(lead)}, per cent")


def _overview(found: Comparison, lead: str, conditions: Sequence[Condition], title: str) -> None:
    shown = [row for row in found.rows if any(condition.name in row.scores for condition in conditions)]
    lines = [[named(row), *(_marked(row, condition.name, lead) for condition in conditions)] for row in shown]
    table(title, ["network", *(told(condition) for condition in conditions)], lines)
    say("")


def differences(found: Comparison, lead: str) -> None:
    """For each leading condition: every row's score, and its difference to the reference."""
    compared = bool(found.reference)
    columns = ["condition", "network", measure_words(lead), "95 %"]
    columns += ["points", "95 %", "surely"] if compared else []
    lines = []
    for condition in found.conditions:
        if condition.kind in _LEADING:
            rows = [row for row in found.rows if lead in row.scores.get(condition.name, {})]
            for turn, row in enumerate(rows):
                lines.append([told(condition) if not turn else "", *_difference(row, condition.name, lead, compared)])
    title = f"difference to {found.reference}, points of {measure_words(lead)}" if compared else "intervals"
    table(title, columns, lines)
    say("")


def further(found: Comparison, lead: str) -> None:
    """For each row and scenario the other scores, and what it costs."""
    shown = _class_measures(found, lead)
    columns = ["network", "scenario", "mIoU", "F1", "OA", "worst", *map(measure_words, shown), "Mpar", "GFLOP"]
    lines = []
    for row in found.rows:
        turn = 0
        for condition in found.conditions:
            if condition.kind in ("full", "single", "part") and condition.name in row.scores:
                scores = row.scores[condition.name]
                cells = [percent(scores.get(name)) for name in ("miou", "mean_f1", "oa", "worst_iou", *shown)]
                lines.append([named(row) if not turn else "", condition.name, *cells, *_costs(row, condition)])
                turn += 1
    table("further scores, per cent", columns, lines)
    say("")


def by_part(found: Comparison, lead: str) -> None:
    """For each part of the images, where there are any: the lead measure of every row in every scenario."""
    shown = [condition for condition in found.conditions if condition.kind in ("full", "single", "part", "mean")]
    lines = [
        ["" if turn else name, "" if turn else part.images, named(row), *(_marked(row, c.name, lead) for c in shown)]
        for name, part in found.parts.items()
        for turn, row in enumerate(part.rows)
    ]
    if lines:
        columns = ["part", "images", "network", *(told(condition) for condition in shown)]
        table(f"by part: {measure_words(lead)}, per cent", columns, lines)
        say("")


def notes(found: Comparison) -> list[str]:
    """What the tables mean, in as few lines as it takes."""
    seeds = ", and of seeds" if any(len(set(row.seeds)) > 1 for row in found.rows) else ""
    lines = [f"95 %: over {found.resamples} resamples of the {found.images} images, the same for all rows{seeds}."]
    if found.reference:
        lines.append(f"+, better, -, worse: the interval of the difference to {found.reference} leaves out 0.")
    if any(len(set(row.seeds)) == 1 for row in found.rows):
        lines.append("A row of one seed tells nothing of how another seed would do: its interval is of images alone.")
    return [*lines, MEANING]


MEANING = """\
mean: over all scenarios; p: expected when each sensor fails with that probability and one is left;
~: noise on every sensor, see docs/comparing.md; worst: the worst class's IoU."""


def lead_measure(name: str, classes: Sequence[str]) -> str:
    """The measure that leads: mIoU, or the IoU of the class `name`, which an unknown one is refused for."""
    if not name:
        return "miou"
    if name not in classes:
        raise UserError(f"no class is called {name!r}", mend=nearest(name, classes))
    return f"iou {name}"


def measure_words(measure: str) -> str:
    """A measure as people write it."""
    return {"miou": "mIoU", "mean_f1": "mean F1", "oa": "OA", "worst_iou": "worst class IoU"}.get(
        measure, f"IoU {measure.removeprefix('iou ')}"
    )


def told(condition: Condition) -> str:
    """The name of a condition in a table: noise without the sensors that it is on."""
    return f"~{condition.name.partition('~')[2]}" if condition.kind == "noise" else condition.name


def named(row: Row) -> str:
    """A row's name, and how many seeds it is of where there are several."""
    seeds = len(set(row.seeds))
    return f"{row.name} x{seeds}" if seeds > 1 else row.name


def percent(found: Estimate | None) -> str:
    """A share in per cent, one digit; a dash where there is none."""
    return "-" if found is None else f"{100 * found.value:.1f}"


def interval(found: Estimate | None, sign: str = "") -> str:
    """The interval of an estimate in per cent or points."""
    return "-" if found is None else f"[{100 * found.low:{sign}.1f}, {100 * found.high:{sign}.1f}]"


def _marked(row: Row, condition: str, lead: str) -> str:
    found = row.scores.get(condition, {}).get(lead)
    less = row.differences.get(condition, {}).get(lead)
    mark = _MARK.get(less.verdict, " ") if less else " "
    return f"{'-':>5} " if found is None else f"{100 * found.value:5.1f}{mark}"


def _difference(row: Row, condition: str, lead: str, compared: bool) -> list[str]:
    found, less = row.scores[condition][lead], row.differences.get(condition, {}).get(lead)
    cells = [named(row), percent(found), interval(found)]
    if not compared:
        return cells
    if less is None:
        return [*cells, "", "", ""]
    return [*cells, f"{100 * less.value:+.1f}", interval(less, "+"), "" if less.verdict == "unsure" else less.verdict]


def _print_classes(found: Comparison, row: Row) -> None:
    names = [c.name for c in found.conditions if c.name in row.scores and c.kind in ("full", "single", "part")]
    lines = [[name, *(percent(row.scores[key].get(f"iou {name}")) for key in names)] for name in found.classes]
    say("")
    table("IoU of each class, per cent", ["class", *names], lines)
    say("")


def _class_measures(found: Comparison, lead: str) -> list[str]:
    if len(found.classes) <= FEW_CLASSES:
        return [f"iou {name}" for name in found.classes]
    return [lead] if lead.startswith("iou ") else []


def _costs(row: Row, condition: Condition) -> list[str]:
    cost = row.costs.get(condition.name)
    if cost is None or not sensors_of(condition.name):
        return ["-", "-"]
    return [f"{cost.parameters / 1e6:.2f}", f"{cost.gflop:.1f}"]


def _what(found: Comparison) -> str:
    return f"{found.dataset}, split {found.split}, {found.images} images of {found.grid[0]}x{found.grid[1]}"
