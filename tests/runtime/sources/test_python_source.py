"""A user's iterator: live it never blocks and the latest wins; paced it is a recording; its faults stay its own."""

from __future__ import annotations

import dataclasses
import itertools
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opened import opened
from scripted import flown
from tiny_bundle import NDSM, RGB, ground

from dis2_edge.bundle import Bundle
from dis2_edge.errors import SourceError
from dis2_runtime.clock import RunClock
from dis2_runtime.fly import Flight, fly
from dis2_runtime.frames import Delivery
from dis2_runtime.sources import Source, is_live, make_source, parse
from dis2_runtime.stream import Limits

GRID = (24, 32)
PIXELS = np.full((*GRID, 3), 90, np.uint8)


@pytest.fixture
def camera(monkeypatch) -> types.ModuleType:
    """A module that can be imported as `my_camera`."""
    module = types.ModuleType("my_camera")
    monkeypatch.setitem(sys.modules, "my_camera", module)
    return module


def live(clock: RunClock | None = None, options: str = "") -> Source:
    clock = clock or RunClock()
    clock.start()
    source = make_source(RGB, GRID, parse(f"python:my_camera:frames{options}"), clock)
    source.open()
    return source


def until_end(source: Source, most_s: float = 3.0) -> list[Delivery]:
    """What is delivered, without the empty ones, to the end."""
    found, end = [], time.monotonic() + most_s
    while time.monotonic() < end:
        delivery = source.next()
        if delivery is None:
            return found
        if delivery.frame or delivery.problem:
            found.append(delivery)
    raise AssertionError("no end")


def one_by_one(*items: Any) -> Callable[..., Iterator[Any]]:
    """An iterator slow enough that each item is seen."""

    def frames(sensor) -> Iterator[Any]:
        for item in items:
            yield item
            time.sleep(0.02)

    return frames


def test_live_frames_are_stamped_by_themselves_or_by_arrival(camera) -> None:
    begin = time.monotonic_ns()
    camera.frames = one_by_one(PIXELS, (PIXELS, begin - 5_000_000), (PIXELS[..., 0], None, 7), (PIXELS,))
    clock = RunClock()
    source = live(clock)
    plain, stamped, numbered, last = (delivery.frame for delivery in until_end(source))
    assert (plain.stamped, stamped.stamped, numbered.stamped) == (False, True, False)
    assert stamped.time_ns == clock.from_monotonic(begin - 5_000_000)
    assert 0 <= plain.time_ns <= clock.now_ns()
    assert [frame.sequence for frame in (plain, stamped, numbered, last)] == [0, 1, 7, 8]
    assert numbered.pixels.shape == (*GRID, 1)
    source.close()


def test_latest_wins_and_what_was_passed_over_is_a_gap(camera) -> None:
    done = threading.Event()

    def frames(sensor):
        yield from (np.full_like(PIXELS, value) for value in range(6))
        done.set()

    camera.frames = frames
    source = live()
    source.next()
    assert done.wait(2)
    found = until_end(source)
    assert [delivery.frame.sequence for delivery in found] in ([5], [])
    source.close()


def test_silent_iterator_gives_empty_deliveries_within_200_ms_and_is_left_behind(camera) -> None:
    asked = threading.Event()

    def frames(sensor):
        asked.wait(20)
        yield PIXELS

    camera.frames = frames
    source = live()
    begin = time.monotonic()
    assert source.next() == Delivery(pytest.approx(1e8, abs=1e8), None)
    assert time.monotonic() - begin < 0.2
    source.close()
    assert time.monotonic() - begin < 0.5
    asked.set()


def test_iterators_own_buffer_may_be_used_again(camera) -> None:
    buffer = PIXELS.copy()

    def frames(sensor):
        yield buffer
        time.sleep(0.02)
        buffer[:] = 0
        yield buffer

    camera.frames = frames
    first, second = until_end(live())
    assert (first.frame.pixels == 90).all()
    assert (second.frame.pixels == 0).all()


@pytest.mark.parametrize(
    ("item", "told"),
    [
        (None, "NoneType"),
        ([[1, 2]], "list"),
        ("frame", "str"),
        ((), r"\(\)"),
        ((PIXELS, 1.5), r"\(an array of shape \(24, 32, 3\), uint8, float\)"),
        ((PIXELS, 1, 2, 3), "int, int, int"),
        ((PIXELS, True), "bool"),
        (np.array([object()]), "object"),
        (np.zeros(5), r"shape \(5,\)"),
    ],
)
def test_wrong_item_is_a_problem_and_the_next_frame_flies(camera, item, told) -> None:
    camera.frames = one_by_one(item, PIXELS)
    problem, frame = until_end(live())
    with pytest.raises(AssertionError, match=f"the iterator gave .*{told}.*expected an array, "):
        raise AssertionError(problem.problem)
    assert frame.frame is not None


def test_iterator_that_raises_ends_its_sensor_with_the_reason(camera) -> None:
    def frames(sensor):
        yield PIXELS
        raise RuntimeError("USB gone")

    camera.frames = frames
    with pytest.raises(SourceError, match="python:my_camera:frames raised RuntimeError: USB gone"):
        until_end(live())


def test_iterator_that_exits_ends_only_itself(camera) -> None:
    def frames(sensor):
        yield PIXELS
        sys.exit("enough")

    camera.frames = frames
    with pytest.raises(SourceError, match="raised SystemExit: enough"):
        until_end(live())


def test_function_that_is_no_iterator_or_raises_ends_with_the_reason(camera) -> None:
    camera.frames = lambda sensor: None
    with pytest.raises(SourceError, match="TypeError: 'NoneType' object is not iterable"):
        until_end(live())
    camera.frames = lambda: iter(())
    with pytest.raises(SourceError, match="TypeError"):
        until_end(live())


def test_options_reach_the_function_and_closing_the_generator(camera) -> None:
    closed, given = threading.Event(), {}

    def frames(sensor, **options):
        given.update(options, sensor=sensor.name)
        try:
            while True:
                yield PIXELS
                time.sleep(0.005)
        finally:
            closed.set()

    camera.frames = frames
    source = live(options="?device=2&paced=0")
    source.next()
    source.close()
    assert closed.wait(1)
    assert given == {"device": "2", "sensor": "rgb"}


def test_paced_iterator_is_a_recording(camera) -> None:
    camera.frames = lambda sensor: iter([(PIXELS, 0), (PIXELS, 0.25), (PIXELS, 0.2), PIXELS, (PIXELS, np.float32(1))])
    assert not is_live(parse("python:my_camera:frames?paced=1"))
    assert is_live(parse("python:my_camera:frames"))
    source = opened("python:my_camera:frames?paced=1")
    found = [source.next() for _ in range(6)]
    assert found[5] is None
    assert [delivery.due_ns / 1e6 for delivery in found[:5]] == [0, 250, 250, 350, 1000]
    assert [d.frame.time_ns / 1e6 if d.frame else None for d in found[:5]] == [0, 250, 200, None, 1000]
    assert found[3].problem == "the iterator gave an array of shape (24, 32, 3), uint8, expected (array, time_s)"
    source.close()


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.none(), st.tuples(st.just(PIXELS), st.one_of(st.floats(), st.integers(), st.booleans(), st.text()))
        ),
        max_size=12,
    )
)
def test_whatever_a_paced_iterator_gives_time_never_goes_back(items) -> None:
    module = types.ModuleType("my_fuzz")
    module.frames = lambda sensor: iter(items)
    sys.modules["my_fuzz"] = module
    source = opened("python:my_fuzz:frames?paced=1")
    found = list(itertools.takewhile(lambda delivery: delivery is not None, iter(source.next, 0)))
    assert len(found) == len(items)
    assert all(a.due_ns <= b.due_ns for a, b in itertools.pairwise(found))


def test_raising_iterator_takes_only_its_own_sensor_out_of_the_flight(two: Bundle, camera) -> None:
    random = np.random.default_rng(0)

    def frames(sensor):
        for number in range(10):
            yield ground(NDSM, GRID, random), number / 5
        raise RuntimeError("driver died")

    camera.frames = frames
    source = opened("python:my_camera:frames?paced=1", NDSM)
    outcomes = flown(two, 4, sources={"ndsm": source})
    assert {outcome.scenario for outcome in outcomes[2:15]} == {"rgb+ndsm"}
    assert outcomes[-1].scenario == "rgb"
    assert "RuntimeError: driver died" in outcomes[-1].why


def test_live_iterator_flies_in_real_time_only(two: Bundle, camera, tmp_path) -> None:
    random = np.random.default_rng(0)

    def frames(sensor):
        while True:
            yield ground(RGB, GRID, random)
            time.sleep(0.1)

    camera.frames = frames
    flight = Flight({"rgb": "python:my_camera:frames"}, threads=1, limits=Limits(seconds=1))
    summary = fly(two.path, tmp_path / "out", flight)
    assert summary["scenarios"]["rgb"] >= 6
    assert summary["sensors"]["rgb"]["health"]["ok"] >= 6
    with pytest.raises(SourceError, match="is a live source; expected recorded ones in simulated time"):
        fly(two.path, tmp_path / "max", dataclasses.replace(flight, speed="max"))


def test_module_is_found_where_the_rig_lies(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "lone_camera.py").write_text("def frames(sensor):\n    yield from ()\n")
    source = make_source(RGB, GRID, parse("python:lone_camera:frames?paced=1", tmp_path))
    source.open()
    assert source.next() is None
    sys.modules.pop("lone_camera")


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (
            "no_such_camera:frames",
            "No module named 'no_such_camera'; expected an installed module, or no_such_camera.py",
        ),
        ("my_camera", "names no function; expected python:MODULE:FUNCTION"),
        ("my_camera:", "names no function"),
        ("my_camera:frame", "my_camera has no function 'frame'"),
        ("broken_camera:frames", "importing broken_camera raised SyntaxError"),
        ("hungry_camera:frames", "No module named 'no_such_driver'$"),
        ("my_camera:frames?paced=maybe", "paced is 'maybe'; expected 0 or 1"),
    ],
)
def test_function_that_is_not_there_is_refused(camera, tmp_path, monkeypatch, place, message) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    camera.frames = lambda sensor: iter(())
    (tmp_path / "broken_camera.py").write_text("def frames(:\n")
    (tmp_path / "hungry_camera.py").write_text("import no_such_driver\n")
    with pytest.raises(SourceError, match=message):
        make_source(RGB, GRID, parse(f"python:{place}", tmp_path)).open()


def test_a_recorded_iterator_that_hangs_is_left_behind_and_the_flight_has_its_summary(camera, two, tmp_path) -> None:
    freed = threading.Event()

    def frames(sensor: Any) -> Iterator[Any]:
        yield PIXELS, 0.0
        freed.wait(10)

    camera.frames = frames
    flight = Flight(sources={"rgb": "python:my_camera:frames?paced=1"}, limits=Limits(seconds=0.5), threads=1)
    summary = fly(two.path, tmp_path / "out", flight)
    freed.set()
    assert summary["ended_by"] == "seconds"
