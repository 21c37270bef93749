"""Fly a bundle: put sources, faults, engine, stream and sinks together, run, sum up. The verb `run` as a function."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from dis2_boards.telemetry import Watch
from dis2_edge import bundle as bundles
from dis2_edge.bundle import Bundle, Policy
from dis2_edge.engine_names import Wanted
from dis2_edge.errors import SourceError
from dis2_edge.files import check_free, refuse_within, write_json
from dis2_edge.manifest import Precision
from dis2_edge.settings import nearest
from dis2_edge.task import Task
from dis2_edge.timing import describe_machine
from dis2_runtime import sources as source_uris
from dis2_runtime.align.aligner import Aligner
from dis2_runtime.align.tiler import output_task, tiled
from dis2_runtime.clock import RunClock
from dis2_runtime.engines import rungs
from dis2_runtime.faults import FaultedSource, FaultPlan
from dis2_runtime.feed import Feed, LiveFeed, SteppedFeed, close_sources
from dis2_runtime.flights import QUOTA_MB, Quota, new_flight
from dis2_runtime.guard import EngineGuard, Rung
from dis2_runtime.poses.track import PoseTrack
from dis2_runtime.poses.track import load as load_track
from dis2_runtime.rig import Rig, RigSensor
from dis2_runtime.sinks import Sink, open_sinks
from dis2_runtime.sinks.outlets import Outlets
from dis2_runtime.sources import Source
from dis2_runtime.sources.held import HeldSource
from dis2_runtime.sources.inverted import InvertedSource
from dis2_runtime.sources.scene import refuse_apart
from dis2_runtime.sources.shifted import ShiftedSource
from dis2_runtime.stream import Limits, Stream

_LIVE = "record it first, or fly without --speed max"


@dataclass(frozen=True)
class Flight:
    """What a run is made of, besides the bundle."""

    sources: Mapping[str, str] = field(default_factory=dict)
    """Source URI by sensor; wins over the rig's."""
    rig: Rig = field(default_factory=Rig)
    """The aircraft."""
    faults: FaultPlan = field(default_factory=FaultPlan)
    """What goes wrong on purpose."""
    precision: Precision = "int8"
    """Which models fly."""
    engine: Wanted = "auto"
    """What runs them: TensorRT where bundle and machine have it, unless one is named."""
    speed: Literal["real", "max"] = "real"
    """real: by the clock; max: simulated time, as fast as it goes, the same on every machine."""
    limits: Limits = field(default_factory=Limits)
    """When to end."""
    threads: int = 0
    """Threads of one inference; 0 takes all cores."""
    plans: Path | None = None
    """Folder of TensorRT's plans; beside the bundle when None."""

    @property
    def flights(self) -> Path:
        """Where a run without an `out` of its own makes its folder."""
        return self.rig.base / self.rig.output.folder


def fly(
    bundle_path: Path,
    out: Path | None,
    flight: Flight,
    stop: threading.Event | None = None,
    announce: Callable[[str], None] = lambda text: None,
    watchers: Sequence[Sink] = (),
    watch: Watch | None = None,
) -> dict[str, Any]:
    """Run the bundle at `bundle_path` and write masks/, telemetry.jsonl and summary.json to `out`; returns the summary.

    Without `out` that is a new folder among the rig's flights, whose name is the summary's `flight`. Everything is read
    and checked before a folder is made. `stop` ends the run from another thread or a signal handler. `announce` gets a
    line for every change of scenario and for the first loss of a sink. `watchers` see every outcome, in line, before
    it is written: they must be quick. `watch`, entered already, is what reads the board's sensors meanwhile; in
    simulated time, which has no energy, it is left alone. Raises UserErrors only.
    """
    if out is not None:
        check_free(out)
    refuse_within(out or flight.flights, bundle_path)
    bundle = bundles.read(bundle_path)
    bundles.verify_hashes(bundle)
    modelled = flight.rig.task(bundle.manifest.task)
    task = output_task(modelled)
    policy = flight.rig.policy_over(bundle.manifest.policy, task)
    stop = stop or threading.Event()
    with contextlib.ExitStack() as stack:
        clock, track = RunClock(), load_track(flight.rig.poses, flight.rig.base)
        sources = stack.enter_context(opened(sources_of(flight, task, clock, track)))
        guard = stack.enter_context(EngineGuard(rungs_of(bundle, flight, modelled)))
        aligner = Aligner(task, flight.rig.remaps())
        folder, barrier = stack.enter_context(_place(flight, out))
        outlets = _open_outlets(flight, folder, task, policy, announce, barrier)
        stack.callback(outlets.close)
        watch = watch if flight.speed == "real" else None
        board = watch.row if watch else lambda: None
        stream = Stream(bundle.manifest, task, policy, guard, [*watchers, *outlets.sinks], aligner, track, board)
        feed = feed_of(flight, sources, stop, clock)
        try:
            ended_by = stream.run(feed, flight.limits, stop, announce)
        finally:
            feed.stop()
        elapsed_s = feed.now_ns() / 1e9
        outlets.close()
        summary = _summary(stream, bundle, flight, ended_by, elapsed_s, guard)
        summary["telemetry"] = _sensed(watch, stream)
        summary |= {"flight": folder.name, "sinks": outlets.table(), "remarks": outlets.remarks()}
        write_json(folder / "summary.json", summary)
    return summary


def rungs_of(bundle: Bundle, flight: Flight, modelled: Task) -> list[Rung]:
    """The engines that stand in for one another, each made to answer on the frames' grid where they come in tiles."""
    return [
        Rung(rung.name, lambda rung=rung: tiled(rung.open(), modelled))  # type: ignore[misc]
        for rung in rungs(bundle, flight.precision, flight.threads, flight.engine, flight.plans)
    ]


def sources_of(flight: Flight, task: Task, clock: RunClock, track: PoseTrack | None) -> dict[str, Source]:
    """A source for every sensor that has a URI, with its fault, offset and polarity around it."""
    uris = {
        name: (settings.source, flight.rig.base) for name, settings in flight.rig.sensors.items() if settings.source
    }
    uris |= {name: (uri, Path()) for name, uri in flight.sources.items()}
    for name in uris:
        if name not in task.sensor_names:
            raise SourceError(f"--source: unknown sensor {name!r}", mend=nearest(name, task.sensor_names))
    if not uris:
        raise SourceError("no sensor has a source", expected="one or more", mend="give --source SENSOR=URI or --rig")
    made: dict[str, Source] = {}
    for name, (uri, base) in uris.items():
        sensor = task.sensor(name)
        address = source_uris.parse(uri, base)
        live = source_uris.is_live(address)
        if flight.speed == "max" and live:
            raise SourceError(f"{address.uri} is a live source", expected="recorded ones in simulated time", mend=_LIVE)
        made[name] = source_uris.make_source(sensor, task.grid, address, clock, track)
        settings = flight.rig.sensors.get(name, RigSensor())
        if settings.offset_ms:
            made[name] = ShiftedSource(made[name], settings.offset_ms)
        if settings.inverted:
            made[name] = InvertedSource(made[name], sensor)
        if any(fault.sensor == name for fault in flight.faults.fault):
            made[name] = FaultedSource(made[name], sensor, flight.faults)
            made[name] = HeldSource(made[name], clock) if live else made[name]
    return made


def feed_of(flight: Flight, sources: Mapping[str, Source], stop: threading.Event, clock: RunClock) -> Feed:
    """Simulated time, or real time by `clock` until `stop`."""
    return SteppedFeed(sources) if flight.speed == "max" else LiveFeed(sources, stop, clock)


@contextlib.contextmanager
def opened(sources: dict[str, Source]) -> Iterator[dict[str, Source]]:
    """All sources open; on the way out all are closed."""
    try:
        for source in sources.values():
            source.open()
        refuse_apart(sources)
        yield sources
    finally:
        close_sources(sources)


@contextlib.contextmanager
def _place(flight: Flight, out: Path | None) -> Iterator[tuple[Path, Callable[[], str]]]:
    """The folder of this flight, and what says why no more pictures may go there."""
    quota_mb = flight.rig.output.quota_mb or (QUOTA_MB if out is None else None)
    with contextlib.ExitStack() as stack:
        folder = out or stack.enter_context(new_flight(flight.flights))
        if quota_mb is None:
            yield folder, lambda: ""
        else:
            quota = Quota(folder, quota_mb, None if out else flight.flights)
            yield folder, stack.enter_context(quota).barrier


def _open_outlets(
    flight: Flight,
    folder: Path,
    task: Task,
    policy: Policy,
    announce: Callable[[str], None],
    barrier: Callable[[], str],
) -> Outlets:
    rig, live = flight.rig, flight.speed == "real"
    rate_hz = policy.ticks_hz(task)
    sinks = open_sinks(rig.sinks, folder, task, rig.output, rig.geotiff, rate_hz=rate_hz, durable=live)
    return Outlets(sinks, task, announce, barrier, live=live)


def _sensed(watch: Watch | None, stream: Stream) -> dict[str, Any] | None:
    """What the board's sensors told over the flight; the energy is that of all of it for each fresh mask."""
    if watch is None:
        return None
    found, fresh = watch.watched(), stream.totals.states["fresh"]
    joules = found.joules_a_frame(fresh)
    told = {"joules_a_frame": None if joules is None else round(joules, 4), "told": found.told(fresh)}
    return {**found.to_table(), **told}


def described(bundle: Bundle, flight: Flight) -> dict[str, Any]:
    """What flies and how, as plain values."""
    return {
        "bundle": {"id": bundle.id, "name": bundle.manifest.name, "network": bundle.manifest.network},
        "precision": flight.precision,
        "speed": flight.speed,
        "threads": flight.threads,
    }


def _summary(
    stream: Stream, bundle: Bundle, flight: Flight, ended_by: str, elapsed_s: float, guard: EngineGuard
) -> dict[str, Any]:
    return {
        **described(bundle, flight),
        "served_scenarios": list(guard.served),
        "machine": dataclasses.asdict(describe_machine()),
        "ended_by": ended_by,
        "elapsed_s": round(elapsed_s, 3),
        "due": stream.due,
        **stream.totals.table(),
    }
