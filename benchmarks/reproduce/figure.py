"""The figure of each sensor's contribution: IoU of every class with all sensors, with each alone, and the loss.

    python -m benchmarks.reproduce.figure EVALUATION.json --out FIGURE.svg [--title TEXT]

draws it of one model: EVALUATION.json is what `dis2-edge eval MODEL --data DATA --out EVALUATION.json` wrote.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from dis2_edge.errors import UserError
from dis2_edge.files import write_text
from dis2_edge.report.svg import line, rect, round_steps, words
from dis2_edge.scenario import full_scenario
from dis2_train.judging.comparison import Estimate, compare
from dis2_train.judging.evaluation import read_evaluation

if TYPE_CHECKING:
    from dis2_train.judging.evaluation import Evaluation

WIDTH, LEFT, GAP, RIGHT = 920.0, 120.0, 60.0, 30.0
PANEL = (WIDTH - LEFT - GAP - RIGHT) / 2
BAR, STEP, TOP, FOOT = 13.0, 15.0, 86.0, 34.0
STYLE = """
svg { font: 12px system-ui, "Liberation Sans", sans-serif; }
.paper { fill: #ffffff; } text { fill: #1a2030; } .tick, .note { fill: #5a6374; font-size: 11px; }
.head { font-weight: 650; font-size: 14px; } .panel { font-weight: 600; } .value { font-size: 11px; }
.grid { stroke: #e1e5eb; } .zero { stroke: #8b93a7; } .whisker { stroke: #1a2030; stroke-width: 1.4; }
.full { fill: #5b6775; } .s0 { fill: #2f6fde; } .s1 { fill: #d9730d; } .s2 { fill: #12927e; } .s3 { fill: #8a4fd0; }
@media (prefers-color-scheme: dark) {
  .paper { fill: #12161e; } text { fill: #e6eaf1; } .tick, .note { fill: #9aa5b6; }
  .grid { stroke: #29313d; } .zero { stroke: #78829a; } .whisker { stroke: #e6eaf1; }
  .full { fill: #93a1b3; } .s0 { fill: #6ea3ff; } .s1 { fill: #f29a45; } .s2 { fill: #3fc3ab; } .s3 { fill: #b78af0; }
}
"""


@dataclass(frozen=True)
class Contribution:
    """One class."""

    name: str
    """Its name."""
    full: Estimate
    """IoU, 0..1, with all sensors."""
    alone: dict[str, Estimate]
    """Sensor -> IoU with that one only."""
    given: dict[str, Estimate]
    """Sensor -> IoU with all less IoU without it: what it gives that the others cannot."""


def contributions(runs: Sequence[Evaluation], sensors: Sequence[str]) -> list[Contribution]:
    """Each class over all images, averaged over the seeds of `runs`, with 95 % intervals; absent classes are left out.

    Without one of two sensors the other is alone. A difference is taken within each resample of images and seeds.
    """
    full = full_scenario(sensors)
    scores = compare({"runs": runs}).rows[0].scores
    given = {lost: _differences(runs, full, _without(lost, sensors)) for lost in sensors}
    return [
        Contribution(
            name,
            _possible(scores[full][f"iou {name}"]),
            {sensor: _possible(scores[sensor][f"iou {name}"]) for sensor in sensors},
            {lost: given[lost][f"iou {name}"] for lost in sensors},
        )
        for name in runs[0].classes
        if f"iou {name}" in scores[full]
    ]


def _possible(score: Estimate) -> Estimate:
    """`score` with its interval cut to 0..1: few seeds that differ much give an interval that leaves it."""
    return dataclasses.replace(score, low=max(0.0, score.low), high=min(1.0, score.high))


def draw(found: Sequence[Contribution], title: str) -> str:
    """A self-contained SVG that reads on light and on dark paper."""
    sensors = list(found[0].alone)
    block = STEP * (1 + len(sensors)) + 14
    height = TOP + block * len(found) + FOOT
    low, high = _reach(found)
    right = LEFT + PANEL + GAP
    scale, zero = PANEL / (high - low), right + PANEL * -low / (high - low)
    parts = [f'<rect class="paper" width="{WIDTH:g}" height="{height:g}"/>', words(16, 24, title, "head")]
    parts += _legend(sensors)
    parts += [words(LEFT, TOP - 14, "IoU, per cent", "panel")]
    parts += [words(right, TOP - 14, "what the sensor gives: IoU with all less IoU without it, points", "panel")]
    parts += _axis(LEFT, PANEL / 100, range(0, 101, 20), height)
    steps = [value for value in _ticks(low, high) if low <= value <= high]
    parts += _axis(zero, scale, steps, height)
    parts.append(line(zero, TOP - 4, zero, height - FOOT + 2, "zero"))
    for place, row in enumerate(found):
        y = TOP + block * place + 6
        parts.append(words(LEFT - 10, y + (block - 14) / 2 + 4, row.name.replace("_", " "), "", "end"))
        for turn, (sensor, value) in enumerate([("all sensors", row.full), *row.alone.items()]):
            parts += _bar(
                LEFT, y + STEP * turn, PANEL / 100, value, "s" + str(turn - 1) if turn else "full", sensor, row
            )
        for turn, (sensor, value) in enumerate(row.given.items()):
            parts += _bar(zero, y + STEP * (turn + 0.5), scale, value, f"s{turn}", f"{sensor} gives", row)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {height:g}" width="{WIDTH:g}" '
        f'height="{height:g}" role="img">\n<title>{escape(title)}</title>\n<style>{STYLE}</style>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _differences(runs: Sequence[Evaluation], full: str, left: str) -> dict[str, Estimate]:
    """IoU with all less IoU of scenario `left`, by measure: both answers under one name, so that they are paired."""
    answers = {
        name: [dataclasses.replace(run, counts={left: run.counts[key]}, costs={}) for run in runs]
        for name, key in (("left", left), ("full", full))
    }
    return compare(answers, "left").row("full").differences[left]


def _without(lost: str, sensors: Sequence[str]) -> str:
    return full_scenario([name for name in sensors if name != lost])


def _reach(found: Sequence[Contribution]) -> tuple[float, float]:
    """Lowest and highest of the right panel, in points."""
    values = [100 * bound for row in found for value in row.given.values() for bound in (value.low, value.high)]
    top = round_steps(max(*values, 1.0) * 1.08)[-1]
    under = min(*values, 0.0)
    return (-round_steps(-under * 1.08)[-1] if under < -0.5 else min(under, 0.0)), top


def _ticks(low: float, high: float) -> list[float]:
    steps = round_steps(high - low, 6)
    first = -int(-low // steps[1]) if low < 0 else 0
    return [steps[1] * place for place in range(first, len(steps) + 1)]


def _axis(zero: float, scale: float, values: Sequence[float], height: float) -> list[str]:
    parts = []
    for value in values:
        x = zero + value * scale
        parts.append(line(x, TOP - 4, x, height - FOOT + 2, "grid"))
        parts.append(words(x, height - FOOT + 18, f"{value:g}", "tick", "middle"))
    return parts


def _bar(zero: float, y: float, scale: float, value: Estimate, style: str, told: str, row: Contribution) -> list[str]:
    """A bar from `zero` to the value, with its interval as a whisker and its figure behind."""
    at, low, high = (zero + 100 * bound * scale for bound in (value.value, value.low, value.high))
    tip = f"{row.name}, {told}: {100 * value.value:.1f} [{100 * value.low:.1f}, {100 * value.high:.1f}]"
    middle = y + BAR / 2
    parts = [rect(min(zero, at), y, abs(at - zero), BAR, style, tip), line(low, middle, high, middle, "whisker")]
    parts += [line(x, middle - 3, x, middle + 3, "whisker") for x in (low, high)]
    return [*parts, words(max(at, high, zero) + 5, y + BAR - 3, f"{100 * value.value:.1f}", "value")]


def _legend(sensors: Sequence[str]) -> list[str]:
    parts, x = [], 16.0
    for place, name in enumerate(["all sensors", *(f"{sensor} alone" for sensor in sensors)]):
        parts.append(rect(x, 38, 12, 12, f"s{place - 1}" if place else "full"))
        parts.append(words(x + 18, 48.5, name))
        x += 30 + 7.2 * len(name)
    return [*parts, words(x + 8, 48.5, "whiskers: 95 % over images and seeds", "note")]


def main(argv: Sequence[str] | None = None) -> int:
    """Draw the figure of one evaluated model; 0 done, 2 the user can mend it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reproduce.figure", description=__doc__)
    parser.add_argument("evaluation", type=Path, metavar="EVALUATION.json")
    parser.add_argument("--out", type=Path, required=True, metavar="FIGURE.svg")
    parser.add_argument("--title", default="", help="default: the model's name")
    args = parser.parse_args(argv)
    try:
        found = read_evaluation(args.evaluation)
        write_text(args.out, draw(contributions([found], found.sensors), args.title or found.label))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
