"""The soak: a hundred thousand ticks in real time with a fault every second; memory, files and threads must stay flat.

    python -m benchmarks.soak [--ticks 100000] [--rate 250] [--out docs/soak]

It flies a bundle of the test kit, whose engine takes far less than 5 ms, over a synthetic scene, with the threads,
mailboxes, outboxes and sinks (telemetry, MCAP) of a real flight. Ends with 1 when after the first fifth memory grew by
2 MB or more, a file descriptor or a thread stayed, or a tick was not answered.
"""

from __future__ import annotations

import argparse
import dataclasses
import gc
import os
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dis2_edge.bundle import Policy
from dis2_edge.files import write_json, write_text
from dis2_edge.report.svg import line, rect, round_steps, words
from dis2_edge.terminal import note, say
from dis2_edge.timing import describe_machine
from dis2_runtime.faults import KINDS, Fault, FaultPlan
from dis2_runtime.fly import Flight, fly
from dis2_runtime.rig import Rig
from dis2_runtime.stream import Limits

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/runtime"))
from tiny_bundle import NDSM, RGB, make_bundle, task_of, write_scene

GROWTH_MB = 2.0
"""Resident memory that may be gained after the warm-up."""
WARM_UP = 0.2
"""Share of the ticks that nothing is held against."""
EVERY_S, FAULT_S = 1.0, 0.4
SAMPLES = 200
GRID = (48, 64)


@dataclass(frozen=True)
class Sample:
    """The process at one moment."""

    time_s: float
    """Since the start of the flight."""
    resident_mb: float
    """Memory that it holds."""
    files: int
    """Open file descriptors."""
    threads: int
    """Threads."""


@dataclass(frozen=True)
class Soaked:
    """What came of a soak."""

    summary: dict[str, Any]
    """Of the flight."""
    samples: tuple[Sample, ...]
    """In order of time."""

    @property
    def settled(self) -> tuple[Sample, ...]:
        """The samples after the warm-up; the last are left out, as the flight ends there."""
        end_s = self.samples[-1].time_s
        return tuple(row for row in self.samples if WARM_UP * end_s <= row.time_s <= 0.99 * end_s)

    @property
    def growth_mb(self) -> float:
        """Memory gained after the warm-up: the straight line through the samples, over their time."""
        times, memory = (np.array([getattr(row, key) for row in self.settled]) for key in ("time_s", "resident_mb"))
        slope = float(np.polyfit(times, memory, 1)[0])
        return slope * float(times[-1] - times[0])

    @property
    def complaints(self) -> list[str]:
        """What did not stay flat."""
        told = [f"memory grew by {self.growth_mb:.2f} MB"] if self.growth_mb >= GROWTH_MB else []
        for key in ("files", "threads"):
            seen = [getattr(row, key) for row in self.settled]
            half = len(seen) // 2
            if max(seen[half:]) > max(seen[:half]):
                told.append(f"{key} grew from {max(seen[:half])} to {max(seen[half:])}")
        unanswered = self.summary["due"] - self.summary["answered"]
        return told if not unanswered else [*told, f"{unanswered} ticks without an answer"]


def soak(ticks: int, rate_hz: float, work: Path, sinks: Sequence[Any] = ("telemetry", "mcap")) -> Soaked:
    """Fly `ticks` ticks at `rate_hz`; all that is written lies below `work`."""
    sensors = [dataclasses.replace(sensor, rate_hz=rate_hz, max_age_ms=100.0) for sensor in (RGB, NDSM)]
    task = task_of(*sensors, grid=GRID)
    seconds = ticks / rate_hz
    bundle = make_bundle(work / "bundle", task, policy=Policy(rate_hz=rate_hz, return_after=3, hold_ms=100.0))
    scene = write_scene(work / "scene", task, size=(96, 400))
    flight = Flight(
        sources={sensor.name: f"flight:{scene}?speed_px_s=40&lag_ms=0.5" for sensor in sensors},
        rig=Rig(sinks=tuple(sinks)),
        faults=faults_of(seconds, [sensor.name for sensor in sensors]),
        limits=Limits(seconds=seconds),
        threads=1,
    )
    samples: list[Sample] = []
    ended = threading.Event()
    watcher = threading.Thread(target=_watch, args=(samples, max(seconds / SAMPLES, 0.05), ended), daemon=True)
    watcher.start()
    try:
        summary = fly(bundle.path, work / "flight", flight)
    finally:
        ended.set()
        watcher.join()
    return Soaked(summary, tuple(samples))


def faults_of(seconds: float, names: Sequence[str], seed: int = 0) -> FaultPlan:
    """A fault of random kind on a random sensor each second."""
    random = np.random.default_rng(seed)
    kinds: list[Any] = [kind for kind in KINDS if kind != "nan"]
    return FaultPlan(
        tuple(
            Fault(names[int(random.integers(len(names)))], kinds[int(random.integers(len(kinds)))], start, FAULT_S)
            for start in np.arange(0.5, max(seconds, 1.0), EVERY_S).tolist()
        )
    )


def drawn(soaked: Soaked, rate_hz: float) -> str:
    """The memory over the ticks, as a picture that stands alone."""
    rows = soaked.samples
    left, top, width, height = 60.0, 34.0, 700.0, 190.0
    end_s = rows[-1].time_s
    most = round_steps(1.15 * max(row.resident_mb for row in rows), 4)
    across, up = width / end_s, height / most[-1]
    parts = [rect(left, top, WARM_UP * end_s * across, height, "warm")]
    for value in most:
        y = top + height - value * up
        parts += [line(left, y, left + width, y, "grid"), words(left - 8, y + 4, f"{value:g} MB", "tick", "end")]
    for ticks in round_steps(end_s * rate_hz, 5):
        if ticks <= 1.02 * end_s * rate_hz:
            parts.append(words(left + ticks / rate_hz * across, top + height + 18, f"{ticks:,.0f}", "tick", "middle"))
    points = " ".join(f"{left + row.time_s * across:.1f},{top + height - row.resident_mb * up:.1f}" for row in rows)
    parts.append(f'<polyline class="curve" points="{points}"/>')
    last = soaked.settled[-1]
    told = f"resident memory: {soaked.growth_mb:+.2f} MB after the first fifth"
    parts.append(words(left, 20, f"{told}; {last.files} files, {last.threads} threads", "head"))
    parts.append(words(left + width, top + height + 34, "ticks", "tick", "end"))
    return _STANDALONE.format(parts="".join(parts))


_STANDALONE = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 790 266" font-family="system-ui, sans-serif" font-size="12">'
    "<style>.grid{{stroke:#e6e9ee}}.tick{{fill:#5a6374;font-size:11px}}.head{{fill:#1a2030;font-weight:600}}"
    ".curve{{fill:none;stroke:#2f6fde;stroke-width:1.6}}.warm{{fill:#f0f2f6}}</style>"
    '<rect width="790" height="266" fill="#fff"/>{parts}</svg>\n'
)


def main(argv: Sequence[str] | None = None) -> int:
    """Soak, write the curve, say what was not flat."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--ticks", type=int, default=100_000)
    parser.add_argument("--rate", type=float, default=250.0)
    parser.add_argument("--out", type=Path, default=Path("docs/soak"), help="name of the .svg and .json to write")
    args = parser.parse_args(argv)
    note(f"{args.ticks} ticks at {args.rate:g} Hz take {args.ticks / args.rate / 60:.1f} minutes")
    with tempfile.TemporaryDirectory() as folder:
        soaked = soak(args.ticks, args.rate, Path(folder))
    write_text(args.out.with_suffix(".svg"), drawn(soaked, args.rate))
    write_json(args.out.with_suffix(".json"), _table(soaked, args.rate))
    summary, last = soaked.summary, soaked.settled[-1]
    say(f"{summary['answered']} of {summary['due']} ticks answered: {summary['states']}")
    say(f"engine p50 {summary['stages_ms']['engine']['p50']} ms, tick p99 {summary['latency_ms']['p99']} ms")
    say(f"memory {last.resident_mb:.1f} MB, {soaked.growth_mb:+.2f} MB; {last.files} files, {last.threads} threads")
    for complaint in soaked.complaints:
        say(complaint)
    return int(bool(soaked.complaints))


def _table(soaked: Soaked, rate_hz: float) -> dict[str, Any]:
    kept = ("due", "answered", "states", "elapsed_s", "sinks", "latency_ms", "stages_ms", "sensors")
    return {
        "rate_hz": rate_hz,
        "growth_mb": round(soaked.growth_mb, 3),
        "complaints": soaked.complaints,
        "machine": dataclasses.asdict(describe_machine()),
        **{key: soaked.summary[key] for key in kept},
        "columns": ["time_s", "resident_mb", "files", "threads"],
        "samples": [
            [round(row.time_s, 2), round(row.resident_mb, 2), row.files, row.threads] for row in soaked.samples
        ],
    }


def _watch(samples: list[Sample], every_s: float, ended: threading.Event) -> None:
    begin, page_mb = time.monotonic(), os.sysconf("SC_PAGE_SIZE") / 2**20
    while not ended.wait(every_s):
        gc.collect()
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * page_mb
        files = len(os.listdir("/proc/self/fd")) - 1  # less the one that lists them
        samples.append(Sample(time.monotonic() - begin, resident, files, threading.active_count()))


if __name__ == "__main__":
    sys.exit(main())
