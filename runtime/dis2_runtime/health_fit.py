"""`dis2-edge health fit` as a function: replay a recording in simulated time, learn the limits, write them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dis2_edge import bundle as bundles
from dis2_edge.errors import SourceError
from dis2_edge.files import check_free, write_text
from dis2_edge.limits import HealthLimits
from dis2_edge.terminal import progress
from dis2_runtime.clock import RunClock
from dis2_runtime.feed import SteppedFeed
from dis2_runtime.fly import Flight, opened, sources_of
from dis2_runtime.frames import Mail
from dis2_runtime.health.learning import Learner, Lesson
from dis2_runtime.poses.track import load as load_track
from dis2_runtime.rig import Rig
from dis2_runtime.sources import Source


@dataclass(frozen=True)
class Recording:
    """Where the frames to learn from are."""

    sources: Mapping[str, str] = field(default_factory=dict)
    """Source URI by sensor; wins over the rig's."""
    rig: Rig = field(default_factory=Rig)
    """The aircraft that recorded."""
    seconds: float = 300.0
    """At most so much of it."""
    trust: bool = False
    """Whether also frames teach that look like a fault."""


def fit(bundle_path: Path, recording: Recording, out: Path) -> list[Lesson]:
    """Learn the limits of every sensor that has a source and write them to `out`, a fragment of a rig.

    DataError when the recording is too short for a sensor, SourceError when a source cannot be replayed, StorageError
    when `out` exists: it might be a whole rig.
    """
    check_free(out)
    manifest, rig = bundles.read(bundle_path).manifest, recording.rig
    task, trained = rig.task(manifest.task), {row.name: row for row in manifest.statistics}
    flight, track = Flight(recording.sources, rig, speed="max"), load_track(rig.poses, rig.base)
    with opened(sources_of(flight, task, RunClock(), track)) as sources:
        learners = {name: Learner(task.sensor(name), trained.get(name), trust=recording.trust) for name in sources}
        for mail in progress(_replayed(sources, recording.seconds), "replaying"):
            _learn(learners[mail.sensor], mail)
    lessons = [learner.lesson() for learner in learners.values()]
    write_text(out, fragment(lessons))
    return lessons


def fragment(lessons: Sequence[Lesson]) -> str:
    """The TOML that a rig can hold: what differs from the defaults, sensor by sensor."""
    lines = ["# Learned by dis2-edge health fit. Put these tables into the rig, or fly with this file as the rig."]
    for lesson in lessons:
        lines += ["", f"[sensors.{lesson.sensor}]", f"rate_hz = {lesson.rate_hz}"]
        lines += ["", f"[sensors.{lesson.sensor}.health]  # from {lesson.frames} frames in {lesson.seconds:.0f} s"]
        usual = dataclasses.asdict(HealthLimits())
        learned = dataclasses.asdict(lesson.limits)
        lines += [f"{key} = {_toml(value)}" for key, value in learned.items() if value != usual[key]]
    return "\n".join(lines) + "\n"


def _toml(value: float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _learn(learner: Learner, mail: Mail) -> None:
    if mail.failed:
        raise SourceError(f"the source of {mail.sensor!r} failed: {mail.ended}")
    for heard in mail.heard:
        learner.hear(heard)
    if mail.frame is not None:
        learner.see(mail.frame)


def _replayed(sources: dict[str, Source], seconds: float) -> Iterator[Mail]:
    feed, end_ns = SteppedFeed(sources), round(seconds * 1e9)
    feed.start()
    while feed.alive() and feed.now_ns() < end_ns:
        yield from feed.wait(end_ns)
