"""Several models side by side on the same images: scores, and differences to one of them, with 95 % intervals."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from dis2_edge.errors import DataError, UserError
from dis2_edge.settings import nearest
from dis2_train.judging.bootstrap import Values, draw_images, draw_seeds
from dis2_train.judging.conditions import Condition, conditions_of, joined
from dis2_train.judging.evaluation import Evaluation
from dis2_train.judging.measures import measures_of, needed, resampled
from dis2_train.judging.members import answering, check_alike, run_name

if TYPE_CHECKING:
    from dis2_train.networks.cost import Cost

Verdict = Literal["better", "worse", "same", "unsure"]
INTERVAL = (2.5, 97.5)
RESAMPLES = 2000


@dataclass(frozen=True)
class Estimate:
    """A score, or a difference of two, with its interval; shares 0..1, not per cent."""

    value: float
    """Over all images, averaged over the seeds."""
    low: float
    """2.5th percentile of the resamples."""
    high: float
    """97.5th percentile of the resamples."""

    @property
    def verdict(self) -> Verdict:
        """Of a difference: better or worse where its whole interval is on one side of 0."""
        if self.low > 0:
            return "better"
        if self.high < 0:
            return "worse"
        return "same" if self.low == self.high == 0 else "unsure"


Table = dict[str, dict[str, Estimate]]
"""Condition -> measure -> estimate."""


@dataclass(frozen=True)
class Row:
    """One row of the comparison: a model, the seeds of one, or models of which each answers what it knows."""

    name: str
    """What the tables call it."""
    members: tuple[str, ...]
    """Labels of its runs."""
    networks: tuple[str, ...]
    """Names of their networks, each once."""
    seeds: tuple[int | None, ...]
    """Their seeds, in the members' order."""
    scores: Table
    """Of every condition that it answers; a score that does not exist, such as that of an absent class, is left out."""
    differences: Table = field(default_factory=dict)
    """Its scores less the reference's; empty for the reference."""
    costs: dict[str, Cost] = field(default_factory=dict)
    """Scenario -> parameters and operations, where they are known."""


@dataclass(frozen=True)
class Comparison:
    """All rows, and what they were judged on."""

    dataset: str
    """Name of the data set."""
    split: str
    """The split that was looked at."""
    images: int
    """Number of images."""
    classes: tuple[str, ...]
    """Names of the classes."""
    sensors: tuple[str, ...]
    """The sensors of all rows together."""
    grid: tuple[int, int]
    """Height and width that was judged at."""
    conditions: tuple[Condition, ...]
    """In the order of columns."""
    reference: str
    """The row that differences are taken to; empty where there is but one."""
    rows: tuple[Row, ...]
    """In the order in which they were given."""
    resamples: int
    """Number of bootstrap resamples."""
    parts: dict[str, Comparison] = field(default_factory=dict)
    """The same on parts of the images, such as day and night, by their names; empty where the data set has none."""

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of the measures."""
        return measures_of(self.classes)

    def row(self, name: str) -> Row:
        """The row called `name`."""
        return next(row for row in self.rows if row.name == name)


def compare(
    groups: Mapping[str, Sequence[Evaluation]],
    reference: str | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """Compare rows: name -> the evaluations it is made of, which are seeds of one network, or networks of which each
    answers the scenarios that it knows (one a sensor, say), or both.

    `reference` is the row that differences are taken to; None takes the first. Raises DataError where evaluations are
    not of the same images and classes or two networks of a row answer the same scenario, UserError where `reference`
    is no row.
    """
    every = [evaluation for members in groups.values() for evaluation in members]
    check_alike(every)
    base = _reference(groups, reference)
    first, sensors = every[0], joined(evaluation.sensors for evaluation in every)
    conditions = conditions_of(sensors)
    images = draw_images(len(first.ids), resamples, seed)
    draws = {name: _draws(name, members, conditions, images, seed) for name, members in groups.items()}
    names = measures_of(first.classes)
    rows = tuple(
        Row(
            name=name,
            members=tuple(evaluation.label for evaluation in members),
            networks=tuple(dict.fromkeys(evaluation.network for evaluation in members)),
            seeds=tuple(evaluation.seed for evaluation in members),
            scores=_estimates(draws[name], names),
            differences={} if name == base else _estimates(_less(draws[name], draws[base]), names),
            costs={key: cost for evaluation in members for key, cost in evaluation.costs.items()},
        )
        for name, members in groups.items()
    )
    return Comparison(
        dataset=first.dataset,
        split=first.split,
        images=len(first.ids),
        classes=first.classes,
        sensors=sensors,
        grid=first.grid,
        conditions=conditions,
        reference=base if len(groups) > 1 else "",
        rows=rows,
        resamples=resamples,
    )


def plain(table: Table) -> dict[str, dict[str, list[float]]]:
    """`table` for JSON: [value, low, high] for each condition and measure."""
    return {
        condition: {name: [one.value, one.low, one.high] for name, one in estimates.items()}
        for condition, estimates in table.items()
    }


Draws = dict[str, Values]
"""Condition -> (M, 1 + R): each measure over all images, then over each resample."""


def _reference(groups: Mapping[str, Sequence[Evaluation]], wanted: str | None) -> str:
    if not groups or not all(groups.values()):
        raise DataError("a comparison of nothing", expected="one evaluation or more in every row")
    if wanted is not None and wanted not in groups:
        raise UserError(f"no row is called {wanted!r}", mend=nearest(wanted, groups))
    return wanted or next(iter(groups))


def _draws(
    name: str, members: Sequence[Evaluation], conditions: Sequence[Condition], images: Values, seed: int
) -> Draws:
    """What a row scores under every condition that it can answer whole."""
    whole = np.vstack([np.ones(images.shape[1]), images]).T  # (N, 1 + R)
    measured = {
        key: _averaged(found, key, whole, draw_seeds([run_name(one) for one in found], len(images), seed))
        for key, found in answering(name, members).items()
    }
    return {
        condition.name: sum(share * measured[key] for key, share in condition.weights.items())  # type: ignore[misc]
        for condition in conditions
        if set(condition.weights) <= set(measured)
    }


def _averaged(runs: Sequence[Evaluation], key: str, whole: Values, seeds: Values) -> Values:
    """(M, 1 + R): the measures of condition `key` over each choice of images, averaged over the drawn seeds."""
    weights = np.vstack([np.full((1, len(runs)), 1 / len(runs)), seeds])  # (1 + R, S)
    scored = [resampled(needed(run.counts[key]) @ whole) * weights[:, place] for place, run in enumerate(runs)]
    return functools.reduce(np.add, scored)


def _less(draws: Draws, base: Draws) -> Draws:
    return {name: values - base[name] for name, values in draws.items() if name in base}


def _estimates(draws: Draws, measures: Sequence[str]) -> Table:
    return {condition: _interval(values, measures) for condition, values in draws.items()}


def _interval(values: Values, measures: Sequence[str]) -> dict[str, Estimate]:
    """The estimates of one condition; a resample without a single labelled pixel says nothing new."""
    known = [place for place in range(len(measures)) if not math.isnan(values[place, 0])]
    drawn = values[known, 1:]
    drawn = np.where(np.isnan(drawn), values[known, :1], drawn)
    bounds = np.percentile(drawn, INTERVAL, axis=1).T
    return {
        measures[place]: Estimate(float(values[place, 0]), float(low), float(high))
        for place, (low, high) in zip(known, bounds, strict=True)
    }
