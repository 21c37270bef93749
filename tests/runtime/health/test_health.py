"""Health: each fault gets its name in time, and clean sensors get none, whatever they look at."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_bundle import HEAT, NDSM, RGB, ground, task_of, training_of

from dis2_runtime.frames import Frame, Heard
from dis2_runtime.health.content import judge_content
from dis2_runtime.health.judge import USABLE, Health, Judge

MS = 1_000_000
GRID = (24, 32)
TASK = task_of(RGB, NDSM, HEAT)
SENSORS = pytest.mark.parametrize("sensor", [RGB, NDSM, HEAT], ids=lambda sensor: sensor.name)


class Watch:
    """A judge fed by hand: frames at given times, all in milliseconds."""

    def __init__(self, sensor=RGB) -> None:
        self.sensor, self.judge = sensor, Judge(sensor, training_of(sensor))
        self.random = np.random.default_rng(5)
        self.sequence = -1

    def frame(self, at_ms: float, *, stamp_ms: float | None = None, pixels=None, sequence: int | None = None) -> None:
        self.sequence = self.sequence + 1 if sequence is None else sequence
        stamp_ns = round((at_ms if stamp_ms is None else stamp_ms) * MS)
        pixels = ground(self.sensor, GRID, self.random) if pixels is None else pixels
        self.judge.hear(Heard(round(at_ms * MS), stamp_ns, self.sequence))
        self.judge.see(Frame(self.sensor.name, pixels, stamp_ns, self.sequence))

    def at(self, now_ms: float) -> Health:
        return self.judge.health(round(now_ms * MS))


def look(sensor, pixels) -> str:
    return judge_content(pixels, sensor, training_of(sensor)).state


def limited(sensor, **limits):
    return dataclasses.replace(sensor, health=dataclasses.replace(sensor.health, **limits))


def clean(sensor, seed=0, size=GRID) -> np.ndarray:
    return ground(sensor, size, np.random.default_rng(seed))


@SENSORS
def test_other_shape_dtype_or_range_is_wrong(sensor) -> None:
    pixels = clean(sensor)
    assert look(sensor, np.concatenate([pixels, pixels], axis=2)) == "wrong"
    assert look(sensor, pixels[..., 0]) == "wrong"
    assert look(sensor, pixels[:0]) == "wrong"
    assert look(sensor, pixels.astype(np.float64)) == "wrong"
    sized = dataclasses.replace(sensor, size=(48, 64))
    assert look(sized, pixels) == "wrong"
    assert look(sized, clean(sensor, size=(48, 64))) == "ok"


def test_heights_in_another_unit_are_wrong_with_their_range() -> None:
    verdict = judge_content(clean(NDSM) * 1000 + 900, NDSM, training_of(NDSM))
    assert verdict.state == "wrong"
    assert "outside -5..80 metres" in verdict.reason


def test_nan_is_garbage_from_a_share_that_training_never_saw() -> None:
    pixels = clean(NDSM)
    few, many = pixels.copy(), pixels.copy()
    few[:8], many[:18] = np.nan, np.inf
    assert look(NDSM, few) == "ok"
    assert look(NDSM, many) == "garbage"
    assert "75% of values are NaN or infinite" in judge_content(many, NDSM, training_of(NDSM)).reason


@pytest.mark.parametrize(
    ("sensor", "pixels"),
    [
        (RGB, np.zeros((24, 32, 3), np.uint8)),
        (RGB, np.full((24, 32, 3), 255, np.uint8)),
        (RGB, np.full((24, 32, 3), 90, np.uint8)),
        (HEAT, np.full((24, 32, 1), 30000, np.uint16)),
        (HEAT, np.full((24, 32, 1), 65535, np.uint16)),
        (HEAT, clean(HEAT) // 30),
    ],
    ids=["dark", "dazzled", "covered", "flat", "dazzled heat", "far from training"],
)
def test_frames_that_say_nothing_are_not_good(sensor, pixels) -> None:
    assert look(sensor, pixels) in ("garbage", "wrong")


@SENSORS
def test_faint_noise_of_a_dark_night_or_a_flat_field_is_ok(sensor) -> None:
    noise = np.random.default_rng(0).normal(sensor.mean, np.array(sensor.std) / 10, (96, 128, sensor.channels))
    pixels = np.clip(noise, sensor.valid_min, sensor.valid_max).astype(sensor.dtype)
    assert look(sensor, pixels) == "ok"
    assert judge_content(pixels, sensor, None).state == "ok"


@SENSORS
def test_white_noise_is_garbage(sensor) -> None:
    random = np.random.default_rng(0)
    low, high = (0, 255) if sensor is RGB else (sensor.valid_min, sensor.valid_max)
    noise = random.uniform(low, high, (96, 128, sensor.channels)).astype(sensor.dtype)
    assert look(sensor, noise) == "garbage"
    assert judge_content(noise, sensor, None).state == "garbage"


@SENSORS
@given(seed=st.integers(0, 10_000), height=st.integers(1, 90), width=st.integers(1, 90))
def test_ground_of_any_size_is_ok(sensor, seed, height, width) -> None:
    if height * width >= 400:
        assert look(sensor, clean(sensor, seed, (height, width))) == "ok"
    look(sensor, clean(sensor, seed, (height, width)))  # smaller ones may be anything but an error


def test_flat_field_is_no_fault_of_a_height_sensor() -> None:
    assert look(NDSM, np.zeros((24, 32, 1), np.float32)) == "ok"
    noise = np.random.default_rng(0).normal(0, 0.05, (24, 32, 1)).astype(np.float32)
    assert look(NDSM, noise) == "ok"


@given(st.binary(min_size=24 * 8 * 4, max_size=24 * 8 * 4))
def test_any_bits_get_a_verdict(bits) -> None:
    for sensor, shape in ((RGB, (16, 16, 3)), (NDSM, (24, 8, 1)), (HEAT, (24, 16, 1))):
        pixels = np.frombuffer(bits, sensor.dtype).reshape(shape)
        assert look(sensor, pixels) in ("ok", "garbage", "wrong")


def test_sensor_never_heard_is_off() -> None:
    assert Watch().at(0) == Health("off", "no frame yet")


def test_silence_of_two_periods_is_off_with_its_length() -> None:
    watch = Watch()
    for at_ms in (0, 100, 200):
        watch.frame(at_ms)
    assert watch.at(399).state == "ok"
    assert watch.at(401) == Health("off", "no frame for 201 ms")


def test_failed_source_is_off_at_once_and_an_ended_one_after_silence() -> None:
    failed, ended = Watch(), Watch()
    for watch in (failed, ended):
        watch.frame(0)
        watch.judge.end("cable cut", failed=watch is failed)
    assert failed.at(10) == Health("off", "cable cut")
    assert ended.at(10).state == "ok"
    assert ended.at(210) == Health("off", "cable cut")


def test_repeats_of_a_noisy_sensor_are_stuck_from_the_fourth_alike_and_ok_with_the_next_new_one() -> None:
    watch, still = Watch(limited(RGB, never_repeats=True)), clean(RGB)
    states = []
    for number in range(6):
        watch.frame(number * 100, pixels=still.copy())
        states.append(watch.at(number * 100).state)
    assert states == ["ok", "ok", "ok", "stuck", "stuck", "stuck"]
    watch.frame(600)
    assert watch.at(600).state == "ok"


def test_repeats_alone_are_no_fault_of_a_sensor_that_may_repeat() -> None:
    watch, still = Watch(), clean(RGB)
    for number in range(50):
        watch.frame(number * 100, pixels=still.copy())
        assert watch.at(number * 100) == Health("ok")


def test_one_other_value_in_a_million_is_no_repeat() -> None:
    watch, still = Watch(limited(RGB, never_repeats=True)), clean(RGB, size=(300, 400))
    for number in range(8):
        frame = still.copy()
        frame[1, 3, 0] = number
        watch.frame(number * 100, pixels=frame)
        assert watch.at(number * 100).state == "ok"


def test_same_stamp_and_number_is_stuck_whatever_the_pixels() -> None:
    watch = Watch()
    for number in range(4):
        watch.frame(number * 100, stamp_ms=0, sequence=7)
    assert watch.at(300) == Health("stuck", "the last 4 frames have the same stamp and number")


def test_nan_repeats_are_repeats() -> None:
    watch = Watch(limited(NDSM, never_repeats=True))
    still = clean(NDSM)
    still[:4] = np.nan
    for number in range(4):
        watch.frame(number * 200, pixels=still.copy())
    assert watch.at(600).state == "stuck"


def test_heights_that_stand_still_are_ok_but_not_a_stamp_that_does() -> None:
    moving, frozen = Watch(NDSM), Watch(NDSM)
    still = clean(NDSM)
    for number in range(8):
        moving.frame(number * 200, pixels=still)
        frozen.frame(number * 200, pixels=still, stamp_ms=0, sequence=0)
    assert moving.at(1400).state == "ok"
    assert frozen.at(1400).state == "stuck"


def test_unreadable_delivery_is_garbage_until_the_next_good_frame() -> None:
    watch = Watch()
    watch.frame(0)
    watch.judge.miss("picture cut short")
    assert watch.at(50) == Health("garbage", "picture cut short")
    watch.frame(100)
    assert watch.at(100).state == "ok"


def test_slow_delayed_and_intermittent_are_named_and_may_still_be_used() -> None:
    slow, late, gaps = Watch(), Watch(), Watch()
    for number in range(12):
        slow.frame(number * 180)
        late.frame(number * 100 + 180, stamp_ms=number * 100)
    for at_ms in (0, 100, 290, 390, 490, 680, 780, 880, 1070, 1170, 1270):
        gaps.frame(at_ms)
    assert slow.at(12 * 180 - 90) == Health("slow", "a frame every 180 ms, expected every 100 ms")
    assert late.at(1300) == Health("delayed", "frames arrive 180 ms after their capture")
    assert gaps.at(1300) == Health("intermittent", "3 gaps among the last 10 frames")
    assert {"slow", "delayed", "intermittent"} < USABLE


def test_lost_frames_are_counted_by_their_numbers() -> None:
    watch = Watch()
    for at_ms, sequence in ((0, 3), (100, 4), (200, 7), (300, 8), (400, 2), (500, 3)):
        watch.frame(at_ms, sequence=sequence)
    assert watch.judge.dropped == 2


@SENSORS
@given(jitter=st.lists(st.floats(-0.2, 0.2), min_size=5, max_size=40), lag_ms=st.floats(0, 40))
def test_clean_sensor_with_jitter_is_never_accused(sensor, jitter, lag_ms) -> None:
    watch = Watch(sensor)
    watch.judge = Judge(sensor, None)
    for number, share in enumerate(jitter):
        stamp_ms = max(0.0, (number + share) * sensor.period_ms)
        watch.frame(stamp_ms + lag_ms, stamp_ms=stamp_ms)
        assert watch.at(stamp_ms + lag_ms + sensor.period_ms * 0.9).state == "ok"


@given(
    st.lists(
        st.tuples(st.integers(-(2**62), 2**62), st.integers(-(2**62), 2**62), st.integers(-(2**62), 2**62)), max_size=20
    ),
    st.integers(-(2**62), 2**62),
)
def test_any_stamps_get_a_state(arrivals, now_ns) -> None:
    judge, pixels = Judge(RGB, training_of(RGB)), clean(RGB)
    for at_ns, stamp_ns, sequence in arrivals:
        judge.hear(Heard(at_ns, stamp_ns, sequence))
        judge.see(Frame("rgb", pixels, stamp_ns, sequence))
    assert judge.health(now_ns).state in (*USABLE, "paused", "off", "stuck", "garbage", "wrong")


def test_sensor_whose_deliveries_cannot_be_read_says_so_however_long_it_lasts() -> None:
    watch = Watch()
    watch.judge.miss("band 4 was asked for")
    assert watch.at(0) == Health("off", "no frame yet (band 4 was asked for)")
    watch.frame(100)
    assert watch.at(301) == Health("off", "no frame for 201 ms")
    watch.judge.miss("the file is truncated")
    assert watch.at(301) == Health("off", "no frame for 201 ms (the file is truncated)")


def test_noise_is_garbage_even_where_most_of_it_is_outside_the_valid_range() -> None:
    kelvin = dataclasses.replace(HEAT, valid_min=25_000, valid_max=35_000)
    noise = np.random.default_rng(0).integers(0, 65535, (96, 128, 1)).astype(np.uint16)
    assert judge_content(noise, kelvin, None).state == "garbage"
    assert judge_content(clean(HEAT, size=(96, 128)) // 100, kelvin, None).state == "wrong"


@pytest.mark.parametrize(("gain", "offset"), [(0.05, 1), (0.2, 170), (1.7, 20)], ids=["night", "fog", "over-exposed"])
def test_camera_trained_by_day_is_not_accused_in_other_light(gain, offset) -> None:
    lit = np.clip(clean(RGB, size=(96, 128)) * gain + offset, 0, 255).astype(np.uint8)
    assert look(RGB, lit) == "ok"


def test_picture_of_few_values_in_the_light_of_training_is_garbage() -> None:
    trained = dataclasses.replace(training_of(RGB), frame_entropy_low=3.0)
    bars = np.where(clean(RGB, size=(96, 128)) > 120, 168, 72).astype(np.uint8)
    verdict = judge_content(bars, RGB, trained)
    assert verdict.state == "garbage"
    assert "entropy 1.00 bits, expected 2.50" in verdict.reason
    assert judge_content(bars // 8, RGB, trained).state == "ok"
