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
from dis2_edge.settings import nearest
from dis2_edge.task import Task
from dis2_edge.terminal import progress
from dis2_runtime import sources as source_uris
from dis2_runtime.feed import SteppedFeed
from dis2_runtime.frames import Mail
from dis2_runtime.health.learning import Learner, Lesson
from dis2_runtime.rig import Rig, RigSensor
from dis2_runtime.sources import Source
from dis2_runtime.sources.shifted import ShiftedSource


@dataclass(frozen=True)
class Recording:
    """Where the frames to learn from are."""

    sources: Mapping[str, str] = field(default_factory=dict)
    """Source URI by sensor; wins over the rig's."""
    rig: Rig = field(default_factory=Rig)
    """The aircraft that recorded."""
    seconds: float = 300.0
    """At most so much of it."""


def fit(bundle_path: Path, recording: Recording, out: Path) -> list[Lesson]:
    """Learn the limits of every sensor that has a source and write them to `out`, a fragment of a rig.

    DataError when the recording is too short for a sensor, SourceError when a source cannot be replayed, StorageError
    when `out` exists: it might be a whole rig.
    """
    check_free(out)
    task = recording.rig.task(bundles.read(bundle_path).manifest.task)
    sources = _sources(task, recording)
    learners = {name: Learner(task.sensor(name)) for name in sources}
    try:
        for source in sources.values():
            source.open()
        for mail in progress(_replayed(sources, recording.seconds), "replaying"):
            _learn(learners[mail.sensor], mail)
    finally:
        for source in sources.values():
            source.close()
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


def _sources(task: Task, recording: Recording) -> dict[str, Source]:
    """The sources, not opened yet, with their offsets."""
    rig = recording.rig
    uris = {name: (settings.source, rig.base) for name, settings in rig.sensors.items() if settings.source}
    uris |= {name: (uri, Path()) for name, uri in recording.sources.items()}
    if not uris:
        raise SourceError("no sensor has a source", expected="one or more", mend="give --source SENSOR=URI or --rig")
    made: dict[str, Source] = {}
    for name, (uri, base) in uris.items():
        if name not in task.sensor_names:
            raise SourceError(f"--source: unknown sensor {name!r}", mend=nearest(name, task.sensor_names))
        address = source_uris.parse(uri, base)
        if source_uris.is_live(address):
            raise SourceError(f"{address.uri} is a live source", expected="a recording", mend="record it first")
        offset_ms = rig.sensors.get(name, RigSensor()).offset_ms
        source = source_uris.make_source(task.sensor(name), task.grid, address)
        made[name] = ShiftedSource(source, offset_ms) if offset_ms else source
    return made
