"""The guard: tried again, reloaded, another rung, out of service, and back."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dis2_edge.errors import EngineError
from dis2_runtime.engine import Answer
from dis2_runtime.guard import REST, EngineGuard, Rung

SERVED = ("rgb+ndsm", "rgb", "ndsm")


class Bad:
    """An engine that fails as it is told: `script(scenario)` may raise."""

    def __init__(self, script) -> None:
        self.script, self.closed = script, False

    scenarios = SERVED

    def __enter__(self):
        return self

    def __exit__(self, *rest) -> None:
        self.closed = True

    def infer(self, scenario, frames, into=None) -> Answer:
        self.script(scenario)
        return Answer.empty(2, 2)


def failing(times: int, error: Exception | None = None):
    """A script that fails so many times, whoever asks."""
    left = [times]

    def script(scenario: str) -> None:
        if left[0]:
            left[0] -= 1
            raise error or EngineError("out of luck")

    return script


def guarded(*scripts) -> tuple[EngineGuard, list[Bad]]:
    """A guard of one rung a script, and the engines that it has opened."""
    opened: list[Bad] = []

    def rung(name: str, script) -> Rung:
        return Rung(name, lambda: opened.append(Bad(script)) or opened[-1])

    names = ("int8", "fp32")
    return EngineGuard([rung(names[place], script) for place, script in enumerate(scripts)]), opened


@pytest.mark.parametrize(
    ("failures", "rung", "engines"),
    [(0, "int8", 1), (1, "int8, tried again", 1), (2, "int8, reloaded", 2), (3, "fp32, in place of a failed one", 3)],
)
def test_ladder_is_climbed_step_by_step_and_told(failures, rung, engines) -> None:
    guard, opened = guarded(failing(failures), failing(0))
    with guard:
        guard.infer("rgb", {})
        assert guard.describe("rgb").startswith(rung)
        assert (failures == 0) == ("out of luck" not in guard.describe("rgb"))
    assert len(opened) == engines
    assert all(engine.closed for engine in opened)


def test_second_try_is_told_once_and_a_stand_in_for_the_rest_of_the_flight() -> None:
    guard, _ = guarded(failing(1), failing(0))
    with guard:
        guard.infer("rgb", {})
        guard.infer("rgb", {})
        assert guard.describe("rgb") == "int8"
    guard, opened = guarded(failing(3), failing(0))
    with guard:
        for _ in range(5):
            guard.infer("rgb", {})
        assert guard.describe("rgb").startswith("fp32, in place of a failed one")
        assert guard.describe("ndsm") == "int8"
    assert len(opened) == 3


def test_what_fails_everywhere_is_out_of_service_and_tried_again_later() -> None:
    def only_both(scenario: str) -> None:
        if scenario == "rgb+ndsm":
            raise EngineError("broken file")

    guard, _ = guarded(only_both, only_both)
    with guard:
        with pytest.raises(EngineError, match=r"failed on int8, fp32: EngineError: broken file"):
            guard.infer("rgb+ndsm", {})
        assert guard.scenarios == ("rgb", "ndsm")
        for _ in range(REST):
            guard.infer("rgb", {})
        assert guard.scenarios == SERVED


def test_when_nothing_is_left_everything_is_tried_again() -> None:
    guard, _ = guarded(failing(9))
    with guard:
        for scenario in SERVED:
            with pytest.raises(EngineError):
                guard.infer(scenario, {})
        assert guard.scenarios == SERVED
        guard.infer("rgb", {})


@pytest.mark.parametrize("error", [RuntimeError("driver"), MemoryError(), ValueError("x"), OSError(5, "gone")])
def test_whatever_a_driver_throws_is_met(error) -> None:
    guard, _ = guarded(failing(1, error))
    with guard:
        guard.infer("rgb", {})
        assert type(error).__name__ in guard.describe("rgb")


def test_engine_that_cannot_be_reloaded_gives_way_to_the_next_rung() -> None:
    opened = []

    def first():
        opened.append(1)
        if len(opened) > 1:
            raise EngineError("file gone")
        return Bad(failing(9))

    with EngineGuard([Rung("int8", first), Rung("fp32", lambda: Bad(failing(0)))]) as guard:
        guard.infer("rgb", {})
        assert guard.describe("rgb").startswith("fp32")


def test_first_engine_that_cannot_be_opened_is_refused_at_once() -> None:
    def broken():
        raise EngineError("no such model")

    with pytest.raises(EngineError, match="no such model"), EngineGuard([Rung("int8", broken)]):
        pass


def test_successor_has_engines_of_its_own() -> None:
    guard, opened = guarded(failing(0))
    with guard:
        other = guard.successor()
        other.infer("rgb", {})
        assert len(opened) == 2
        assert other.scenarios == SERVED
        assert "stalled" in other.describe("rgb")


@given(st.lists(st.sampled_from(["rgb+ndsm", "rgb", "ndsm"]), max_size=40), st.lists(st.booleans(), max_size=300))
def test_any_sequence_of_failures_answers_or_says_why(asked, fails) -> None:
    luck = iter(fails)

    def script(scenario: str) -> None:
        if next(luck, False):
            raise EngineError("unlucky")

    guard, opened = guarded(script, script)
    with guard:
        for scenario in asked:
            assert guard.scenarios
            with contextlib.suppress(EngineError):
                assert isinstance(guard.infer(scenario, {}, None).mask, np.ndarray)
    assert all(engine.closed for engine in opened)
