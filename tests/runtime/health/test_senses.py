"""The pure core under anything: any interleaving, any stamps, one to five sensors, never an exception."""

from __future__ import annotations

import dataclasses

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_bundle import HEAT, NDSM, RGB, ground, task_of, training_of

from dis2_edge.bundle import Policy
from dis2_runtime.frames import Frame, Heard, Mail
from dis2_runtime.health.judge import USABLE
from dis2_runtime.poses.pose import Pose
from dis2_runtime.senses import Senses
from dis2_runtime.ticks import Ticker

GRID = (24, 32)
TIMES = st.one_of(st.integers(0, 3_000_000_000), st.integers(-(2**63), 2**63 - 1), st.just(0))
NUMBERS = st.one_of(st.integers(0, 20), st.integers(-(2**63), 2**63 - 1))
LIMITS = st.fixed_dictionaries(
    {},
    optional={
        "never_repeats": st.booleans(),
        "stuck_repeats": st.integers(1, 5),
        "gaps": st.integers(1, 5),
        "late_ms": st.floats(1, 1000),
        "hole_share": st.floats(0.01, 1),
        "mean_low": st.floats(-100, 100),
        "entropy_high": st.floats(0, 5),
        "loud_std": st.floats(0, 100),
    },
)
LOOKS = ["ground", "same", "noise", "flat", "nan", "shape", "type", "size", "empty"]


@st.composite
def sensors(draw):
    kinds = draw(st.lists(st.sampled_from([RGB, NDSM, HEAT]), min_size=1, max_size=5))
    return [
        dataclasses.replace(
            kind,
            name=f"s{place}",
            health=dataclasses.replace(kind.health, **draw(LIMITS)),
            pause_ms=draw(st.sampled_from([0, 500, 2000])),
            pause_every_s=draw(st.sampled_from([0, 1, 60])),
        )
        for place, kind in enumerate(kinds)
    ]


def pixels_of(sensor, how: str, random) -> np.ndarray:
    fixed = ground(sensor, GRID, np.random.default_rng(1))
    if how == "noise":
        return random.uniform(sensor.valid_min, sensor.valid_max, fixed.shape).astype(fixed.dtype)
    if how == "flat":
        return np.zeros_like(fixed)
    if how == "nan" and fixed.dtype.kind == "f":
        return np.full_like(fixed, [np.nan, np.inf, -np.inf][random.integers(3)])
    if how == "type":
        return fixed.astype(np.int64)
    shapes = {"shape": (24, 32), "size": (7, 1, sensor.channels), "empty": (0, 5, sensor.channels)}
    if how in shapes:
        return np.zeros(shapes[how], fixed.dtype)
    return fixed if how == "same" else ground(sensor, GRID, random)


def mail_of(data, sensor, random) -> Mail:
    heard = tuple(
        Heard(data.draw(TIMES), data.draw(TIMES), data.draw(NUMBERS)) for _ in range(data.draw(st.integers(0, 3)))
    )
    frame = None
    if heard and data.draw(st.booleans()):
        pixels = pixels_of(sensor, data.draw(st.sampled_from(LOOKS)), random)
        pose = Pose(data.draw(st.floats(-1e6, 1e6)), 0.0, 0.0, 0.1, 32632) if data.draw(st.booleans()) else None
        frame = Frame(sensor.name, pixels, heard[-1].time_ns, heard[-1].sequence, pose=pose)
    problem = data.draw(st.sampled_from(["", "", "cut short"]))
    ended = data.draw(st.sampled_from(["", "", "", "", "the end"]))
    lost, failed = data.draw(st.booleans()), bool(ended) and data.draw(st.booleans())
    return Mail(sensor.name, heard, frame, problem, lost, ended, failed)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_anything_gets_a_state_with_a_reason_and_a_choice_that_agrees(data) -> None:
    chosen = data.draw(sensors())
    task = task_of(*chosen, grid=GRID)
    trained = data.draw(st.booleans())
    training = [dataclasses.replace(training_of(s), name=s.name) for s in chosen] if trained else []
    senses, random = Senses(task, training, Policy(return_after=data.draw(st.integers(1, 4)))), np.random.default_rng(0)
    ticker = Ticker(task, Policy(anchor=data.draw(st.sampled_from(["", chosen[0].name]))))
    for _ in range(data.draw(st.integers(0, 25))):
        sensor = data.draw(st.sampled_from(chosen))
        senses.receive(mail_of(data, sensor, random))
        now_ns = data.draw(TIMES)
        consistent(senses.view(now_ns), task)
        if data.draw(st.integers(0, 9)) == 0:
            senses.reject(sensor.name, "does not fit")
    ticks = ticker.fallen_due(data.draw(st.integers(0, 3_000_000_000)))
    assert [tick.number for tick in ticks] == list(range(ticker.missed, ticker.missed + len(ticks)))


def consistent(view, task) -> None:
    """Every sensor has a state; it is used or there is a reason why not; what is used is usable and young."""
    choice = view.choice
    assert set(view.health) == set(task.sensor_names)
    assert list(choice.frames) == [name for name in task.sensor_names if name in choice.frames]
    assert set(choice.frames) | set(choice.left_out) == set(task.sensor_names)
    assert not set(choice.frames) & set(choice.left_out)
    for name, health in view.health.items():
        assert (health.state == "ok") == (health.reason == "")
        assert health.usable == (health.state in USABLE)
        if name in choice.frames:
            assert health.usable
            assert 0 <= choice.ages_ms[name] <= task.sensor(name).max_age_ms
            assert choice.frames[name].sequence == choice.sequences[name]
        else:
            assert choice.left_out[name]
