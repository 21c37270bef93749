"""Which evaluations may stand side by side, and which member of a row answers which condition."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dis2_edge.errors import DataError
from dis2_train.judging.evaluation import Evaluation


def check_alike(evaluations: Sequence[Evaluation]) -> None:
    """Raise DataError unless all are of the same split, classes, grid, images and truth."""
    if not evaluations:
        raise DataError("a comparison of nothing", expected="one evaluation or more in every row")
    first = evaluations[0]
    for other in evaluations[1:]:
        for what in ("dataset", "split", "classes", "grid"):
            found, expected = getattr(other, what), getattr(first, what)
            if found != expected:
                raise DataError(
                    f"{other.label} was judged on {what} {_told(found)}",
                    expected=f"{_told(expected)}, as {first.label}",
                    mend="a paired comparison needs the same images, pixels and classes for all",
                )
        if other.ids != first.ids or not np.array_equal(_truth(other), _truth(first)):
            raise DataError(
                f"{other.label} and {first.label} were judged on different images or labels of {first.dataset}",
                expected="the same for all",
                mend="evaluate both anew on the data as they are now",
            )


def answering(row: str, members: Sequence[Evaluation]) -> dict[str, list[Evaluation]]:
    """Condition -> the members that answer it, which must be runs of one network, differing in the seed.

    Where the members read different sensors, noise on all sensors is left out unless one kind reads them all.
    """
    found: dict[str, list[Evaluation]] = {}
    for member in members:
        for condition in member.counts:
            found.setdefault(condition, []).append(member)
    for condition, several in found.items():
        kinds = {(one.sensors, one.network, one.precision): one.label for one in several}
        if len(kinds) > 1:
            raise DataError(
                f"in the row {row!r} both {' and '.join(list(kinds.values())[:2])} answer {condition!r}",
                expected="runs of one network, or networks of different sensors",
                mend="put them into rows of their own",
            )
    return found


def run_name(evaluation: Evaluation) -> str:
    """What tells a run from every other one."""
    parts = (evaluation.label, evaluation.network, evaluation.precision, evaluation.seed, evaluation.model)
    return " ".join(map(str, parts))


def _truth(evaluation: Evaluation) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """(N, K) labelled pixels of each class in each image."""
    truth: np.ndarray[tuple[int, ...], np.dtype[np.int64]] = next(iter(evaluation.counts.values())).sum(axis=2)
    return truth


def _told(value: object) -> str:
    if not isinstance(value, tuple):
        return str(value)
    return "x".join(map(str, value)) if all(isinstance(part, int) for part in value) else ", ".join(map(str, value))
