"""How often a model is called until its time is told: slow ones less often, but never too few times."""

from __future__ import annotations

import math
from typing import Any

import pytest

from dis2_runtime.profiling import measure
from dis2_runtime.profiling.measure import time_scenario


class Engine:
    """Answers nothing, and counts."""

    def infer(self, scenario: str, frames: Any, into: Any) -> None:
        self.seen = [*getattr(self, "seen", []), frames["turn"]]


@pytest.mark.parametrize(
    ("call_ms", "seconds", "warm_up_s", "warm", "timed"),
    [
        (1.0, 5.0, math.inf, 10, 100),  # a quick one: all of them
        (100.0, 5.0, math.inf, 10, 41),  # what fits in 5 s with the warm-up, and the call that passes it
        (1000.0, 5.0, math.inf, 10, 20),  # a slow one: the fewest
        (400.0, 5.0, 1.0, 3, 20),  # its warm-up ends with the call that passes a second
        (9000.0, 5.0, 1.0, 1, 20),
    ],
)
def test_calls_until_a_time_is_told(
    monkeypatch: pytest.MonkeyPatch, call_ms: float, seconds: float, warm_up_s: float, warm: int, timed: int
) -> None:
    engine = Engine()

    def took(call: Any) -> float:
        call()
        return call_ms

    monkeypatch.setattr(measure, "time_ms", took)
    frames: Any = [{"turn": 0}, {"turn": 1}]
    found = time_scenario(engine, "rgb", frames, (2, 2), 100, seconds, 20, warm_up_s)  # type: ignore[arg-type]
    assert (found.warm_up, found.n, found.median_ms) == (warm, timed, call_ms)
    assert len(engine.seen) == warm + timed
    assert engine.seen[:3] in ([0, 1, 0], [0, 0, 1])
