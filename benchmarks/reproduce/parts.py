"""A data set's table part by part, such as day and night: means over seeds, from the counts of every image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmarks.reproduce.bars import Groups
from benchmarks.reproduce.cells import NOTHING, markdown
from dis2_edge.scenario import all_scenarios
from dis2_edge.scores import scores
from dis2_train.judging.parts import part_of

if TYPE_CHECKING:
    from dis2_train.judging.evaluation import Evaluation


def scored(run: Evaluation, condition: str, measure: str) -> float:
    """The measure of one run over all of its images, 0..1."""
    found = scores(run.counts[condition].sum(axis=0))
    return found.miou if measure == "miou" else found.iou[run.classes.index(measure.removeprefix("iou "))]


def by_part(groups: Groups, sensors: Sequence[str], parts: Sequence[str], measure: str, told: str) -> list[str]:
    """One line a row: the measure in every scenario on the images whose ids end in each of `parts`."""
    if not parts:
        return []
    scenarios = all_scenarios(tuple(sensors))
    images = next(iter(groups.values()))[0].ids
    of = {part: [id_ for id_ in images if id_.endswith(f"_{part}")] for part in parts}
    kept = {part: ids for part, ids in of.items() if ids}
    rows = [
        [line, *(" / ".join(_mean(runs, ids, scenario, measure) for scenario in scenarios) for ids in kept.values())]
        for line, runs in groups.items()
    ]
    head = ["network", *(f"{part}, {len(ids)} images" for part, ids in kept.items())]
    return [f"{told} by part of the images, {' / '.join(scenarios)}, per cent:", markdown(head, rows)]


def _mean(runs: Sequence[Evaluation], ids: Sequence[str], scenario: str, measure: str) -> str:
    found = [scored(part_of(run, ids), scenario, measure) for run in runs if scenario in run.counts]
    return f"{100 * sum(found) / len(found):.1f}" if found else NOTHING
