"""The bars that are asked of each of our networks, in words, with what came of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from benchmarks.reproduce import verdict
from benchmarks.reproduce.lines import ours_of
from benchmarks.reproduce.plan import Plan

if TYPE_CHECKING:
    from dis2_train.judging.evaluation import Evaluation

Groups = Mapping[str, Sequence["Evaluation"]]


def verdicts(plan: Plan, data: str, groups: Groups, measure: str, told: str) -> list[str]:
    """For each family whose network is among `groups`: its bar, and each verdict on it."""
    lines = []
    for family, ours in ours_of(plan, data).items():
        if ours in groups:
            asked = _csknet(ours) if family == "csknet" else _dis2(ours)
            lines += [asked, "\n".join(f"- {one}" for one in _judged(plan, data, family, ours, groups, measure, told))]
    return lines


def _judged(plan: Plan, data: str, family: str, ours: str, groups: Groups, measure: str, told: str) -> Iterator[str]:
    rows = [row for row in plan.rows_of(data) if row.family == family and row.group in groups]
    singles = list(dict.fromkeys(row.group for row in rows if row.role == "single"))
    infrared = plan.data[data].infrared if family == "csknet" else ""
    found = verdict.against_singles(ours, singles, groups, measure, infrared) if singles else []
    for one in sorted(found, key=lambda one: not (one.weak or one.gain)):
        yield verdict.sentence(one, told)
    for row in rows:
        held = row.against or ours
        if row.role == "paper" and held in groups:
            yield verdict.sentence(verdict.against_paper(held, row.group, groups), "mIoU")
    if infrared and measure != "miou":
        for one in verdict.against_singles(ours, singles, groups, "miou", infrared) if singles else ():
            if one.gain:
                yield f"As its authors count: {verdict.sentence(one, 'mIoU')}"
    others = {row.group for row in plan.rows_of(data) if row.family != family and row.role == "single"} & set(groups)
    for one in verdict.against_singles(ours, sorted(others), groups, measure) if others else ():
        yield f"Beside the bar: {verdict.outcome(one, told)}."
    if len(found) < len(plan.data[data].sensors):
        yield "Networks of single sensors are still missing for a whole verdict."


def _dis2(ours: str) -> str:
    least = verdict.points(verdict.WEAK_POINTS / 100)
    return (
        f"**The bar.** {ours} with one sensor lost, less the better of two networks trained for the other alone, "
        "DIS2's parts and a U-Net (chosen by the same images, which favours it): "
        f"at least {least} points where the weak sensor is left, not below elsewhere; "
        "and against `paper` not below by more than 0.3. In brackets 95 % intervals."
    )


def _csknet(ours: str) -> str:
    return (
        f"**The bar of {ours}.** With one sensor lost it flies a plain DeepLabV3 of the other; less the same network "
        "trained for that sensor alone: a gain where the infrared sensor is left, or the one that stands in its place, "
        "and not below elsewhere. In brackets 95 % intervals."
    )
