"""The benchmark of health runs on any pictures, draws its windows from a seed, and bounds what it did not see."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from tiny_bundle import HEAT, RGB, ground, task_of

from benchmarks.health import Scenery, clean, faults
from benchmarks.health import _suffer as suffer
from benchmarks.health import _upper as upper
from benchmarks.health_silence import _ticks as ticks_of
from benchmarks.health_windows import KINDS, WindowSource, clean_kinds
from dis2_edge.statistics import Tally
from dis2_runtime.health.judge import WINDOWS


@pytest.fixture
def scenery() -> Scenery:
    random = np.random.default_rng(3)
    sensors = tuple(dataclasses.replace(sensor, rate_hz=10.0) for sensor in (RGB, HEAT))
    picture = {sensor.name: ground(sensor, (96, 128), random) for sensor in sensors}
    tallies = [Tally(sensor) for sensor in sensors]
    for tally in tallies:
        tally.add(picture[tally.sensor.name])
    return Scenery("drawn", task_of(*sensors, grid=(96, 128)), tuple(t.result("train") for t in tallies), picture, 0)


def test_hover_and_flight_raise_no_alarm_and_are_printed(scenery, capsys) -> None:
    assert clean([scenery], 7, "light") == 0
    assert clean([scenery], 7, "hover") == 0
    shown = capsys.readouterr().out
    assert "0 of 1" in shown
    assert "windows over 1 pictures; with 95 % confidence at most" in shown


def test_seed_draws_light_and_place_for_all_sensors_of_a_window(scenery) -> None:
    def first(seed: int, place: int, kind=KINDS[0]):
        sensor = scenery.task.sensors[place]
        source = WindowSource(sensor, scenery.picture[sensor.name], kind, place, (seed, 0), 1.0)
        return source._start, source._light, source.next().frame.pixels

    assert first(1, 0)[:2] == first(1, 1)[:2]
    assert len({first(seed, 0)[0] for seed in range(5)}) > 1
    assert np.array_equal(first(1, 0)[2], first(1, 0)[2])


def test_over_exposure_is_of_pictures_that_show_more_than_noise(scenery) -> None:
    noise = {**scenery.picture, "rgb": np.random.default_rng(0).integers(0, 60, (96, 128, 3)).astype(np.uint8)}
    names = [kind.name for kind in clean_kinds(scenery.task.sensors, noise)]
    assert [kind.name for kind in clean_kinds(scenery.task.sensors, scenery.picture)] == [kind.name for kind in KINDS]
    assert [kind.name for kind in KINDS if kind.name not in names] == ["over-exposed flight, noise"]


def test_bound_of_none_of_n_is_three_in_n() -> None:
    assert upper(0, 3000) == pytest.approx(3 / 3000, rel=0.01)
    assert upper(5, 100) == pytest.approx(0.1022, abs=0.001)


def test_silence_is_told_sooner_by_a_lower_limit() -> None:
    def told(limit: float) -> float:
        rows = ticks_of(limit, np.random.default_rng(1), 0.0, 4.0, {0: 2.0})
        return next(time_s for time_s, _, states in rows if time_s >= 2 and states[0] == "off")

    assert told(1.4) < told(2.0) <= 2.3


def test_a_declared_pause_is_granted_before_silence_counts(scenery) -> None:
    heat = dataclasses.replace(scenery.task.sensors[1], pause_ms=1000.0)
    pausing = dataclasses.replace(scenery, task=task_of(scenery.task.sensors[0], heat, grid=(96, 128)))
    for fault in ("off", "stuck"):
        periods, seen = suffer(pausing, heat, fault)
        assert periods <= WINDOWS[fault]
        assert set(seen) == {fault}


def test_faults_are_named_in_their_windows(scenery) -> None:
    assert faults([scenery]) == 0
