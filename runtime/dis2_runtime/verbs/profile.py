"""`dis2-edge profile`: accuracy and latency of bundles on labelled data, as JSON and a page."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from dis2_boards.telemetry import PREFERENCES
from dis2_edge.engine_names import WANTED
from dis2_edge.errors import UserError
from dis2_edge.report.page import exact_kind, percent, points, summary
from dis2_edge.report.plots import ms
from dis2_edge.report.schema import PHASES, Report
from dis2_edge.report.sensing import energies, sensed_rows
from dis2_edge.report.waterfall import ORDER, TOTAL, bounded
from dis2_edge.terminal import say, table
from dis2_runtime.profiling.profile import Choices, profile

EXAMPLE = "dis2-edge profile bundles/ombria --data DATA --describe train/datasets/ombria.toml --out reports/ombria"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("bundles", nargs="+", type=Path, metavar="BUNDLE", help="bundles to measure, side by side")
    parser.add_argument("--data", type=Path, required=True, help="folder of a labelled data set")
    parser.add_argument("--describe", type=Path, metavar="FILE", help="its description (default: DATA/dataset.toml)")
    parser.add_argument("--out", type=Path, required=True, help="new folder for report.json and report.html")
    parser.add_argument("--split", default="test", help="split to measure on (default: test)")
    parser.add_argument("--images", type=int, default=0, metavar="N", help="at most N of its images (default: all)")
    parser.add_argument("--precision", default="", metavar="fp32,fp16,int8", help="default: all in the bundle")
    parser.add_argument("--engine", choices=WANTED, default="auto", help="what runs the models (auto)")
    parser.add_argument("--threads", type=int, default=0, help="threads of one inference (default: all cores)")
    parser.add_argument("--calls", type=int, default=200, help="timed calls of each model (default: 200)")
    parser.add_argument(
        "--stream",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        dest="streams",
        help="show a stream that `dis2-edge run` recorded in DIR; may be given again",
    )
    parser.add_argument(
        "--faults", action="store_true", help="fly the images through each fault of each sensor as well (minutes)"
    )
    parser.add_argument(
        "--telemetry", choices=PREFERENCES, default="auto", help="what reads power and temperatures (auto)"
    )
    parser.add_argument("--title", default="", help="heading of the page")


def run(args: argparse.Namespace) -> int:
    """Measure, then print the figures and say where the page is."""
    for name, least in (("calls", 1), ("images", 0), ("threads", 0)):
        if getattr(args, name) < least:
            raise UserError(f"--{name} is {getattr(args, name)}", expected=f"{least} or more")
    choices = Choices(
        split=args.split,
        images=args.images,
        precisions=tuple(name for name in args.precision.split(",") if name),
        threads=args.threads,
        calls=args.calls,
        faults=args.faults,
        engine=args.engine,
        telemetry=args.telemetry,
    )
    report = profile(
        args.bundles,
        args.data,
        args.out,
        describe=args.describe,
        choices=choices,
        streams=args.streams,
        title=args.title,
        command=shlex.join(["dis2-edge", *sys.argv[1:]]),
    )
    print_summary(report)
    print_energy(report)
    print_faults(report)
    say(f"the page is {args.out / 'report.html'}")
    return 0


def print_summary(report: Report) -> None:
    """The report's first table, for a terminal."""
    rows = []
    for row in summary(report):
        before, after = row["exact"], row["int8"]
        rows.append(
            (
                row["bundle"].name,
                row["scenario"],
                percent(before.scores.miou if before else None),
                percent(after.scores.miou if after else None),
                points(-row["lost"] if row["lost"] is not None else None),
                ms(before.latency.median_ms if before else None),
                ms(after.latency.median_ms if after else None),
                f"{row['speed_up']:.2f}x" if row["speed_up"] else "–",
            )
        )
    exact = exact_kind(report).upper() or "FP32"
    accuracy, time = (f"mIoU {exact} (%)", "mIoU INT8 (%)", f"INT8 - {exact}"), (f"ms {exact}", "ms INT8", "speed-up")
    columns = ("network", "scenario", *accuracy, *time)
    table(f"{report.images} images of {report.data} ({report.split}), {report.threads} threads", columns, rows)


def print_energy(report: Report) -> None:
    """Joules a frame of every model, or why there are none, and what the machine's sensors told, for a terminal."""
    if report.sensed is None:
        return
    rows = [
        (bundle.name, row.scenario, row.precision, *energies(row)) for bundle in report.bundles for row in bundle.rows
    ]
    if any(row.joules is not None for bundle in report.bundles for row in bundle.rows):
        table("Energy", ("network", "scenario", "precision", "W", "J a frame"), rows)
    for name, told in sensed_rows(report):
        say(f"{name}: {told}")


def print_faults(report: Report) -> None:
    """Accuracy through each fault, and where the time of a tick went, for a terminal."""
    for bundle in report.bundles:
        if not bundle.through:
            continue
        rows = []
        for flight in bundle.through:
            on, told = flight.during, [percent(getattr(flight, phase).miou) for phase in PHASES]
            rows.append(
                (flight.sensor, flight.kind, *told, *(percent(n / on.ticks) for n in (on.fresh, on.held, on.blind)))
            )
        columns = ("sensor", "fault", "mIoU before", "during", "after", "fresh %", "held %", "blind %")
        table(f"{bundle.name}, {bundle.pictured} through faults, {on.ticks} ticks a phase", columns, rows)
        spreads = [(name, bundle.stages[name]) for name in (*ORDER, TOTAL) if name in bundle.stages]
        stages = [(name, bounded(row.p50), bounded(row.p95), bounded(row.p99), row.n) for name, row in spreads]
        table("Where the time goes, ms [95 %]", ("stage", "p50", "p95", "p99", "n"), stages)
