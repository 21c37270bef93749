"""The verb `run`: stream sensors through a bundle, a mask every tick."""

from __future__ import annotations

import argparse
import contextlib
import math
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dis2_boards.telemetry import PREFERENCES, Watch, open_telemetry
from dis2_edge import bundle as bundles
from dis2_edge.bundle import Manifest
from dis2_edge.engine_names import WANTED
from dis2_edge.errors import SourceError, UserError
from dis2_edge.files import refuse_within
from dis2_edge.terminal import say, table
from dis2_runtime import faults, rig
from dis2_runtime.engines import PRECISIONS
from dis2_runtime.fly import Flight, fly
from dis2_runtime.live_state import LiveState
from dis2_runtime.sources import SCHEMES
from dis2_runtime.stream import Limits
from dis2_runtime.voice import InlineVoice, ThreadedVoice

EXAMPLE = (
    "dis2-edge run out/bundle --source rgb=flight:DATA/flight --source ndsm=flight:DATA/flight "
    "--out out/run --seconds 20 --speed max"
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    schemes = "; ".join(f"{scheme.usage} {scheme.summary}" for scheme in SCHEMES.values())
    parser.add_argument("bundle", type=Path, help="folder made by dis2-edge deploy")
    parser.add_argument("--source", action="append", default=[], metavar="SENSOR=URI", help=schemes)
    parser.add_argument("--rig", type=Path, help="TOML file of the aircraft: sources, geometry, policy, sinks")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="overrides",
        metavar="KEY=VALUE",
        help="change a key of the rig: policy.max_skew_ms=50, sensors.rgb.max_age_ms=300",
    )
    parser.add_argument("--out", type=Path, help="new folder for what is written; without it, among the flights")
    parser.add_argument("--faults", type=Path, help="TOML file of faults to play; see dis2-edge faults")
    parser.add_argument("--seconds", type=float, help="end at this time of the run")
    parser.add_argument("--ticks", type=int, help="end after so many ticks")
    engine_words(parser)
    parser.add_argument(
        "--engines", type=Path, metavar="DIR", help="folder of TensorRT's plans (default: .engines beside the bundle)"
    )
    parser.add_argument("--state", type=Path, metavar="FILE", help="JSON of how the flight goes, written once a second")
    parser.add_argument(
        "--telemetry", choices=PREFERENCES, default="auto", help="what reads power and temperatures (auto)"
    )
    parser.add_argument("--speed", choices=("real", "max"), default="real", help="by the clock, or as fast as it goes")


def engine_words(parser: argparse.ArgumentParser) -> None:
    """Which models fly, and what runs them: for every verb that flies."""
    parser.add_argument("--precision", choices=PRECISIONS, default="int8", help="which models fly (int8)")
    parser.add_argument(
        "--engine", choices=WANTED, default="auto", help="what runs them (auto: TensorRT where it is, for its files)"
    )
    parser.add_argument("--threads", type=int, default=0, help="threads of one inference; 0: all cores")


def run(args: argparse.Namespace) -> int:
    """Fly until a limit, the end of the sources, or a signal."""
    limits = Limits(_above_zero("--ticks", args.ticks), _above_zero("--seconds", args.seconds))
    if args.threads < 0:
        raise UserError(f"--threads is {args.threads}", expected="0 or more")
    bundle = bundles.read(args.bundle)
    manifest = bundle.manifest
    for word, path in (("--engines", args.engines), ("--state", args.state)):
        if path is not None:
            refuse_within(path, args.bundle, word)
    flight = Flight(
        sources=sources_of_words(args.source),
        rig=rig.load(args.rig, args.overrides),
        faults=faults.load(args.faults, manifest.task.sensors) if args.faults else faults.FaultPlan(),
        precision=args.precision,
        engine=args.engine,
        speed=args.speed,
        limits=limits,
        threads=args.threads,
        plans=args.engines,
    )
    voice = (ThreadedVoice if args.speed == "real" else InlineVoice)(_ticks(flight, manifest))
    with _ended_by_signals() as stop, contextlib.closing(voice), contextlib.ExitStack() as stack:
        watch = stack.enter_context(Watch(open_telemetry(prefer=args.telemetry))) if args.speed == "real" else None
        read = (lambda: watch.latest.to_table()) if watch else lambda: None
        state = stack.enter_context(LiveState(args.state, bundle.id, voice.say, read)) if args.state else None
        summary = fly(args.bundle, args.out, flight, stop, voice.say, [voice, *([state] if state else [])], watch)
        if state:
            state.end(summary["ended_by"])
    _show(summary, args.out or flight.flights / summary["flight"])
    return 0


def _ticks(flight: Flight, manifest: Manifest) -> int | None:
    """How many ticks the flight is to have, as far as that can be told."""
    if flight.limits.seconds is None:
        return flight.limits.ticks
    task = flight.rig.task(manifest.task)
    policy = flight.rig.policy_over(manifest.policy, task)
    return min(round(flight.limits.seconds * policy.ticks_hz(task)), flight.limits.ticks or sys.maxsize)


def sources_of_words(words: list[str]) -> dict[str, str]:
    """Source URI by sensor, from words `SENSOR=URI`; SourceError on any that is none, or twice the same sensor."""
    sources: dict[str, str] = {}
    for word in words:
        sensor, equals, uri = word.partition("=")
        if not equals or not sensor or not uri:
            raise SourceError(f"--source {word!r}", expected="SENSOR=URI", mend="for example rgb=folder:pictures/rgb")
        if sensor in sources:
            raise SourceError(f"--source gives {sensor!r} twice", expected="one source a sensor")
        sources[sensor] = uri
    return sources


def _above_zero(name: str, value: Any) -> Any:
    if value is not None and not 0 < value < math.inf:
        raise UserError(f"{name} is {value}", expected="above 0")
    return value


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[threading.Event]:
    """An event that SIGINT, SIGTERM and a hang-up set, so that a run ends with its summary; nohup's run goes on."""
    stop = threading.Event()
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _show(summary: dict[str, Any], out: Path) -> None:
    latency = summary["latency_ms"]
    figures = ["-" if latency[key] is None else f"{latency[key]:.1f}" for key in ("p50", "p95", "p99")]
    states = [summary["states"].get(state, 0) for state in ("fresh", "held", "blind")]
    table(
        f"{summary['answered']} of {summary['due']} ticks answered in {summary['elapsed_s']:.1f} s "
        f"({summary['precision']}, ended by {summary['ended_by']})",
        ["fresh", "held", "blind", "switches", "p50 ms", "p95 ms", "p99 ms"],
        [[*states, summary["switches"], *figures]],
    )
    rows = sorted(summary["scenarios"].items(), key=lambda item: -item[1])
    table("Ticks by scenario", ["scenario", "ticks"], rows)
    rows = [
        [name, row["ticks_used"], row["dropped"], ", ".join(f"{state} {n}" for state, n in row["health"].items())]
        for name, row in summary["sensors"].items()
    ]
    table("Sensors", ["sensor", "ticks used", "frames lost", "state in ticks"], rows)
    for name, row in summary["sinks"].items():
        if row["dropped"] or row["failed"]:
            counts = f"{row['written']} written, {row['dropped']} dropped, {row['failed']} failed"
            say(f"sink {name}: {counts}: {row['reason']}")
    if summary["telemetry"]:
        say(summary["telemetry"]["told"])
    for remark in summary["remarks"]:
        say(remark)
    say(f"what was written is in {out}")
