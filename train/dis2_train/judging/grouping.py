"""Rows of a comparison: runs that differ in their seed alone stand together, and the user may name rows."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from dis2_edge.errors import UserError
from dis2_train.judging.evaluation import Evaluation

_SEED_WORD = re.compile(r"[-_. ]*(seed|s)?[-_. ]*$")


def named_groups(words: Iterable[str]) -> dict[str, list[Path]]:
    """`NAME=RUN,RUN,...` to name -> paths; UserError where that is not the form, or a name stands twice."""
    groups: dict[str, list[Path]] = {}
    for word in words:
        name, equals, runs = word.partition("=")
        paths = list(dict.fromkeys(Path(run.strip()) for run in runs.split(",") if run.strip()))
        if not (name.strip() and equals and paths):
            raise UserError(f"--group {word!r}", expected="NAME=RUN,RUN,...")
        if name.strip() in groups:
            raise UserError(f"--group {name.strip()!r} stands twice", mend="name all of its runs in one --group")
        groups[name.strip()] = paths
    return groups


def rows_of(
    runs: Sequence[tuple[Path, Evaluation]], groups: Mapping[str, Sequence[Path]]
) -> dict[str, list[Evaluation]]:
    """Row name -> evaluations. A run that a group names stands there only; the others by recipe, a seed each."""
    found = dict(runs)
    taken = {path for paths in groups.values() for path in paths}
    alike: dict[tuple[str, int], list[Path]] = {}
    for path, evaluation in found.items():
        if path not in taken:
            alike.setdefault(_place(evaluation, path, found, alike), []).append(path)
    rows: dict[str, list[Evaluation]] = {}
    for paths in alike.values():
        rows[_free(_name(paths, found), paths, {*rows, *groups})] = [found[path] for path in paths]
    return {**rows, **{name: [found[path] for path in paths] for name, paths in groups.items()}}


def _place(
    evaluation: Evaluation, path: Path, found: Mapping[Path, Evaluation], alike: Mapping[tuple[str, int], list[Path]]
) -> tuple[str, int]:
    """The group of equal recipes that has no run of this seed yet; what tells no recipe or seed stands alone."""
    if not evaluation.recipe or evaluation.seed is None:
        return str(path), 0
    turn = 0
    while evaluation.seed in [found[other].seed for other in alike.get((evaluation.recipe, turn), [])]:
        turn += 1
    return evaluation.recipe, turn


def _name(paths: Sequence[Path], found: Mapping[Path, Evaluation]) -> str:
    """What the labels begin with alike, less the word for a seed."""
    labels = [found[path].label for path in paths]
    if len(set(labels)) == 1:
        return labels[0]
    return _SEED_WORD.sub("", _beginning(labels)) or found[paths[0]].network or labels[0]


def _beginning(labels: Sequence[str]) -> str:
    """The letters that all labels begin with."""
    alike = itertools.takewhile(lambda letters: len(set(letters)) == 1, zip(*labels, strict=False))
    return "".join(letters[0] for letters in alike)


def _free(name: str, paths: Sequence[Path], taken: set[str]) -> str:
    """`name`, with the folder's before it or a number behind it where it is taken."""
    if name not in taken:
        return name
    told = f"{paths[0].resolve().parent.name}/{name}"
    turn = 2
    while told in taken:
        told, turn = f"{name} {turn}", turn + 1
    return told
