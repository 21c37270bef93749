"""Late frames of a live source wait in line: none is lost or waits for the next; the line ends with its source."""

from __future__ import annotations

import dataclasses
import itertools
import threading
import time

import numpy as np
import pytest
from tiny_bundle import RGB

from dis2_edge.errors import SourceError
from dis2_runtime.clock import RunClock
from dis2_runtime.faults import Fault, FaultedSource, FaultPlan
from dis2_runtime.feed import LiveFeed
from dis2_runtime.frames import Delivery, Frame, Heard
from dis2_runtime.health.judge import Judge
from dis2_runtime.sources.held import MOST_HELD, HeldSource
from dis2_runtime.sources.live import Grab, LiveSource

CAMERA = dataclasses.replace(RGB, rate_hz=20.0, max_age_ms=300.0)
PIXELS = np.zeros((4, 4, 3), np.uint8)


class Jittery:
    """A link that gives a picture every 50 ms, give or take 5."""

    def check(self) -> None:
        pass

    def grabs(self, stop: threading.Event):
        random, begin = np.random.default_rng(0), time.monotonic()
        for number in itertools.count(1):
            due = begin + (number + random.uniform(-0.1, 0.1)) / CAMERA.rate_hz
            if stop.wait(max(0.0, due - time.monotonic())):
                return
            yield Grab(PIXELS)


class Listed:
    """Deliveries of a list, then an error or the end."""

    def __init__(self, deliveries: list[Delivery], error: Exception | None = None) -> None:
        self._left, self._error = list(deliveries), error

    def open(self) -> None:
        pass

    def next(self) -> Delivery | None:
        if not self._left and self._error:
            raise self._error
        return self._left.pop(0) if self._left else None

    def close(self) -> None:
        pass


def delivery(number: int, due_ns: int = 0) -> Delivery:
    return Delivery(due_ns, Frame("rgb", PIXELS, 0, number))


def held(*given: Delivery, error: Exception | None = None) -> HeldSource:
    clock = RunClock()
    clock.start()
    return HeldSource(Listed(list(given), error), clock)


def flown(fault: Fault, seconds: float) -> list[Heard]:
    clock, ending = RunClock(), threading.Event()
    source = HeldSource(FaultedSource(LiveSource(CAMERA, Jittery(), clock, 8), CAMERA, FaultPlan((fault,))), clock)
    feed = LiveFeed({"rgb": source}, ending, clock)
    feed.start()
    heard: list[Heard] = []
    while feed.now_ns() < seconds * 1e9:
        heard += [one for mail in feed.wait(round(seconds * 1e9)) for one in mail.heard]
    feed.stop()
    return heard


def test_delay_of_whole_periods_makes_no_pairs_and_its_end_no_gaps() -> None:
    heard = flown(Fault("rgb", "delayed", 0.5, 1.5, delay_ms=200.0), seconds=3.0)
    periods = [(after.at_ns - before.at_ns) / 50e6 for before, after in itertools.pairwise(heard)]
    assert all(after.sequence == before.sequence + 1 for before, after in itertools.pairwise(heard))
    late = [(one.at_ns - one.time_ns) / 1e6 for one in heard if 0.5e9 < one.time_ns < 1.8e9]
    assert 200 <= np.median(late) < 215  # with frames that wait for the next one: 245
    assert sum(gap > CAMERA.health.gap_periods for gap in periods) <= 2  # where it begins, and one of a busy machine
    judge = Judge(CAMERA)
    for one in heard:
        judge.hear(one)
    assert judge.health(heard[-1].at_ns).state == "ok"


def test_line_keeps_its_order_and_ends_with_its_source() -> None:
    source = held(delivery(1), delivery(2, 30_000_000), delivery(3, 30_000_000))
    found = list(iter(source.next, None))
    assert [one.frame.sequence for one in found if one.frame] == [1, 2, 3]
    assert source.next() is None
    source.close()


def test_what_the_source_raises_comes_after_what_it_gave() -> None:
    source = held(delivery(1, 20_000_000), error=SourceError("gone"))
    assert source.next().frame.sequence == 1
    with pytest.raises(SourceError, match="gone"):
        source.next()
    source.close()


def test_what_is_not_due_keeps_nobody_for_longer_than_a_tenth_of_a_second() -> None:
    source = held(delivery(1, 3_600 * 10**9))
    began = time.monotonic()
    assert source.next().frame is None
    assert time.monotonic() - began < 0.2
    waiter = threading.Thread(target=source.next)
    waiter.start()
    source.close()
    waiter.join(0.2)
    assert not waiter.is_alive()
    assert source.next() is None


def test_line_is_short_and_loses_its_oldest() -> None:
    source = held(*(delivery(number, 200_000_000) for number in range(MOST_HELD + 10)))
    found = [one.frame.sequence for one in iter(source.next, None) if one.frame]
    assert found == list(range(10, MOST_HELD + 10))
    source.close()


def test_source_that_hangs_holds_up_no_end() -> None:
    class Hanging(Listed):
        def next(self) -> Delivery | None:
            time.sleep(1)
            return None

    clock = RunClock()
    clock.start()
    source = HeldSource(Hanging([]), clock)
    assert source.next().frame is None
    began = time.monotonic()
    source.close()
    assert time.monotonic() - began < 0.3
