"""Goldens: recorded inputs, with what every model file answers to them, by which a board proves its engine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dis2_edge.dataset import DataSet
from dis2_edge.goldens import answers_at, write_golden
from dis2_edge.manifest import Golden
from dis2_edge.task import Task
from dis2_quantize.judging.judge import Candidate, Runner

GOLDENS = 3


def record(
    models: Mapping[Candidate, Runner], data: DataSet, task: Task, split: str, folder: Path
) -> tuple[Golden, ...]:
    """Write goldens of images spread over `split` into `folder`/goldens; equal inputs give equal bytes."""
    ids = data.ids(split)
    chosen = [ids[place] for place in sorted({round(step) for step in np.linspace(0, len(ids) - 1, GOLDENS)})]
    goldens = []
    for number, name in enumerate(chosen):
        arrays: dict[str, npt.NDArray[Any]] = dict(data.on_grid(data.read(split, name), task).frames)
        frames = dict(arrays)
        for candidate, model in models.items():
            answer = model.run(frames)
            arrays[f"{place_of(candidate)}/mask"] = answer.mask
            arrays[f"{place_of(candidate)}/confidence"] = answer.confidence
        file = f"goldens/{number}.npz"
        write_golden(folder / file, arrays)
        goldens.append(Golden(name=f"{split} {name}", file=file))
    return tuple(goldens)


def place_of(candidate: Candidate) -> str:
    """Under which name the answers of a file stand in a golden."""
    return answers_at(candidate.scenario, candidate.precision, candidate.dialect)
