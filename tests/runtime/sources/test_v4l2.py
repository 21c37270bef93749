"""Cameras of this computer, against one that is played: formats, stamps, numbers, and being pulled out in flight."""

from __future__ import annotations

import dataclasses
import io
import time

import numpy as np
import pytest
from fake_camera import FakeCamera
from hypothesis import given
from hypothesis import strategies as st
from made_video import picture
from opened import grabbed
from PIL import Image
from tiny_bundle import HEAT, NDSM, RGB

from dis2_edge.errors import SourceError
from dis2_runtime.clock import RunClock
from dis2_runtime.frames import Delivery
from dis2_runtime.sources import is_live, make_source, parse, v4l2_device
from dis2_runtime.sources.live import Grab, LiveSource
from dis2_runtime.sources.v4l2 import CameraLink, CameraOptions, developed
from dis2_runtime.sources.v4l2_device import Mode

GRID = (24, 32)
HEAT8 = dataclasses.replace(HEAT, dtype="uint8", valid_max=255)
GREY_YUYV = np.full((24, 64), 128, np.uint8).tobytes()


def running() -> RunClock:
    clock = RunClock()
    clock.start()
    return clock


def grey16(count: int, stride: int = 64) -> list[bytes]:
    made = []
    for number in range(count):
        rows = np.zeros((24, stride), np.uint8)
        rows[:, :64] = picture(number, "gray16le").view(np.uint8)
        made.append(rows.tobytes())
    return made


def grabs(camera: FakeCamera, sensor=HEAT, most: int = 20, **options) -> tuple[list[Grab], str]:
    return grabbed(CameraLink(sensor, "/dev/video9", CameraOptions(**options), running(), camera.system), most)


def jpeg(array: np.ndarray) -> bytes:
    data = io.BytesIO()
    Image.fromarray(array).save(data, "JPEG", quality=95)
    return data.getvalue()


@pytest.mark.parametrize("stride", [64, 80])
def test_16_bit_grey_keeps_its_numbers_whatever_the_row_is_padded_to(stride) -> None:
    camera = FakeCamera(grey16(6, stride), "Y16 ", GRID, stride)
    found, _ = grabs(camera, most=6)
    for number, grab in enumerate(found):
        assert grab.pixels.dtype == np.uint16
        np.testing.assert_array_equal(grab.pixels[..., 0], picture(number, "gray16le"))
    assert (camera.opened, camera.closed) == (1, 1)
    assert camera.asked[-1] == v4l2_device.STREAMOFF


def test_stamps_are_the_drivers_and_lost_pictures_are_counted() -> None:
    camera = FakeCamera(grey16(6), "Y16 ", GRID, 64)
    camera.skips = {2: 3, 4: 10_000}
    found, _ = grabs(camera, most=6)
    assert [grab.lost for grab in found] == [0, 0, 3, 0, 0, 0]
    assert all(0 <= grab.time_ns < 10**9 for grab in found)
    assert np.all(np.diff([grab.time_ns for grab in found]) > 0)
    camera = FakeCamera(grey16(1), "Y16 ", GRID, 64)
    camera.flags = 0  # a driver that stamps by the clock on the wall
    assert grabs(camera, most=1)[0][0].time_ns is None


def test_colour_formats_are_the_sensors_rgb() -> None:
    made = picture(3)
    rgb, bgr = made.tobytes(), made[..., ::-1].tobytes()
    for fourcc, data, stride in (("RGB3", rgb, 96), ("BGR3", bgr, 96)):
        np.testing.assert_array_equal(developed(np.frombuffer(data, np.uint8), Mode(fourcc, GRID, stride), RGB), made)
    found = developed(np.frombuffer(jpeg(made), np.uint8), Mode("MJPG", GRID, 0), RGB)
    assert np.abs(found.astype(int) - made).mean() < 10
    found = developed(np.frombuffer(GREY_YUYV, np.uint8), Mode("YUYV", GRID, 64), RGB)
    assert found.shape == (24, 32, 3)
    assert np.abs(found.astype(int) - 130).max() < 4
    red = np.frombuffer(bytes([81, 90, 81, 240] * 16 * 24), np.uint8)  # YUYV
    assert (np.abs(developed(red, Mode("YUYV", GRID, 64), RGB).astype(int) - [255, 0, 0]) < 6).all()
    planes = np.concatenate([np.full(768, 81), np.tile([90, 240], 192)]).astype(np.uint8)
    assert (np.abs(developed(planes, Mode("NV12", GRID, 32), RGB).astype(int) - [255, 0, 0]) < 6).all()


def test_thermal_camera_in_palette_colours_is_refused_and_white_hot_taken() -> None:
    assert developed(np.frombuffer(GREY_YUYV, np.uint8), Mode("YUYV", GRID, 64), HEAT8).shape == (24, 32, 1)
    with pytest.raises(SourceError, match=r"palette.*Y16"):
        developed(np.frombuffer(jpeg(picture(1)), np.uint8), Mode("MJPG", GRID, 0), HEAT8)
    camera = FakeCamera([jpeg(picture(1))] * 2, "MJPG", GRID, 0)
    found, _ = grabs(camera, HEAT8, most=2)
    assert all("palette" in grab.problem for grab in found)


@given(
    fourcc=st.sampled_from(["Y16 ", "GREY", "RGB3", "YUYV", "NV12", "YU12", "MJPG", "ZZZZ"]),
    size=st.tuples(st.integers(0, 40), st.integers(0, 40)),
    stride=st.integers(0, 200),
    data=st.binary(max_size=6000),
)
def test_bytes_of_any_length_are_a_picture_of_that_size_or_a_reason(fourcc, size, stride, data) -> None:
    try:
        found = developed(np.frombuffer(data, np.uint8), Mode(fourcc, size, stride), RGB)
    except SourceError:
        return
    assert fourcc == "MJPG" or found.shape[:2] == size


def test_damaged_picture_is_a_lost_one_with_its_reason() -> None:
    camera = FakeCamera(grey16(1), "Y16 ", GRID, 64)
    camera.flags |= v4l2_device.DAMAGED
    (grab,), _ = grabs(camera, most=1)
    assert (grab.pixels, "damaged" in grab.problem) == (None, True)
    camera = FakeCamera([b"\xff\xd8\xff no more"], "MJPG", GRID, 0)
    (grab,), _ = grabs(camera, RGB, most=1)
    assert "JPEG" in grab.problem


def test_camera_that_offers_something_else_is_told_with_what_it_offers() -> None:
    found, ended = grabs(FakeCamera(grey16(1), "YUYV", GRID, 64))
    assert found == []
    assert "/dev/video9 offers 32x24 YUYV; expected 32x24 Y16" in ended
    _, ended = grabs(FakeCamera(grey16(1), "Y16 ", GRID, 64), size=(48, 64), rate_hz=9)
    assert "offers 32x24 Y16 ; expected 64x48 Y16" in ended
    node = FakeCamera([], "Y16 ", GRID, 64)
    node.capabilities = v4l2_device.CAN_STREAM
    assert "gives no pictures" in grabs(node)[1]


def test_camera_that_is_pulled_out_and_plugged_in_again_flies_on() -> None:
    camera = FakeCamera(grey16(400), "Y16 ", GRID, 64)
    source = LiveSource(
        HEAT, CameraLink(HEAT, "/dev/video9", CameraOptions(), clock := running(), camera.system), clock, 8
    )
    source.open()
    first = _waited(source, lambda delivery: delivery.frame).frame
    camera.gone = camera.absent = True
    lost = _waited(source, lambda delivery: delivery.problem)
    assert "lost (No such device); trying again in 0.5 s" in lost.problem
    assert (
        "cannot open /dev/video9 (No such file"
        in _waited(source, lambda found: "again in 1 s" in found.problem).problem
    )
    camera.gone = camera.absent = False
    back = _waited(source, lambda delivery: delivery.frame).frame
    source.close()
    assert back.sequence > first.sequence
    assert back.stamped


def test_camera_that_falls_silent_is_opened_anew() -> None:
    camera = FakeCamera(grey16(400), "Y16 ", GRID, 64)
    camera.mute = True
    _, ended = grabs(camera, timeout_s=0.2)
    assert "has given nothing for 0.2 s" in ended
    assert camera.closed == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("format=H264", "expected one of GREY"),
        ("size=480", "height and width"),
        ("size=0,640", "height and width"),
        ("size=a,b", "size is 'a,b'"),
        ("rate_hz=-1", "0 or more"),
        ("formt=Y16", "did you mean 'format'"),
    ],
)
def test_option_that_is_wrong_is_named(options, message) -> None:
    with pytest.raises(SourceError, match=message):
        make_source(RGB, GRID, parse(f"v4l2:/dev/video0?{options}"))


def test_camera_is_live_opens_without_a_device_and_serves_no_heights() -> None:
    address = parse("v4l2:/dev/video77?format=Y16")
    assert is_live(address)
    source = make_source(HEAT, GRID, address, running())
    source.open()
    assert "cannot open /dev/video77" in _waited(source, lambda delivery: delivery.problem).problem
    source.close()
    with pytest.raises(SourceError, match="float32"):
        make_source(NDSM, GRID, address)


def _waited(source: LiveSource, wanted, seconds: float = 6.0) -> Delivery:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        delivery = source.next()
        if wanted(delivery):
            return delivery
    raise AssertionError(f"never came; the last was {delivery}")
