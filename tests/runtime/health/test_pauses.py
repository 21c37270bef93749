"""Declared pauses: silence or a standing picture is `paused` for so long, not too often, and its frame grows old."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from scripted import ScriptedSource, flown, steady
from tiny_bundle import HEAT, ground
from tiny_bundle import RGB as _RGB

from dis2_edge.bundle import Bundle, Policy
from dis2_edge.errors import RecipeError
from dis2_edge.sensors import Sensor
from dis2_runtime.frames import Frame, Heard
from dis2_runtime.health.judge import Health, Judge
from dis2_runtime.health.pauses import Pauses

MS = 1_000_000
PAUSING = dataclasses.replace(_RGB, pause_ms=2000, pause_every_s=60)
NOISY = dataclasses.replace(PAUSING, health=dataclasses.replace(PAUSING.health, never_repeats=True))


class Watch:
    """A judge whose frames come every 100 ms."""

    def __init__(self, sensor: Sensor) -> None:
        self.judge, self.random, self.number = Judge(sensor), np.random.default_rng(0), 0
        self.still = ground(sensor, (24, 32), self.random)

    def fly(self, begin_ms: int, end_ms: int, *, still: bool = False) -> list[str]:
        states = []
        for at_ms in range(begin_ms, end_ms, 100):
            pixels = self.still.copy() if still else ground(_RGB, (24, 32), self.random)
            self.judge.hear(Heard(at_ms * MS, at_ms * MS, self.number))
            self.judge.see(Frame("rgb", pixels, at_ms * MS, self.number))
            self.still, self.number = pixels, self.number + 1
            states.append(self.at(at_ms).state)
        return states

    def at(self, now_ms: int) -> Health:
        return self.judge.health(now_ms * MS)


def test_silence_of_a_sensor_that_pauses_is_a_pause_until_it_is_over() -> None:
    watch = Watch(PAUSING)
    watch.fly(0, 1000)
    assert watch.at(1100).state == "ok"
    assert watch.at(1150) == Health("paused", "no frame for 250 ms, pauses of 2000 ms are declared")
    assert watch.at(2900).state == "paused"
    assert watch.at(3001) == Health("off", "no frame for 2101 ms")
    assert Watch(_RGB).at(0).state == "off"


def test_second_pause_too_soon_is_not_excused_but_a_later_one_is() -> None:
    watch = Watch(PAUSING)
    watch.fly(0, 1000)
    assert watch.at(2000).state == "paused"
    watch.fly(2500, 4000)
    assert watch.at(4500).state == "off"
    watch.fly(4600, 65_000)
    assert watch.at(66_000).state == "paused"


def test_standing_picture_of_a_sensor_that_pauses_is_a_pause_until_it_is_over() -> None:
    watch = Watch(NOISY)
    watch.fly(0, 1000)
    states = watch.fly(1000, 4000, still=True)
    assert states[:2] == ["ok", "ok"]
    assert set(states[2:21]) == {"paused"}
    assert set(states[21:]) == {"stuck"}
    assert set(watch.fly(4000, 5000)) == {"ok"}
    again = watch.fly(5000, 7000, still=True)
    assert "paused" not in again
    assert again[-1] == "stuck"


def test_pause_does_not_excuse_a_broken_picture_or_the_end_of_the_source() -> None:
    broken, ended = Watch(PAUSING), Watch(PAUSING)
    for watch in (broken, ended):
        watch.fly(0, 500)
    broken.judge.miss("cut short")
    ended.judge.end("the cable", failed=False)
    assert broken.at(1000) == Health("off", "no frame for 600 ms (cut short)")
    assert ended.at(1000) == Health("off", "the cable")


def test_what_keeps_a_sensor_from_sending_makes_it_off_at_once_until_its_next_frame() -> None:
    watch = Watch(PAUSING)
    watch.fly(0, 500)
    watch.judge.miss("no pose for 800 ms", lost=True)
    assert watch.at(410) == Health("off", "no pose for 800 ms")
    watch.judge.miss("cut short")
    assert watch.at(420) == Health("garbage", "cut short")
    watch.judge.miss("connection lost", lost=True)
    assert watch.at(2000) == Health("off", "connection lost")
    assert watch.fly(500, 1000)[0] == "ok"


def test_any_time_between_pauses_is_allowed_where_none_is_declared() -> None:
    pauses = Pauses(dataclasses.replace(PAUSING, pause_every_s=0))
    for begin_ms in (0, 10, 20):
        assert pauses.excuse(begin_ms * MS, begin_ms * MS + 5)
        pauses.note(begin_ms * MS)
    assert not Pauses(_RGB).excuse(0, 0)


@pytest.mark.parametrize("flying", ["three", "pair"], indirect=True)
@pytest.mark.parametrize("still", [False, True], ids=["silent", "standing"])
def test_paused_sensors_frame_is_used_while_it_is_young_enough(flying: Bundle, still) -> None:
    heat = dataclasses.replace(
        HEAT, pause_ms=1000, pause_every_s=60, health=dataclasses.replace(HEAT.health, never_repeats=True)
    )
    task = dataclasses.replace(flying.manifest.task, sensors=(*flying.manifest.task.sensors[:-1], heat))

    def pausing():
        last = None
        for delivery in steady(heat, task.grid, 80):
            frame = delivery.frame
            if 2 <= frame.time_ns / 1e9 < 2.9:
                if still:
                    yield dataclasses.replace(delivery, frame=dataclasses.replace(frame, pixels=last))
                continue
            last = frame.pixels
            yield delivery

    policy = Policy(rate_hz=10, return_after=3, hold_ms=400)
    outcomes = flown(flying, 6, task=task, sources={"heat": ScriptedSource(pausing())}, policy=policy)
    states = {outcome.sensors["heat"].health.state for outcome in outcomes[1:]}
    assert states == {"ok", "paused"}
    paused = [outcome.sensors["heat"] for outcome in outcomes if outcome.sensors["heat"].health.state == "paused"]
    for note in paused:
        assert note.used == (note.age_ms <= heat.max_age_ms)
        assert note.used or note.left_out.startswith("paused: its frame is")
    assert not paused[-1].used
    alone = task.full.removesuffix("+heat")
    assert [scenario for scenario, _ in itertools.groupby(o.scenario for o in outcomes)][-3:] == [
        task.full,
        alone,
        task.full,
    ]


def test_pause_that_is_no_time_is_refused() -> None:
    with pytest.raises(RecipeError, match="pause_ms -1"):
        dataclasses.replace(_RGB, pause_ms=-1)
