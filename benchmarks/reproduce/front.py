"""The README's table: the decisive lines of one data set on its final split, in its readers' words."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.reproduce.cells import markdown, percent
from benchmarks.reproduce.lines import groups_of
from benchmarks.reproduce.plan import Plan
from benchmarks.reproduce.records import Record
from dis2_train.judging.comparison import compare

BEGIN = "<!-- made by `python -m benchmarks.reproduce table` from records -->"
END = "<!-- end of the table -->"
MISSING = "not yet"
"""Stands where no finished run was judged on the final split."""

_ORDER = ("ours", "rival", "single", "paper", "ablation")


def table(plan: Plan, found: Mapping[str, Record]) -> str:
    """One line for each that the plan puts on the front: seeds, and the measure in every scenario, in per cent."""
    shown = sorted((row for row in plan.row if row.front), key=lambda row: _ORDER.index(row.role))
    lines = {row.group: row.front for row in shown}
    (data,) = {row.data for row in shown}
    names, measure = plan.data[data].sensors, f"iou {plan.data[data].bar}"
    groups = groups_of(plan, data, found, plan.data[data].final)
    held = {line: runs for line, runs in groups.items() if line in lines}
    compared = {row.name: row for row in compare(held).rows} if held else {}
    head = ["network", "seeds", "both sensors", *(f"{plan.data[data].called.get(name, name)} alone" for name in names)]
    rows = []
    for line, words in lines.items():
        if line not in compared:
            rows.append([words, *[MISSING] * (len(head) - 1)])
            continue
        scores = [compared[line].scores.get(scenario, {}).get(measure) for scenario in ("+".join(names), *names)]
        rows.append([words, str(len(set(compared[line].seeds))), *map(percent, scores)])
    return markdown(head, rows)
