"""The verb `health`: learn the limits that sensors are judged by from a recording."""

from __future__ import annotations

import argparse
import dataclasses
import math
from pathlib import Path

from dis2_edge import bundle as bundles
from dis2_edge.errors import UserError
from dis2_edge.statistics import SensorStatistics
from dis2_edge.terminal import say, table, warn
from dis2_runtime import rig
from dis2_runtime.health.learning import Lesson
from dis2_runtime.health_fit import Recording, fit
from dis2_runtime.verbs.run import sources_of_words

EXAMPLE = (
    "dis2-edge health fit out/bundle --source rgb=flight:DATA/flight --source ndsm=flight:DATA/flight "
    "--seconds 60 --out limits.toml"
)


_LATE = "a period, half the maximum age"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    verbs = parser.add_subparsers(dest="action", required=True, metavar="fit")
    text = "learn limits from a recording in which every sensor was well; some of it should stand still"
    action = verbs.add_parser("fit", help=text, description=text)
    action.add_argument("bundle", type=Path, metavar="BUNDLE", help="folder that `dis2-edge deploy` made")
    action.add_argument("--source", action="append", default=[], metavar="SENSOR=URI", help="recorded frames")
    action.add_argument("--rig", type=Path, help="TOML file of the aircraft, for its sources and rates")
    action.add_argument("--out", type=Path, required=True, help="new TOML file with the limits, as a rig holds them")
    trust = "learn also from frames that look like a fault by the bundle's limits: all of them were good"
    action.add_argument("--trust", action="store_true", help=trust)
    action.add_argument("--seconds", type=float, default=300.0, help="replay at most so much (default: 300)")


def run(args: argparse.Namespace) -> int:
    """Learn, show what was learned beside what training says, and say where it is."""
    if not 0 < args.seconds < math.inf:
        raise UserError(f"--seconds is {args.seconds}", expected="above 0")
    recording = Recording(sources_of_words(args.source), rig.load(args.rig), args.seconds, args.trust)
    lessons = fit(args.bundle, recording, args.out)
    manifest = bundles.read(args.bundle).manifest
    trained = {row.name: row for row in manifest.statistics}
    for lesson in lessons:
        sensor = manifest.task.sensor(lesson.sensor)
        _show(lesson, trained.get(lesson.sensor), sensor.rate_hz)
    say(f"the limits are in {args.out}; fly with --rig {args.out}, or copy its tables into the rig")
    return 0


def _show(lesson: Lesson, trained: SensorStatistics | None, rate_hz: float) -> None:
    known = {"rate (Hz)": f"{rate_hz:g}"}
    if trained is not None:
        known |= {
            "holes, most": f"{trained.hole_share_high:.1%}",
            "frame means": f"{trained.frame_mean_low:.4g}..{trained.frame_mean_high:.4g}",
            "entropy (bits)": f"{trained.frame_entropy_low:.2f}..{trained.frame_entropy_high:.2f}",
        }
    rows = [(name, known.get(name, "-"), seen) for name, seen in lesson.figures.items()]
    title = f"{lesson.sensor}: {lesson.frames} frames in {lesson.seconds:.0f} s"
    table(title, ("what", "in the bundle", "in the recording"), rows)
    limits = dataclasses.asdict(lesson.limits)
    usual = {field.name: field.default for field in dataclasses.fields(lesson.limits)}
    usual |= {key: "from training" for key, value in usual.items() if value is None} | {"late_ms": _LATE}
    changed = [(key, usual[key], value) for key, value in limits.items() if value not in (None, usual[key])]
    table(f"{lesson.sensor}: limits that change", ("limit", "before", "learned"), changed or [("none", "-", "-")])
    for remark in lesson.remarks:
        warn(f"{lesson.sensor}: {remark}")
