"""Flights with live sources: a camera that dies keeps no other sensor from flying, and faults fall on it alike."""

from __future__ import annotations

import dataclasses
import json
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from made_video import LoopbackCamera, picture, stream_bytes, write_video
from tiny_bundle import NDSM, RGB, make_bundle, task_of, write_scene

from dis2_edge.bundle import Bundle, Policy
from dis2_edge.errors import SourceError
from dis2_runtime.clock import RunClock
from dis2_runtime.faults import Fault, FaultedSource, FaultPlan
from dis2_runtime.feed import LiveFeed
from dis2_runtime.fly import Flight, fly
from dis2_runtime.frames import Heard
from dis2_runtime.sources.held import HeldSource
from dis2_runtime.sources.live import Grab, LiveSource
from dis2_runtime.stream import Limits

CAMERA = dataclasses.replace(RGB, rate_hz=20.0, max_age_ms=300.0)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    policy = Policy(rate_hz=20, return_after=3, hold_ms=400)
    return make_bundle(tmp_path_factory.mktemp("live") / "bundle", task_of(CAMERA, NDSM), policy=policy)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scene(tmp_path_factory.mktemp("scene"), task_of(CAMERA, NDSM))


def rows(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "telemetry.jsonl").read_text().splitlines()]


def test_camera_that_dies_in_flight_leaves_the_other_sensor_flying_and_comes_back(bundle, scene, tmp_path) -> None:
    camera = LoopbackCamera(stream_bytes(200), seconds=10.0)
    script = [threading.Timer(2.0, camera.die), threading.Timer(3.0, camera.rise)]
    for timer in script:
        timer.start()
    sources = {"rgb": f"video:{camera.url}#timeout_s=1", "ndsm": f"flight:{scene}"}
    summary = fly(bundle.path, tmp_path / "out", Flight(sources=sources, limits=Limits(seconds=6.0), threads=1))
    camera.die()
    made = rows(tmp_path / "out")
    used = [(row["time_ms"] / 1e3, row["sensors"]["rgb"]["used"]) for row in made]
    assert summary["answered"] == summary["due"]
    assert any(seen for at, seen in used if at < 2)
    assert not any(seen for at, seen in used if 2.5 < at < 3)
    assert any(seen for at, seen in used if at > 4)
    assert all(row["scenario"] in ("ndsm", "rgb+ndsm") for row in made if row["time_ms"] > 800)
    reasons = {row["sensors"]["rgb"]["reason"] for row in made}
    assert any("lost" in reason and "trying again in" in reason for reason in reasons)


def test_recorded_video_flies_in_simulated_time_and_a_live_one_is_refused(bundle, scene, tmp_path) -> None:
    write_video(tmp_path / "v.mkv", [picture(number) for number in range(40)], rate=20)
    sources = {"rgb": f"video:{tmp_path}/v.mkv", "ndsm": f"flight:{scene}?seconds=2"}
    flight = Flight(sources=sources, speed="max", threads=1)
    summary = fly(bundle.path, tmp_path / "out", flight)
    assert summary["scenarios"]["rgb+ndsm"] >= 30
    for uri in ("video:rtsp://me:secret@cam/1", "gst:videotestsrc", "v4l2:/dev/video0"):
        with pytest.raises(SourceError, match="is a live source") as refusal:
            fly(bundle.path, tmp_path / "none", dataclasses.replace(flight, sources={"rgb": uri}))
        assert "secret" not in str(refusal.value)


class Ticking:
    """A link that gives a picture every 20 ms."""

    def check(self) -> None:
        pass

    def grabs(self, stop: threading.Event):
        while not stop.wait(0.02):
            yield Grab(np.zeros((4, 4, 3), np.uint8))


def flown(*faults: Fault, seconds: float = 1.6) -> list[Heard]:
    clock, ending = RunClock(), threading.Event()
    live = LiveSource(CAMERA, Ticking(), clock, 8)
    faulted = HeldSource(FaultedSource(live, CAMERA, FaultPlan(faults)), clock)
    feed = LiveFeed({"rgb": faulted}, ending, clock)
    feed.start()
    heard: list[Heard] = []
    while feed.now_ns() < seconds * 1e9:
        heard += [one for mail in feed.wait(round(seconds * 1e9)) for one in mail.heard]
    feed.stop()
    return heard


def test_delayed_camera_is_late_and_not_slow() -> None:
    heard = flown(Fault("rgb", "delayed", 0.3, 0.6, delay_ms=200.0))
    late = [one for one in heard if 0.55e9 < one.at_ns < 1.05e9]
    assert len(late) >= 15  # of 25; without the line, 2 or 3
    assert all(190 <= (one.at_ns - one.time_ns) / 1e6 < 400 for one in late)
    after = [one for one in heard if one.at_ns > 1.3e9]
    assert after
    assert all((one.at_ns - one.time_ns) / 1e6 < 100 for one in after)


def test_camera_that_is_off_by_a_fault_is_silent_for_so_long() -> None:
    heard = flown(Fault("rgb", "off", 0.4, 0.5), seconds=1.2)
    assert not [one for one in heard if 0.45e9 < one.at_ns < 0.85e9]
    assert [one for one in heard if one.at_ns > 0.95e9]


def test_driver_that_hangs_holds_up_neither_the_thread_nor_the_end() -> None:
    class Hanging(Ticking):
        def grabs(self, stop: threading.Event):
            time.sleep(3)
            yield Grab(None)

    clock = RunClock()
    clock.start()
    source = LiveSource(CAMERA, Hanging(), clock, 8)
    problems = []
    while clock.now_ns() < 1.4e9:
        began = time.monotonic()
        problems.append(source.next().problem)
        assert time.monotonic() - began < 0.2
    began = time.monotonic()
    source.close()
    assert time.monotonic() - began < 0.3
    assert problems[0] == ""
    assert "has not answered for 1 s" in problems[-1]


@pytest.mark.parametrize("error", [RuntimeError("bus rtsp://a:b@c/1 gone"), MemoryError(), KeyError("x")], ids=repr)
def test_whatever_a_driver_raises_is_told_without_secrets_and_tried_again(error) -> None:
    class Breaking(Ticking):
        tries = 0

        def grabs(self, stop: threading.Event):
            self.tries += 1
            if self.tries < 2:
                raise error
            yield Grab(np.zeros((4, 4, 3), np.uint8))

    clock = RunClock()
    clock.start()
    source = LiveSource(CAMERA, Breaking(), clock, 0.2)
    found = [source.next() for _ in range(12)]
    source.close()
    assert any(type(error).__name__ in delivery.problem for delivery in found)
    assert not any("a:b" in delivery.problem for delivery in found)
    assert any(delivery.frame for delivery in found)
