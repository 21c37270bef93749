"""Prepare: any sensor's frame is the reference to the last bit, its account is right, and bad input is refused."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from dis2_edge.errors import EngineError
from dis2_edge.sensors import Sensor
from dis2_runtime.driver import Device
from dis2_runtime.kernels.prepare import Prepare, prepared_of
from dis2_runtime.kernels.seen import Seen, seen_error, seen_of
from tests.runtime.kernels.host_driver import HostDriver
from tests.runtime.kernels.roomy import room_of
from tests.runtime.kernels.shim.building import compiler

pytestmark = pytest.mark.skipif(compiler() is None, reason="no g++ here: apt-get install g++")

HEAT = Sensor("heat", "thermal", 1, "float32", "kelvin", 200.0, 400.0, mean=(290.0,), std=(8.0,))
RGB = Sensor("rgb", "optical", 3, "uint8", "DN", 0, 255, mean=(90.5, 100.0, 110.25), std=(50.0, 45.0, 40.0))


def run(
    pixels: Any, sensor: Sensor, dtype: str, scale: float = 1.0, schedule: int = 0, driver: Any = None
) -> tuple[Any, Seen, bytes]:
    """The frame made ready, what was seen, and the bytes that say so."""
    with room_of("prepare", schedule, driver) as room:
        kernel = Prepare(room.driver, room.module, sensor, pixels.shape[:2], dtype, scale)
        target = room.take((sensor.channels, *pixels.shape[:2]), dtype)
        told = room.take((kernel.statistics_bytes,), np.uint8)
        kernel.launch(room.stream, room.give(pixels), target.address, told.address)
        raw = room.read(told)[: kernel.summary_bytes]
        kernel.free()
        return room.read(target), kernel.statistics(raw), raw.tobytes()


@some.composite
def sensors(draw: Any) -> Sensor:
    dtype, channels = draw(some.sampled_from(("uint8", "uint16", "float32"))), draw(some.integers(1, 6))
    last = 300 if dtype == "float32" else int(np.iinfo(dtype).max)
    low, high = sorted((draw(some.floats(-9, last)), draw(some.floats(0, last + 9))))
    mean, std = (
        tuple(draw(some.lists(some.floats(*ends), min_size=channels, max_size=channels)))
        for ends in ((1e-3, last), (1e-3, last))
    )
    return Sensor("any", "height", channels, dtype, "DN", low, max(high, low + 1e-3), mean, std)


@settings(max_examples=60)
@given(
    sensor=sensors(),
    grid=some.one_of(some.just((8, 9)), some.tuples(some.integers(1, 9), some.integers(1, 9))),
    target=some.sampled_from(("float32", "float16", "int8")),
    scale=some.floats(1e-3, 2.0),
    seed=some.integers(0, 99),
)
def test_any_sensor_is_the_reference(
    sensor: Sensor, grid: tuple[int, int], target: str, scale: float, seed: int
) -> None:
    random = np.random.default_rng(seed)
    pixels = (random.random((*grid, sensor.channels)) * 320).astype(sensor.dtype)
    pixels.reshape(-1)[:: seed % 5 + 3] = sensor.mean[0]

    found, seen, _ = run(pixels, sensor, target, scale, schedule=seed)

    np.testing.assert_array_equal(found, prepared_of(pixels, sensor, target, scale))
    assert seen_error(seen, seen_of(pixels, sensor), sensor) <= 1


@pytest.mark.parametrize("target", ["float32", "int8"])
def test_every_number_of_an_integer_type_is_divided_exactly(target: str) -> None:
    deep = Sensor("deep", "thermal", 1, "uint16", "DN", 0, 65_535, mean=(23_456.7,), std=(3.0001,))
    pixels = np.arange(65_536, dtype=np.uint16).reshape(256, 256, 1)

    np.testing.assert_array_equal(run(pixels, deep, target, 0.77)[0], prepared_of(pixels, deep, target, 0.77))


def test_a_pixel_with_holes_in_two_channels_is_one() -> None:
    sensor = dataclasses.replace(RGB, valid_min=10)
    pixels = np.full((4, 4, 3), 100, np.uint8)
    pixels[0, 0] = (5, 200, 6)
    pixels[1, 1, 1] = 0
    pixels[2, 2, 0] = 255

    _, seen, _ = run(pixels, sensor, "float16")

    assert (seen.hole_pixels, seen.holes, seen.hole_share) == (2, (1, 1, 1), 3 / 48)
    assert (seen.at_lowest, seen.at_highest) == ((0, 0, 0), (1, 0, 0))  # a hole is at no end
    assert (seen.least, seen.most) == ((100, 100, 100), (255, 200, 100))


def test_a_frame_of_holes_has_no_mean() -> None:
    found, seen, _ = run(np.full((4, 8, 1), np.nan, np.float32), HEAT, "float16")

    np.testing.assert_array_equal(found, 0)
    assert seen.hole_pixels == 32
    assert all(math.isnan(one[0]) for one in (seen.least, seen.most, seen.mean, seen.std))


def test_sums_are_the_same_bits_in_every_order() -> None:
    pixels = np.random.default_rng(0).normal(290, 9, (64, 512, 1)).astype(np.float32)

    assert len({run(pixels, HEAT, "float16", schedule=schedule)[2] for schedule in range(4)}) == 1


def test_more_blocks_than_a_block_has_threads_are_joined() -> None:
    class Large(HostDriver):
        device = Device("host", (9, 0), 132, 1 << 33, 13000, False)

    pixels = np.random.default_rng(0).integers(0, 255, (257, 257, 1), np.uint8)
    grey = dataclasses.replace(RGB, channels=1, mean=(99.0,), std=(9.0,))

    _, seen, _ = run(pixels, grey, "float16", driver=Large())

    assert seen_error(seen, seen_of(pixels, grey), grey) == 0


@pytest.mark.parametrize(
    ("change", "grid", "target", "scale", "said"),
    [
        ({}, (0, 4), "float16", 1.0, "height is 0"),
        ({}, (1 << 16, 1 << 15), "float16", 1.0, "65536x32768 pixels of 3 channels"),
        ({}, (4, 4), "uint8", 1.0, "target uint8.*float32, float16, int8"),
        ({}, (4, 4), "int8", 0.0, "scale is 0.0"),
        ({}, (4, 4), "int8", math.nan, "scale is nan"),
        ({"mean": (), "std": ()}, (4, 4), "float16", 1.0, "no mean and std"),
        ({"std": (1.0, 0.0, 1.0)}, (4, 4), "float16", 1.0, "std is 0.0"),
        ({"std": (1.0, -1.0, 1.0)}, (4, 4), "float16", 1.0, "std is -1.0"),
        ({"mean": (1.0, 1e-9, 1.0)}, (4, 4), "float16", 1.0, "mean is 1e-09"),
        ({"mean": (1.0, 256.0, 1.0)}, (4, 4), "float16", 1.0, "mean is 256.0"),
        ({"dtype": "float32", "mean": (1.0, math.inf, 1.0)}, (4, 4), "float16", 1.0, "mean is inf"),
        ({"channels": 129, "mean": (1.0,) * 129, "std": (1.0,) * 129}, (4, 4), "int8", 1.0, "129 channels"),
    ],
)
def test_what_cannot_be_launched_is_refused(change: Any, grid: Any, target: str, scale: float, said: str) -> None:
    sensor = dataclasses.replace(RGB, **change)
    with room_of("prepare") as room, pytest.raises(EngineError, match=said):
        Prepare(room.driver, room.module, sensor, grid, target, scale)


@pytest.mark.parametrize(
    ("argument", "address"), [("frame", 0), ("frame", 0x1002), ("target", 0x1001), ("statistics", 0x1004)]
)
def test_an_address_that_cannot_be_used_is_refused(argument: str, address: int) -> None:
    with room_of("prepare") as room:
        kernel = Prepare(room.driver, room.module, HEAT, (4, 4), "float16")
        with pytest.raises(EngineError, match=f"{argument} lies at"):
            kernel.launch(room.stream, **{"frame": 4096, "target": 4096, "statistics": 4096, argument: address})
        kernel.free()
