"""Outcomes made by hand, for tests of sinks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from dis2_edge.task import Task
from dis2_runtime.outcome import MaskState, Outcome
from dis2_runtime.ticks import Tick


def outcome_of(
    task: Task,
    number: int,
    state: MaskState = "fresh",
    frames: Mapping[str, npt.NDArray[Any]] | None = None,
    rate_hz: float = 10.0,
) -> Outcome:
    """The outcome of tick `number`: a mask of its own for each fresh tick, the ignore index when blind."""
    random = np.random.default_rng(number)
    blind, fresh = state == "blind", state == "fresh"
    mask = np.full(task.grid, task.ignore, np.uint8) if blind else random.integers(0, 2, task.grid).astype(np.uint8)
    return Outcome(
        tick=Tick(number, round(number / rate_hz * 1e9), "rate"),
        mask=mask,
        state=state,
        mask_age_ms=None if blind else 0.0 if fresh else 100.0,
        scenario=task.full if fresh else "blind",
        why="all sensors" if fresh else "rgb off: silent",
        expected_miou=0.8 if fresh else None,
        confidence=0.9 if fresh else None,
        sensors={},
        confidence_map=random.integers(0, 256, task.grid).astype(np.uint8) if fresh else None,
        frames=frames or {},
    )
