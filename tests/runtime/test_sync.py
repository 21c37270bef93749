"""Sync: a sensor leaves at once and comes back after good frames, under any interleaving of any number of sensors."""

from __future__ import annotations

import dataclasses

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tiny_bundle import HEAT, NDSM, RGB, task_of

from dis2_edge.bundle import Policy
from dis2_runtime.frames import Frame
from dis2_runtime.health.judge import USABLE, Health
from dis2_runtime.sync import STRAGGLERS, Sync

MS = 1_000_000
PIXELS = np.zeros((1, 1, 1), np.uint8)
OK = Health("ok")
STATES = ["ok", "off", "stuck", "garbage", "wrong", "slow", "delayed", "intermittent"]


def frame(sensor: str, time_ms: int, sequence: int) -> Frame:
    return Frame(sensor, PIXELS, time_ms * MS, sequence)


def healthy(task, **bad: Health) -> dict[str, Health]:
    return {name: bad.get(name, OK) for name in task.sensor_names}


TWO = task_of(RGB, NDSM)


def test_sensor_without_a_frame_is_left_out_with_a_reason() -> None:
    choice = Sync(TWO, Policy(return_after=3)).choose(0, healthy(TWO, ndsm=Health("off", "no frame yet")))
    assert choice.frames == {}
    assert choice.left_out == {"rgb": "no frame yet", "ndsm": "off: no frame yet"}


def test_frame_older_than_its_sensor_allows_is_left_out() -> None:
    sync = Sync(TWO, Policy(return_after=1))
    sync.receive(frame("rgb", 0, 0), 0, good=True)
    sync.receive(frame("ndsm", 0, 0), 0, good=True)
    assert set(sync.choose(250 * MS, healthy(TWO)).frames) == {"rgb", "ndsm"}
    choice = sync.choose(251 * MS, healthy(TWO))
    assert set(choice.frames) == {"ndsm"}
    assert choice.left_out["rgb"] == "ok: its frame is 251 ms old, at most 250 ms are used"


def test_a_stamp_from_the_future_is_not_believed_and_the_age_is_said_to_be_that_of_arrival() -> None:
    sync = Sync(TWO, Policy(return_after=1))
    sync.receive(frame("rgb", 5_000, 0), 0, good=True)
    sync.receive(frame("ndsm", 0, 0), 0, good=True)
    choice = sync.choose(20 * MS, healthy(TWO))
    assert choice.ages_ms == {"rgb": 20.0, "ndsm": 20.0}
    assert choice.stamped == {"rgb": False, "ndsm": True}


def test_lost_sensor_comes_back_with_its_third_good_frame_and_a_bad_one_starts_the_count_anew() -> None:
    sync = Sync(TWO, Policy(return_after=3))
    sync.receive(frame("rgb", 0, 0), 0, good=True)
    assert "rgb" in sync.choose(0, healthy(TWO)).frames
    assert "rgb" not in sync.choose(1, healthy(TWO, rgb=Health("garbage", "noise"))).frames
    seen = []
    for number, good in enumerate([True, True, False, True, True, True, True], start=1):
        sync.receive(frame("rgb", number * 100, number), number * 100 * MS, good=good)
        health = OK if good else Health("garbage", "noise")
        seen.append("rgb" in sync.choose(number * 100 * MS, healthy(TWO, rgb=health)).frames)
    assert seen == [False, False, False, False, False, True, True]


def test_returning_sensor_says_how_far_it_is() -> None:
    sync = Sync(TWO, Policy(return_after=3))
    sync.receive(frame("rgb", 0, 0), 0, good=True)
    sync.doubt("rgb")
    sync.receive(frame("rgb", 100, 1), 100 * MS, good=True)
    assert sync.choose(100 * MS, healthy(TWO)).left_out["rgb"] == "returning: 1 of 3 good frames"


def test_straggler_does_not_replace_a_newer_frame_but_a_restarted_sensor_does() -> None:
    sync = Sync(TWO, Policy(return_after=1))
    sync.receive(frame("rgb", 1000, 50), 1000 * MS, good=True)
    for number in range(STRAGGLERS):
        sync.receive(frame("rgb", number, number), 1000 * MS, good=True)
        assert sync.choose(1000 * MS, healthy(TWO)).sequences["rgb"] == 50
    sync.receive(frame("rgb", 900, 9), 1000 * MS, good=True)
    assert sync.choose(1000 * MS, healthy(TWO)).sequences["rgb"] == 9


@given(st.data())
def test_any_interleaving_of_any_sensors_keeps_the_promises(data) -> None:
    kinds = [RGB, NDSM, HEAT, dataclasses.replace(RGB, name="wide"), dataclasses.replace(HEAT, name="far")]
    task = task_of(*kinds[: data.draw(st.integers(1, 5))])
    return_after = data.draw(st.integers(1, 4))
    sync = Sync(task, Policy(return_after=return_after))
    now_ms, good_since_loss = 0, dict.fromkeys(task.sensor_names, 0)
    lost, newest = dict.fromkeys(task.sensor_names, False), {}
    for number in range(data.draw(st.integers(1, 40))):
        now_ms += data.draw(st.integers(0, 200))
        if data.draw(st.booleans()):
            name, good = data.draw(st.sampled_from(task.sensor_names)), data.draw(st.booleans())
            newest[name] = (frame(name, now_ms - data.draw(st.integers(-500, 500)), number), now_ms)
            sync.receive(newest[name][0], now_ms * MS, good=good)
            good_since_loss[name] = good_since_loss[name] + 1 if good else 0
            continue
        health = {name: Health(data.draw(st.sampled_from(STATES))) for name in task.sensor_names}
        choice = sync.choose(now_ms * MS, health)
        assert list(choice.frames) == [name for name in task.sensor_names if name in choice.frames]
        assert set(choice.frames) | set(choice.left_out) == set(task.sensor_names)
        for sensor in task.sensors:
            name = sensor.name
            if name not in newest:
                assert name not in choice.frames
                continue
            got, at_ms = newest[name]
            young = now_ms - min(got.time_ns / MS, at_ms) <= sensor.max_age_ms
            usable = young and health[name].state in USABLE
            if not usable:
                lost[name], good_since_loss[name] = True, 0
            elif good_since_loss[name] >= return_after:
                lost[name] = False
            assert (name in choice.frames) == (usable and not lost[name])
            assert choice.frames.get(name, got) is got


@given(st.lists(st.tuples(st.integers(-(2**62), 2**62), st.integers(-(2**62), 2**62)), max_size=20))
def test_any_stamps_are_survived(stamps) -> None:
    sync = Sync(TWO, Policy(return_after=2))
    for stamp_ns, sequence in stamps:
        sync.receive(Frame("rgb", PIXELS, stamp_ns, sequence), 0, good=True)
        choice = sync.choose(0, healthy(TWO))
        assert choice.ages_ms["rgb"] >= 0


def test_frames_captured_too_far_apart_do_not_make_one_mask() -> None:
    sync = Sync(TWO, Policy(return_after=1, max_skew_ms=50))
    sync.receive(frame("rgb", 100, 1), 105 * MS, good=True)
    sync.receive(frame("ndsm", 40, 1), 45 * MS, good=True)
    choice = sync.choose(110 * MS, healthy(TWO))
    assert set(choice.frames) == {"rgb"}
    assert choice.left_out["ndsm"] == "skew: captured 60 ms before rgb, at most 50 ms are allowed"
    sync.receive(frame("ndsm", 90, 2), 95 * MS, good=True)
    assert set(sync.choose(111 * MS, healthy(TWO)).frames) == {"rgb", "ndsm"}  # skew takes no belief away


@given(st.data())
def test_chosen_frames_never_lie_further_apart_than_allowed(data) -> None:
    sync = Sync(TWO, Policy(return_after=1, max_skew_ms=30))
    now_ms = 0
    for number in range(data.draw(st.integers(1, 12))):
        now_ms += data.draw(st.integers(0, 40))
        name = data.draw(st.sampled_from(TWO.sensor_names))
        sync.receive(frame(name, now_ms + data.draw(st.integers(-90, 90)), number), now_ms * MS, good=True)
        choice = sync.choose(now_ms * MS, healthy(TWO))
        ages = [choice.ages_ms[chosen] for chosen in choice.frames]
        assert not ages or max(ages) - min(ages) <= 30
        assert set(choice.frames) | set(choice.left_out) == set(TWO.sensor_names)
