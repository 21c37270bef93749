"""Feeds: the latest frame wins, no thread dies silently, and simulated time needs none of the real one."""

from __future__ import annotations

import dataclasses
import threading
import time

import pytest
from scripted import ScriptedSource, steady
from tiny_bundle import NDSM, RGB

from dis2_runtime.feed import AT_END, LiveFeed, SteppedFeed
from dis2_runtime.frames import Delivery

MS = 1_000_000
FAST = dataclasses.replace(RGB, rate_hz=200.0)


def live(**sources) -> LiveFeed:
    return LiveFeed(sources, threading.Event())


def gathered(feed, seconds: float) -> list:
    mails, end_ns = [], round(seconds * 1e9)
    while feed.now_ns() < end_ns and feed.alive():
        mails += feed.wait(end_ns)
    return mails + feed.wait(feed.now_ns())


@pytest.mark.parametrize("make", [SteppedFeed, lambda sources: live(**sources)], ids=["stepped", "live"])
@pytest.mark.parametrize("error", [RuntimeError("bus gone"), MemoryError(), KeyError("x")], ids=repr)
def test_source_that_raises_is_reported_and_the_others_go_on(make, error) -> None:
    def breaking():
        yield from steady(FAST, (4, 4), 2)
        yield error

    feed = make({"rgb": ScriptedSource(breaking()), "ndsm": ScriptedSource(steady(FAST, (4, 4), 30))})
    feed.start()
    mails = gathered(feed, 5)
    feed.stop()
    ends = {mail.sensor: mail for mail in mails if mail.ended}
    assert ends["rgb"].failed
    assert type(error).__name__ in ends["rgb"].ended
    assert (ends["ndsm"].ended, ends["ndsm"].failed) == (AT_END, False)
    assert sum(len(mail.heard) for mail in mails if mail.sensor == "ndsm") == 30


def test_stepped_mail_comes_in_order_of_arrival_and_at_its_time() -> None:
    sources = {"ndsm": ScriptedSource(steady(NDSM, (4, 4), 3)), "rgb": ScriptedSource(steady(RGB, (4, 4), 5))}
    feed = SteppedFeed(sources)
    feed.start()
    found = []
    while feed.alive():
        found += [(feed.now_ns() // MS, mail.sensor, mail.frame.sequence) for mail in feed.wait(10**12) if mail.frame]
    assert found == [
        (0, "ndsm", 0),
        (0, "rgb", 0),
        (100, "rgb", 1),
        (200, "ndsm", 1),
        (200, "rgb", 2),
        (300, "rgb", 3),
        (400, "ndsm", 2),
        (400, "rgb", 4),
    ]


def test_stepped_time_jumps_to_the_tick_when_nothing_comes_and_never_goes_back() -> None:
    feed = SteppedFeed({"rgb": ScriptedSource(steady(RGB, (4, 4), 3))})
    feed.start()
    began = time.monotonic()
    feed.wait(0)
    assert feed.wait(50 * MS) == []
    assert feed.now_ns() == 50 * MS
    assert feed.wait(10 * MS) == []
    assert feed.now_ns() == 50 * MS
    feed.wait(3600 * 10**9)
    assert feed.now_ns() == 100 * MS
    assert time.monotonic() - began < 1


def test_latest_frame_wins_and_every_arrival_is_heard() -> None:
    feed = live(rgb=ScriptedSource(steady(FAST, (4, 4), 20)))
    feed.start()
    while feed.alive():
        time.sleep(0.01)  # a stream that is busy elsewhere
    (mail,) = feed.wait(10**10)
    feed.stop()
    assert [heard.sequence for heard in mail.heard] == list(range(20))
    assert mail.frame.sequence == 19
    assert mail.ended == AT_END


def test_live_arrivals_keep_the_rhythm() -> None:
    feed = live(rgb=ScriptedSource(steady(FAST, (4, 4), 20)))
    feed.start()
    heard = [heard for mail in gathered(feed, 5) for heard in mail.heard]
    feed.stop()
    assert all(0 <= one.at_ns - one.time_ns < 500 * MS for one in heard)


def test_waiting_ends_soon_after_it_was_told_to_and_sources_are_closed() -> None:
    source, ending = ScriptedSource(iter([Delivery(10**15, None)])), threading.Event()
    feed = LiveFeed({"rgb": source}, ending)
    feed.start()
    threading.Timer(0.1, ending.set).start()
    began = time.monotonic()
    assert feed.wait(10**15) == []
    feed.stop()
    assert time.monotonic() - began < 0.6
    assert source.closed


def test_driver_that_hangs_does_not_hold_up_the_end() -> None:
    class Hanging(ScriptedSource):
        def next(self) -> Delivery | None:
            time.sleep(3)
            return None

    feed = live(rgb=Hanging(iter(())))
    feed.start()
    began = time.monotonic()
    feed.stop()
    assert time.monotonic() - began < 0.6


@pytest.mark.parametrize("make", [SteppedFeed, lambda sources: live(**sources)], ids=["stepped", "live"])
@pytest.mark.parametrize("lost", [False, True], ids=["damaged", "lost"])
def test_unreadable_delivery_is_mail_without_a_frame(make, lost) -> None:
    feed = make({"rgb": ScriptedSource(iter([Delivery(0, None, "cut short", lost)]))})
    feed.start()
    mails = feed.wait(0) + feed.wait(50_000_000)
    feed.stop()
    assert [(mail.problem, mail.lost) for mail in mails if mail.problem] == [("cut short", lost)]


@pytest.mark.parametrize("make", [SteppedFeed, lambda sources: live(**sources)], ids=["stepped", "live"])
def test_a_source_that_cannot_be_closed_is_told_and_the_others_are_closed_all_the_same(make, capsys) -> None:
    class Stuck(ScriptedSource):
        def close(self) -> None:
            raise OSError("bus gone: rtsp://me:hush@cam")

    other = ScriptedSource(iter(()))
    feed = make({"rgb": Stuck(iter(())), "ndsm": other})
    feed.start()
    feed.stop()
    shown = capsys.readouterr().err
    assert "the source of 'rgb' was not closed well: OSError: bus gone" in shown
    assert "hush" not in shown
    assert other.closed
