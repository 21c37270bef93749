"""What a tick costs around its engine, what a switch of scenario costs, and how soon the first mask is there.

    python -m benchmarks.flight BUNDLE SCENE [--seconds 60] [--rate-hz 5] [--starts 5] [--out figures.json]

SCENE holds SENSOR.png or .tif of every sensor (`dis2-edge data synth` writes such a folder, `flight`). The flight is in
real time, with all sinks of a usual rig, and loses each sensor by turns, so that every scenario is entered again and
again. Starts are whole processes, from the command to the first mask on the disk.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dis2_edge.bundle import read
from dis2_edge.errors import UserError
from dis2_edge.files import write_json
from dis2_edge.terminal import say, table
from dis2_edge.timing import describe_machine
from dis2_runtime import rig
from dis2_runtime.faults import Fault, FaultPlan
from dis2_runtime.fly import Flight, fly
from dis2_runtime.stream import Limits

LOST_S, BETWEEN_S = 2.0, 2.0
"""How long each sensor is lost, and how long all are there before the next one is."""
SETTLED = 3
"""Ticks after a switch that are not counted as the scenario's steady state."""
AROUND = ("health", "align", "sink")
Row = Mapping[str, Any]


def main(argv: Sequence[str] | None = None) -> int:
    """Fly, start, print and, on request, write; 2 when the user can mend what went wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.flight", description=__doc__.split("\n")[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("scene", type=Path)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate-hz", type=float, default=5.0)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args(argv)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            starts_s = [first_mask_s(args.bundle, args.scene, Path(scratch) / str(n)) for n in range(args.starts)]
            rows = flown(args.bundle, args.scene, Path(scratch) / "flight", args.seconds, args.rate_hz)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    found = figures(rows, starts_s)
    show(found)
    if args.out:
        write_json(args.out, found)
    return 0


def flown(bundle: Path, scene: Path, out: Path, seconds: float, rate_hz: float) -> list[Row]:
    """The telemetry of a real-time flight in which each sensor is lost by turns."""
    names = read(bundle).manifest.task.sensor_names
    faults, start_s = [], BETWEEN_S
    while start_s + LOST_S < seconds:
        faults.append(Fault(names[len(faults) % len(names)], "off", start_s, LOST_S))
        start_s += LOST_S + BETWEEN_S
    changed = rig.load(None, ["policy.anchor=", f"policy.rate_hz={rate_hz}", "policy.return_after=1"])
    sources = dict.fromkeys(names, f"flight:{scene}")
    fly(bundle, out, Flight(sources, changed, FaultPlan(tuple(faults)), limits=Limits(seconds=seconds)))
    return [json.loads(line) for line in (out / "telemetry.jsonl").read_text("utf-8").splitlines()]


def first_mask_s(bundle: Path, scene: Path, out: Path) -> float:
    """Seconds from the start of a process to its first mask that is no blind one."""
    names = read(bundle).manifest.task.sensor_names
    sources = [word for name in names for word in ("--source", f"{name}=flight:{scene}")]
    words = ["run", str(bundle), *sources, "--out", str(out), "--set", "policy.rate_hz=10"]
    begin = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "dis2_edge", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while not _is_fresh(out / "telemetry.jsonl") and process.poll() is None:
            time.sleep(0.002)
        return time.monotonic() - begin
    finally:
        process.terminate()
        process.wait()


def _is_fresh(telemetry: Path) -> bool:
    return telemetry.is_file() and '"state": "fresh"' in telemetry.read_text("utf-8")


def figures(rows: Sequence[Row], starts_s: Sequence[float]) -> dict[str, Any]:
    """Everything that is printed, as plain values."""
    fresh = [row for row in rows if row["state"] == "fresh"]
    around = [sum(row["stages_ms"].get(stage, 0.0) for stage in AROUND) for row in fresh]
    engine = [row["stages_ms"]["engine"] for row in fresh]
    handed = [row["latency_ms"] - row["stages_ms"]["engine"] for row in fresh]
    return {
        "machine": describe_machine().cpu,
        "ticks": len(rows),
        "fresh": len(fresh),
        "stages_ms": {
            stage: _percentiles(row["stages_ms"].get(stage, 0.0) for row in fresh) for stage in (*AROUND, "engine")
        },
        "around_ms": _percentiles(around),
        "latency_less_engine_ms": _percentiles(handed),
        "around_share": statistics.median(around) / statistics.median(engine),
        "switches": switches(rows),
        "first_mask_s": sorted(round(value, 3) for value in starts_s),
        "resident_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def switches(rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """For each scenario the engine's median just after a switch to it, and when it has settled."""
    first: dict[str, list[float]] = {}
    steady: dict[str, list[float]] = {}
    since, before = 0, ""
    for row in rows:
        scenario = row["scenario"]
        since = since + 1 if scenario == before else 0
        if row["state"] == "fresh" and before:
            kind = first if since == 0 else steady if since >= SETTLED else {}
            kind.setdefault(scenario, []).append(row["stages_ms"]["engine"])
        before = scenario
    return {
        name: {
            "n": len(first[name]),
            "first_ms": statistics.median(first[name]),
            "steady_ms": statistics.median(steady[name]),
            "ratio": statistics.median(first[name]) / statistics.median(steady[name]),
        }
        for name in first
        if name in steady
    }


def show(found: Mapping[str, Any]) -> None:
    """Print the tables."""
    stages = [*found["stages_ms"].items(), ("all but the engine", found["around_ms"])]
    stages.append(("latency less engine", found["latency_less_engine_ms"]))
    rows = [[name, *(f"{row[key]:.2f}" for key in ("p50", "p95", "p99"))] for name, row in stages]
    title = f"{found['fresh']} fresh of {found['ticks']} ticks, {found['machine']}"
    table(title, ["stage", "p50 ms", "p95 ms", "p99 ms"], rows)
    rows = [
        [name, row["n"], f"{row['first_ms']:.1f}", f"{row['steady_ms']:.1f}", f"{row['ratio']:.3f}"]
        for name, row in found["switches"].items()
    ]
    table("Switches: the engine on the first tick and in steady state", ["to", "n", "first", "steady", "ratio"], rows)
    say(f"all but the engine: {found['around_share']:.1%} of the engine's time (medians)")
    say(f"first mask after {', '.join(f'{value:.2f}' for value in found['first_mask_s'])} s")
    say(f"resident memory of the flight: {found['resident_mib']} MiB at most")


def _percentiles(values: Iterable[float]) -> dict[str, float]:
    ordered = sorted(values)
    cuts = statistics.quantiles(ordered, n=100, method="inclusive")
    return {"p50": cuts[49], "p95": cuts[94], "p99": cuts[98]}


if __name__ == "__main__":
    sys.exit(main())
