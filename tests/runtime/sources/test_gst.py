"""GStreamer pipelines: what they deliver, how they end, fail, change and stay silent. Skipped without GStreamer."""

from __future__ import annotations

import dataclasses
import shutil
import threading
import time

import numpy as np
import pytest
from opened import grabbed
from tiny_bundle import HEAT, NDSM, RGB

from dis2_edge.errors import SourceError
from dis2_runtime.clock import RunClock
from dis2_runtime.frames import Delivery
from dis2_runtime.sources import Source, gst, is_live, make_source, parse, shown
from dis2_runtime.sources.gst import GstLink
from dis2_runtime.sources.gst_pipeline import library
from dis2_runtime.sources.live import Grab

GRID = (24, 32)
HEAT8 = dataclasses.replace(HEAT, dtype="uint8", valid_max=255)
TEST = "videotestsrc is-live=true pattern=ball"

try:
    library()
    WITHOUT = "" if shutil.which("gst-inspect-1.0") else "no gst-inspect-1.0"
except SourceError as error:
    WITHOUT = str(error)
needs_gstreamer = pytest.mark.skipif(bool(WITHOUT), reason=WITHOUT)


def running() -> RunClock:
    clock = RunClock()
    clock.start()
    return clock


def opened(pipeline: str, sensor=RGB, clock: RunClock | None = None) -> Source:
    source = make_source(sensor, GRID, parse(f"gst:{pipeline}"), clock or running())
    source.open()
    return source


def waited(source: Source, wanted, seconds: float = 8.0) -> Delivery:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        delivery = source.next()
        assert time.monotonic() - began < 0.2
        if wanted(delivery):
            return delivery
    raise AssertionError(f"never came; the last was {delivery}")


def grabs(pipeline: str, sensor=RGB, most: int = 10) -> tuple[list[Grab], str]:
    """Up to `most` grabs of one start of the pipeline, and why it ended."""
    return grabbed(GstLink(sensor, pipeline, running()), most)


@needs_gstreamer
@pytest.mark.parametrize(
    ("form", "sensor"),
    [
        ("RGB", RGB),
        ("BGR", RGB),
        ("BGRx", RGB),
        ("xRGB", RGB),
        ("GRAY8", HEAT8),
        ("GRAY16_LE", HEAT),
        ("GRAY16_BE", HEAT),
    ],
)
def test_pictures_of_every_format_have_the_sensors_shape_type_and_numbers(form, sensor) -> None:
    caps = f"video/x-raw,format={form},width=33,height=25,framerate=30/1"
    (grab, *_), ended = grabs(f"videotestsrc is-live=true pattern=green ! {caps}", sensor, most=2)
    assert ended == ""
    assert grab.pixels.shape == (25, 33, sensor.channels)
    assert grab.pixels.dtype == sensor.numpy_dtype
    if sensor is RGB:
        assert (grab.pixels == [0, 255, 0]).all()
    else:
        assert (grab.pixels == grab.pixels[0, 0]).all()
        assert 0.5 < grab.pixels[0, 0, 0] / np.iinfo(sensor.dtype).max < 0.9


@needs_gstreamer
def test_stamps_are_the_pipelines_on_the_runs_clock_and_numbers_go_on() -> None:
    clock = running()
    source = opened(f"{TEST} ! video/x-raw,format=RGB,width=32,height=24,framerate=50/1", clock=clock)
    frames = [waited(source, lambda delivery: delivery.frame).frame for _ in range(10)]
    now_ns = clock.now_ns()
    source.close()
    assert all(frame.stamped for frame in frames)
    steps = np.diff([frame.time_ns for frame in frames]) / 1e6 / np.diff([frame.sequence for frame in frames])
    np.testing.assert_allclose(steps, 20.0, atol=0.1)
    assert 0 <= now_ns - frames[-1].time_ns < 200_000_000


@needs_gstreamer
def test_pictures_that_nobody_took_are_gaps_in_the_numbers() -> None:
    source = opened(f"{TEST} ! video/x-raw,format=RGB,width=32,height=24,framerate=50/1")
    first = waited(source, lambda delivery: delivery.frame).frame
    time.sleep(0.3)
    second = waited(source, lambda delivery: delivery.frame).frame
    source.close()
    assert second.sequence - first.sequence >= 10


@needs_gstreamer
@pytest.mark.parametrize(
    ("pipeline", "message"),
    [
        ("nonesuchsrc", "no element.*nonesuchsrc.*gst-inspect-1.0"),
        ("videotestsrc !", "cannot be made"),
        ("videotestsrc ! ! fakesink", "cannot be made"),
        ("videotestsrc nonesuch=1", "cannot be made"),
        ("videotestsrc ! appsink", "has an appsink"),
        ("!", "cannot be made"),
    ],
)
def test_pipeline_of_wrong_words_is_refused_on_the_ground(pipeline, message) -> None:
    with pytest.raises(SourceError, match=message):
        opened(pipeline)


@needs_gstreamer
def test_pipeline_that_fails_in_flight_is_told_and_tried_again(tmp_path) -> None:
    source = opened(f"filesrc location={tmp_path}/none ! rawvideoparse width=32 height=24 format=rgb")
    found = waited(source, lambda delivery: "trying again in 1 s" in delivery.problem)
    source.close()
    assert "none" in found.problem


@needs_gstreamer
def test_format_that_we_do_not_read_is_told_with_its_mend() -> None:
    with pytest.raises(SourceError, match="videoconvert"):
        opened("videotestsrc ! video/x-raw,format=NV12")
    found, ended = grabs("videotestsrc ! video/x-raw,format=NV12 ! identity")
    assert found == []
    assert "videoconvert" in ended
    found, ended = grabs("videotestsrc num-buffers=3 ! video/x-raw,format=NV12 ! videoconvert", most=1)
    assert found[0].pixels.shape == (240, 320, 3)


@needs_gstreamer
def test_end_of_the_pipeline_is_told_and_it_starts_again() -> None:
    found, ended = grabs("videotestsrc is-live=true num-buffers=3 ! video/x-raw,format=RGB,framerate=50/1")
    assert len(found) == 3
    assert "come to its end" in ended
    source = opened("videotestsrc is-live=true num-buffers=3 ! video/x-raw,format=RGB,framerate=50/1")
    last = waited(source, lambda delivery: delivery.frame and delivery.frame.sequence == 3)
    again = waited(source, lambda delivery: delivery.frame)
    source.close()
    assert again.frame.sequence > last.frame.sequence
    assert again.frame.time_ns > last.frame.time_ns


@needs_gstreamer
def test_size_that_changes_in_mid_flight_is_handed_on() -> None:
    small = "videotestsrc num-buffers=4 ! video/x-raw,format=RGB,framerate=50/1,width=32,height=24"
    large = "videotestsrc num-buffers=4 ! video/x-raw,format=RGB,framerate=50/1,width=48,height=40"
    found, _ = grabs(f"concat name=c {small} ! c. {large} ! c. c. ! identity")
    assert {grab.pixels.shape for grab in found} == {(24, 32, 3), (40, 48, 3)}


@needs_gstreamer
def test_pipeline_that_never_delivers_is_started_again(monkeypatch) -> None:
    monkeypatch.setattr(gst, "SILENT_S", 0.3)
    source = opened("videotestsrc is-live=true ! valve drop=true ! video/x-raw,format=RGB")
    found = waited(source, lambda delivery: delivery.problem)
    source.close()
    assert "has given nothing for" in found.problem


@needs_gstreamer
def test_recording_in_a_pipeline_is_paced_by_its_stamps() -> None:
    began = time.monotonic()
    found, _ = grabs("videotestsrc num-buffers=10 ! video/x-raw,format=RGB,width=32,height=24,framerate=20/1")
    assert len(found) == 10
    assert 0.4 < time.monotonic() - began < 2


@needs_gstreamer
def test_palette_is_refused_and_white_hot_taken() -> None:
    (iron,), _ = grabs("videotestsrc ! videoconvert", HEAT8, most=1)
    assert "palette" in iron.problem
    (hot,), _ = grabs("videotestsrc pattern=black ! video/x-raw,format=RGB", HEAT8, most=1)
    assert hot.pixels.shape == (240, 320, 1)


@needs_gstreamer
def test_pipelines_come_and_go_without_leaving_anything_behind() -> None:
    threads = threading.active_count()
    for _ in range(20):
        grabs("videotestsrc num-buffers=1 ! video/x-raw,format=RGB,width=32,height=24", most=1)
    assert threading.active_count() == threads


def test_pipeline_is_live_keeps_its_marks_and_shows_no_password() -> None:
    address = parse("gst:rtspsrc location=rtsp://a:b@cam/1?x=2 user-id=me user-pw=hush ! decodebin")
    assert is_live(address)
    assert address.place.startswith("rtspsrc location=rtsp://a:b@cam/1?x=2 ")
    assert not {"a:b", "hush", "=me"} & set(address.uri.replace("@", " ").split())
    assert "hush" not in shown(address.place)
    with pytest.raises(SourceError, match="float32"):
        make_source(NDSM, GRID, address)
