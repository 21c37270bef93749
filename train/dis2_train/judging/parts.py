"""A comparison on parts of the images: those that the data set's description names, such as day and night."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from dis2_train.judging.comparison import Comparison, compare
from dis2_train.judging.evaluation import Evaluation

FEWEST = 8
"""Images from which an interval of a difference is told at all; of one image it would be no wider than a point."""


def with_parts(
    found: Comparison, rows: Mapping[str, Sequence[Evaluation]], named: Mapping[str, Sequence[str]]
) -> Comparison:
    """`found`, which `compare` made of `rows`, with the same comparison on each of `named`: name -> ids of images.

    A part without images is left out, and one of a few has scores without differences. Nothing is judged again: all
    follows from the counts of every image.
    """
    parts = {}
    for name, ids in named.items():
        if ids:
            members = {row: [part_of(one, ids) for one in several] for row, several in rows.items()}
            part = compare(members, found.reference or None, resamples=found.resamples)
            parts[name] = part if len(ids) >= FEWEST else _without_differences(part)
    return dataclasses.replace(found, parts=parts)


def part_of(evaluation: Evaluation, ids: Sequence[str]) -> Evaluation:
    """`evaluation` as if those of its images that `ids` names had been all."""
    wanted = set(ids)
    kept = np.array([id_ in wanted for id_ in evaluation.ids])
    return dataclasses.replace(
        evaluation,
        ids=tuple(id_ for id_ in evaluation.ids if id_ in wanted),
        counts={condition: counts[kept] for condition, counts in evaluation.counts.items()},
    )


def _without_differences(part: Comparison) -> Comparison:
    return dataclasses.replace(part, rows=tuple(dataclasses.replace(row, differences={}) for row in part.rows))
