"""The stream: a mask for every tick while sensors go silent, freeze, turn to NaN, and come back."""

from __future__ import annotations

import dataclasses
import itertools
import json
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import Memory, ScriptedSource, flown, steady
from tiny_bundle import HEAT, NDSM, RGB, expected, ground, make_bundle, task_of

from dis2_edge.bundle import Bundle, Policy
from dis2_edge.errors import EngineError
from dis2_runtime.align.aligner import Aligner
from dis2_runtime.engines import open_engine, rungs
from dis2_runtime.engines.onnx_runtime import open_model
from dis2_runtime.faults import KINDS, Fault
from dis2_runtime.feed import SteppedFeed
from dis2_runtime.frames import Delivery, Frame
from dis2_runtime.guard import EngineGuard
from dis2_runtime.stream import Limits, Stream

TICK_MS = 100
POLICY = Policy(rate_hz=10, return_after=3, hold_ms=400)
TWO_AND_PAIR = pytest.mark.parametrize("flying", ["two", "pair"], indirect=True)
THREE_AND_PAIR = pytest.mark.parametrize("flying", ["three", "pair"], indirect=True)
LEAVES_WITHIN = {"off": 2, "nan": 1, "garbage": 1, "wrong": 1, "stuck": 4}
"""Nominal periods of the sensor, from the start of a fault, by which the sensor is out."""


def scenarios(outcomes) -> list[str]:
    return [outcome.scenario for outcome in outcomes]


def tick_of(outcomes, condition) -> int:
    return next(outcome.tick.number for outcome in outcomes if condition(outcome))


@pytest.mark.parametrize("kind", LEAVES_WITHIN)
@pytest.mark.parametrize(
    ("flying", "sensor"),
    [("three", RGB), ("three", NDSM), ("three", HEAT), ("pair", RGB), ("pair", HEAT)],
    indirect=["flying"],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_faulty_sensor_leaves_in_time_and_comes_back_in_time(flying: Bundle, sensor, kind) -> None:
    if kind == "nan" and sensor.dtype != "float32":
        return
    if kind == "stuck" and sensor.kind == "height":
        return
    start_s, end_s, tick_s = 2.0, 5.0, TICK_MS / 1e3
    outcomes = flown(flying, 8, [Fault(sensor.name, kind, start_s, end_s - start_s)], policy=POLICY)
    out = [outcome for outcome in outcomes if sensor.name not in outcome.scenario.split("+")]
    period_s = 1 / sensor.rate_hz
    first, last = out[0].tick.time_ns / 1e9, out[-1].tick.time_ns / 1e9
    assert start_s <= first <= start_s + LEAVES_WITHIN[kind] * period_s + 2 * tick_s
    assert len(out) == round((last - first) / tick_s) + 1  # gone without a gap
    assert end_s - tick_s <= last <= end_s + 3 * period_s + 2 * tick_s  # back with the third good frame
    named = "garbage" if kind == "nan" else kind
    assert out[0].sensors[sensor.name].health.state == named
    assert out[0].sensors[sensor.name].left_out.startswith(named)
    assert f"{sensor.name} {named}" in out[0].why
    others = [name for name in flying.manifest.task.sensor_names if name != sensor.name]
    assert {outcome.scenario for outcome in out} == {"+".join(others)}
    assert all(outcome.state == "fresh" for outcome in outcomes[3:])


def test_height_map_that_stands_still_stays_in(three: Bundle) -> None:
    outcomes = flown(three, 4, [Fault("ndsm", "stuck", 1.0)])
    assert set(scenarios(outcomes)[1:]) == {"rgb+ndsm+heat"}


@THREE_AND_PAIR
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_every_tick_is_answered_in_any_storm(flying: Bundle, data) -> None:
    kinds = st.sampled_from(sorted(KINDS))
    faults = [
        Fault(sensor.name, data.draw(kinds), data.draw(st.floats(0, 2)), data.draw(st.floats(0.05, 2)))
        for sensor in flying.manifest.task.sensors
        for _ in range(data.draw(st.integers(0, 2)))
    ]
    faults = [f for f in faults if f.kind != "nan" or f.sensor == "ndsm"]
    outcomes = flown(flying, 3, faults, policy=POLICY)
    assert [outcome.tick.number for outcome in outcomes] == list(range(30))
    for outcome in outcomes:
        assert outcome.mask.shape == flying.manifest.task.grid
        assert set(np.unique(outcome.mask)) <= {0, 1, 255}
        assert (outcome.state == "fresh") == (outcome.scenario != "blind")
        json.dumps(outcome.row(), allow_nan=False)
        for name, note in outcome.sensors.items():
            assert note.used == (name in outcome.scenario.split("+"))
            assert note.used == (note.left_out == "")
            limit = flying.manifest.task.sensor(name).max_age_ms
            assert not note.used or note.age_ms <= limit


@TWO_AND_PAIR
def test_mask_is_the_models_answer_to_the_frames_that_the_row_names(flying: Bundle) -> None:
    task = flying.manifest.task
    first, second = task.sensor_names
    sent = {sensor.name: [d.frame.pixels for d in steady(sensor, task.grid, 30) if d.frame] for sensor in task.sensors}
    outcomes = flown(flying, 2, [Fault(first, "off", 0.5, 0.5), Fault(second, "off", 1.3, 0.7)], policy=POLICY)
    assert {outcome.scenario for outcome in outcomes} == set(task.scenarios)
    for outcome in outcomes:
        used = {name: sent[name][note.sequence] for name, note in outcome.sensors.items() if note.used}
        assert used
        unlike = np.count_nonzero(outcome.mask != right_mask(flying, outcome.scenario, used))
        assert unlike <= 2  # pixels on the very edge of a class may round either way


def right_mask(bundle: Bundle, scenario: str, used: dict[str, np.ndarray]) -> np.ndarray:
    """What the model says of `used`: by NumPy of a linear one, else by its file alone."""
    if bundle.manifest.network == "linear":
        return expected(bundle.manifest.task, scenario, used)
    (row,) = (row for row in bundle.manifest.models if row.scenario == scenario)
    return open_model(bundle.file(row.file), threads=1).run(used).mask


@TWO_AND_PAIR
def test_all_sensors_gone_holds_the_last_mask_with_its_age_and_then_goes_blind(flying: Bundle) -> None:
    other = flying.manifest.task.sensors[1]
    kind = "nan" if other.dtype == "float32" else "wrong"
    faults = [Fault("rgb", "wrong", 1.0, 1.5), Fault(other.name, kind, 1.0, 1.5)]
    outcomes = flown(flying, 4, faults, policy=POLICY)
    states = [(state, len(list(group))) for state, group in itertools.groupby(o.state for o in outcomes)]
    assert [state for state, _ in states] == ["fresh", "held", "blind", "fresh"]
    held = [outcome for outcome in outcomes if outcome.state == "held"]
    assert [round(outcome.mask_age_ms) for outcome in held] == [100, 200, 300, 400]  # hold_ms is 400
    last_fresh = outcomes[held[0].tick.number - 1]
    for outcome in held:
        np.testing.assert_array_equal(outcome.mask, last_fresh.mask)
        assert outcome.expected_miou is None
    for outcome in outcomes:
        if outcome.state == "blind":
            assert (outcome.mask == 255).all()
            assert outcome.mask_age_ms is None


def test_without_any_frame_every_tick_is_blind_and_says_why(two: Bundle) -> None:
    outcomes = flown(two, 1, [Fault("rgb", "off", 0), Fault("ndsm", "off", 0)])
    assert len(outcomes) == 10
    assert {outcome.state for outcome in outcomes} == {"blind"}
    assert outcomes[-1].why == "rgb off: no frame yet; ndsm off: no frame yet"


def test_source_that_raises_is_off_with_the_reason_and_the_others_fly_on(two: Bundle) -> None:
    def breaking():
        yield from steady(RGB, two.manifest.task.grid, 8)
        yield RuntimeError("bus gone")

    outcomes = flown(two, 2, sources={"rgb": ScriptedSource(breaking())})
    assert {outcome.scenario for outcome in outcomes[9:]} == {"ndsm"}
    assert outcomes[-1].sensors["rgb"].health.state == "off"
    assert outcomes[-1].sensors["rgb"].health.reason == "RuntimeError: bus gone"
    assert len(outcomes) == 20


def test_engine_that_fails_holds_the_mask_and_the_next_tick_tries_again(two: Bundle) -> None:
    class Moody:
        """The real engine, failing in the ticks 5 and 6."""

        def __init__(self) -> None:
            self.engine, self.calls = open_engine(two, threads=1), 0

        scenarios = property(lambda self: self.engine.scenarios)

        def __enter__(self):
            return self

        def __exit__(self, *rest):
            """Stays open: it is opened again when it is reloaded."""

        def infer(self, scenario, frames, into=None):
            self.calls += 1
            answer = self.engine.infer(scenario, frames, into)
            if self.calls in (6, 7, 8):  # first, again, reloaded
                answer.mask[:] = 77  # a half-written answer must not be held
                raise EngineError("out of luck")
            return answer

    outcomes = flown(two, 1.5, engine=Moody())
    assert [outcome.state for outcome in outcomes] == ["fresh"] * 5 + ["held"] + ["fresh"] * 9
    assert "the engine failed: rgb+ndsm failed on int8: EngineError: out of luck" in outcomes[5].why
    assert {outcome.scenario for outcome in outcomes[6:]} == {"rgb"}  # out of service for a while
    np.testing.assert_array_equal(outcomes[5].mask, outcomes[4].mask)


def test_bundle_that_serves_fewer_scenarios_flies_the_best_of_them(tmp_path) -> None:
    bundle = make_bundle(tmp_path / "b", task_of(RGB, NDSM, HEAT), scenarios=("rgb+ndsm+heat", "rgb"))
    outcomes = flown(bundle, 2, [Fault("heat", "off", 0.0)])
    assert set(scenarios(outcomes)) == {"rgb"}
    assert "no model for rgb+ndsm" in outcomes[-1].why
    assert outcomes[-1].sensors["ndsm"].left_out == "no model for rgb+ndsm"
    assert flown(bundle, 2, [Fault("rgb", "off", 0.0)])[-1].state == "blind"


def test_rows_tell_the_expected_miou_of_the_scenario(two: Bundle) -> None:
    outcomes = flown(two, 2, [Fault("rgb", "off", 1.0)])
    rows = {row.scenario: row.miou for row in two.manifest.models if row.precision == "int8"}
    assert {(o.scenario, o.expected_miou) for o in outcomes} == {(s, rows[s]) for s in ("rgb+ndsm", "ndsm")}


def test_anchor_starts_ticks_and_its_loss_does_not_stop_them(two: Bundle) -> None:
    policy = Policy(anchor="ndsm", return_after=1, hold_ms=100)
    outcomes = flown(two, 4, [Fault("ndsm", "off", 1.0, 1.5)], policy=policy)
    causes = [outcome.tick.cause for outcome in outcomes]
    assert causes.count("ndsm") == 13
    assert causes.count("timer, ndsm is silent") == 8
    assert {o.scenario for o in outcomes if 1.6 < o.tick.time_ns / 1e9 < 2.5} == {"rgb"}


def test_holes_are_filled_and_counted(two: Bundle) -> None:
    def holed():
        for delivery in steady(NDSM, two.manifest.task.grid):
            delivery.frame.pixels[:3, :5] = np.nan
            yield delivery

    outcomes = flown(two, 1, sources={"ndsm": ScriptedSource(holed())})
    assert {outcome.sensors["ndsm"].holes for outcome in outcomes} == {15}
    assert {outcome.scenario for outcome in outcomes} == {"rgb+ndsm"}


def test_sensor_of_another_size_is_brought_to_the_grid(tmp_path) -> None:
    big = dataclasses.replace(RGB, size=(48, 64))
    bundle = make_bundle(tmp_path / "b", task_of(big, NDSM))
    source = ScriptedSource(steady(big, (48, 64)))
    outcomes = flown(bundle, 1, sources={"rgb": source})
    assert set(scenarios(outcomes)) == {"rgb+ndsm"}


def test_frame_that_cannot_be_brought_to_the_grid_takes_its_sensor_out(two: Bundle) -> None:
    cropped = dataclasses.replace(RGB, fit="crop")
    task = dataclasses.replace(two.manifest.task, sensors=(cropped, NDSM))

    def shrinking():
        for number, delivery in enumerate(steady(cropped, (24, 32))):
            small = 5 <= number < 8
            pixels = ground(cropped, (20, 20), np.random.default_rng(number)) if small else delivery.frame.pixels
            yield Delivery(delivery.due_ns, dataclasses.replace(delivery.frame, pixels=pixels))

    outcomes = flown(two, 2, task=task, sources={"rgb": ScriptedSource(shrinking())})
    out = [outcome for outcome in outcomes if outcome.scenario == "ndsm"]
    assert [outcome.tick.number for outcome in out] == [4, 5, 6]
    assert out[0].sensors["rgb"].health.state == "wrong"
    assert "20x20" in out[0].why
    assert outcomes[-1].scenario == "rgb+ndsm"


def test_late_ticks_are_answered_with_the_held_mask(two: Bundle) -> None:
    """A loop that falls behind by three ticks answers them all, the newest by the engine."""

    class Stalling(SteppedFeed):
        """A clock that jumps by 350 ms once."""

        def wait(self, until_ns: int):
            stalled = until_ns == 600_000_000
            return super().wait(until_ns + 350_000_000 if stalled and not self.is_over(until_ns) else until_ns)

        def is_over(self, until_ns: int) -> bool:
            return self.now_ns() >= until_ns

    task, memory = two.manifest.task, Memory()
    feed = Stalling({s.name: ScriptedSource(iter(list(steady(s, task.grid, 3)))) for s in task.sensors})
    with EngineGuard(rungs(two, threads=1)) as guard:
        stream = Stream(two.manifest, task, two.manifest.policy, guard, [memory])
        stream.run(feed, Limits(ticks=12), threading.Event())
    assert [outcome.tick.number for outcome in memory.outcomes] == list(range(12))
    late = [outcome for outcome in memory.outcomes if outcome.why.startswith("late")]
    assert [outcome.tick.number for outcome in late] == [5, 6, 7]
    assert "350 ms after it fell due" in late[0].why


@THREE_AND_PAIR
def test_same_run_twice_gives_the_same_masks_and_rows(flying: Bundle) -> None:
    faults = [Fault("rgb", "garbage", 0.5, 1), Fault("heat", "intermittent", 0.2, 2)]

    def facts():
        outcomes = flown(flying, 3, faults)
        rows = [{k: v for k, v in o.row().items() if k not in ("stages_ms", "latency_ms")} for o in outcomes]
        return rows, [o.mask.tobytes() for o in outcomes]

    assert facts() == facts()


def test_one_sensor_alone_is_enough_of_a_bundle(tmp_path) -> None:
    bundle = make_bundle(tmp_path / "b", task_of(HEAT))
    assert set(scenarios(flown(bundle, 1))) == {"heat"}


def test_frame_is_not_aligned_twice(two: Bundle) -> None:
    aligner = Aligner(two.manifest.task)
    holed = ground(NDSM, (24, 32), np.random.default_rng(0))
    holed[0, 0] = np.nan
    frame = Frame("ndsm", holed, 0, 0)
    assert aligner.align(frame) is aligner.align(frame)


def test_expected_miou_is_that_of_the_file_that_flies(two: Bundle) -> None:
    tensors = [dataclasses.replace(row, io="tensor", miou=0.1) for row in two.manifest.models]
    manifest = dataclasses.replace(two.manifest, models=(*two.manifest.models, *tensors))
    outcomes = flown(dataclasses.replace(two, manifest=manifest), 1.0)
    assert outcomes[-1].expected_miou == 0.8
