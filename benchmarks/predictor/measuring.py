"""Time model files under ONNX Runtime, in turns: the processor's time of one thread, or the clock on the wall."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from dis2_edge.terminal import progress
from dis2_runtime.engines.onnx_runtime import open_session

WARM_UP = 2
"""Rounds that are not timed."""
Clock = Literal["thread", "wall"]
CLOCKS: Mapping[Clock, Callable[[], int]] = {"thread": time.thread_time_ns, "wall": time.perf_counter_ns}
"""thread: what else the machine does meanwhile is not in it, but it is right for one thread only."""
_TYPES = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32}


def measured(files: Sequence[Path], rounds: int, threads: int, clock: Clock) -> list[list[float]]:
    """Milliseconds of every timed call of each file, one call of each a round."""
    sessions = [open_session(file, threads)[0] for file in files]
    feeds = [_feed(session) for session in sessions]
    now, taken = CLOCKS[clock], [[] for _ in files]  # type: tuple[Callable[[], int], list[list[float]]]
    for turn in progress(range(WARM_UP + rounds), "measure"):
        for place, session in enumerate(sessions):
            start = now()
            session.run(None, feeds[place])
            if turn >= WARM_UP:
                taken[place].append((now() - start) / 1e6)
    return taken


def _feed(session: Any) -> dict[str, Any]:
    """Noise for every input; no operator's time depends on it."""
    random = np.random.default_rng(0)
    inputs = session.get_inputs()
    return {value.name: (random.random(value.shape) * 100).astype(_TYPES[value.type]) for value in inputs}
