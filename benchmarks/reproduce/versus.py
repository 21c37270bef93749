"""DIS2 or CSK-Net? One table over all data sets, from the records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from benchmarks.reproduce.cells import NOTHING, interval, markdown, percent
from benchmarks.reproduce.lines import groups_of, ours_of
from benchmarks.reproduce.plan import DataPlan, Plan
from benchmarks.reproduce.records import Record
from dis2_train.judging.comparison import Comparison, Estimate, compare

if TYPE_CHECKING:
    from dis2_train.judging.evaluation import Evaluation

TITLE = "## DIS2 or CSK-Net?"
HEAD = ("data", "split", "measure", "seeds", "what is left", "DIS2", "CSK-Net", "CSK-Net less DIS2", "GFLOP")
KINDS = ("full", "single", "mean")


def section(plan: Plan, found: Mapping[str, Record]) -> list[str]:
    """The table and what it comes to; one sentence where no data set has both networks yet."""
    both = {name: ours for name in plan.data if len(ours := ours_of(plan, name)) > 1}
    if not both:
        return []
    rows, differences = [], []
    for name, ours in both.items():
        for groups, split in _judged(plan, name, found, list(ours.values())):
            for cells, difference in _rows(name, plan.data[name], split, ours, groups):
                rows.append(cells)
                differences.append(difference)
    if not rows:
        return [TITLE, "No data set has finished runs of both networks yet."]
    return [TITLE, _answer(plan, rows, differences), markdown(HEAD, rows)]


def _judged(
    plan: Plan, name: str, found: Mapping[str, Record], ours: Sequence[str]
) -> Iterator[tuple[dict[str, list[Evaluation]], str]]:
    """Of the final split if both networks were judged on it, else of the other one."""
    data = plan.data[name]
    for split in filter(None, (data.final, data.split)):
        groups = {line: runs for line, runs in groups_of(plan, name, found, split).items() if line in ours}
        if len(groups) > 1:
            yield groups, split
            return


def _rows(
    name: str, data: DataPlan, split: str, ours: Mapping[str, str], groups: Mapping[str, Sequence[Evaluation]]
) -> Iterator[tuple[list[str], Estimate]]:
    dis2, csknet = ours["dis2"], ours["csknet"]
    measure, told = (f"iou {data.bar}", f"IoU of *{data.bar}*") if data.bar else ("miou", "mIoU")
    compared = compare({line: groups[line] for line in (dis2, csknet)}, dis2)
    seeds = " and ".join(str(len(set(compared.row(line).seeds))) for line in (dis2, csknet))
    for condition in (one.name for one in compared.conditions if one.kind in KINDS):
        scores = [compared.row(line).scores.get(condition, {}).get(measure) for line in (dis2, csknet)]
        difference = compared.row(csknet).differences.get(condition, {}).get(measure)
        if difference is not None:
            told_scores = [percent(one) for one in scores]
            start = [f"`{name}`", split, told, seeds, condition]
            yield [*start, *told_scores, interval(difference), _gflop(compared, (dis2, csknet), condition)], difference


def _gflop(compared: Comparison, lines: Sequence[str], condition: str) -> str:
    costs = [compared.row(line).costs.get(condition) for line in lines]
    return " and ".join(NOTHING if cost is None else f"{cost.gflop:.2f}" for cost in costs) if any(costs) else NOTHING


def _answer(plan: Plan, rows: Sequence[Sequence[str]], differences: Sequence[Estimate]) -> str:
    ahead = {sign: sum(one.verdict == sign for one in differences) for sign in ("better", "worse")}
    even = len(differences) - sum(ahead.values())
    judged = len({row[0] for row in rows})
    seeds = {int(count) for row in rows for count in row[3].split(" and ")}
    few = " Provisional where one of them has fewer than three seeds." if min(seeds) < 3 else ""
    return (
        f"{judged} of {len(plan.data)} data sets have finished runs of both. Of the {len(differences)} rows below "
        f"CSK-Net is ahead in {ahead['better']}, DIS2 in {ahead['worse']}, and {even} are not settled: the 95 % "
        "interval holds 0. Widths are such that with one sensor left both take equal operations, within 11 %; with "
        "both sensors CSK-Net runs two branches and takes up to twice as many. GFLOP: of DIS2 and of CSK-Net."
        f"{few}"
    )
