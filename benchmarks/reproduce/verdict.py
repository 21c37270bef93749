"""The bar as a verdict that is computed: ours with a sensor lost against the best network of the other sensor alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dis2_train.judging.comparison import Estimate, compare

if TYPE_CHECKING:
    from dis2_train.judging.evaluation import Evaluation

WEAK_POINTS, STRONG_POINTS, PAPER_POINTS = 1.0, 0.0, -0.3
"""Least differences that the bar asks for, in points: the weak sensor's scenario, the others', and to `paper`."""
MEAN = "mean"

Groups = Mapping[str, Sequence["Evaluation"]]
"""Line of the table -> the evaluations of its runs."""


@dataclass(frozen=True)
class Verdict:
    """One sentence of the bar."""

    scenario: str
    """The condition that is looked at."""
    weak: bool
    """Whether it is the scenario of the sensor that alone does worst, by which DIS2 is judged."""
    line: str
    """The row that is held against the rival: ours."""
    rival: str
    """The row that it is held against."""
    ours: float
    """Our score, 0..1, over all images and averaged over seeds."""
    theirs: float
    """The rival's."""
    difference: Estimate
    """Ours less theirs, with its 95 % interval."""
    bar: float
    """Least difference asked for, 0..1."""
    seeds: tuple[int, int]
    """Seeds of ours and of the rival."""
    gain: bool = False
    """Whether the bar must be passed and not only met: of the infrared sensor, by which CSK-Net is judged."""

    @property
    def reached(self) -> bool:
        """Whether the difference itself is at the bar or above; above it where a gain is asked for."""
        return self.difference.value > self.bar or (self.difference.value == self.bar and not self.gain)

    @property
    def certain(self) -> bool:
        """Whether the whole interval is on one side of the bar."""
        return self.difference.low >= self.bar or self.difference.high < self.bar


def against_singles(
    ours: str, singles: Sequence[str], groups: Groups, measure: str, infrared: str = ""
) -> list[Verdict]:
    """For every sensor alone: ours against whichever of `singles` does best there on these images.

    Choosing the rival by the same images favours the rival. With `infrared` that sensor asks for a gain; without, the
    weak sensor asks for more than the others: the one whose best rival is lowest.
    """
    compared = compare({name: groups[name] for name in (ours, *singles)})
    best: dict[str, str] = {}
    for scenario in [c.name for c in compared.conditions if c.kind == "single"]:
        scored = {name: _value(compared.row(name).scores, scenario, measure) for name in singles}
        known = {name: value for name, value in scored.items() if not math.isnan(value)}
        if known and not math.isnan(_value(compared.row(ours).scores, scenario, measure)):
            best[scenario] = max(known, key=lambda name: known[name])
    found = [_against(ours, rival, groups, scenario, measure) for scenario, rival in best.items()]
    if infrared:
        return [replace(row, gain=row.scenario == infrared) for row in found]
    weakest = min((row.theirs for row in found), default=math.nan)
    return [_placed(row, weak=len(found) > 1 and row.theirs == weakest) for row in found]


def against_paper(ours: str, paper: str, groups: Groups) -> Verdict:
    """Ours against the `paper` preset: mIoU, mean over scenarios."""
    return _against(ours, paper, groups, MEAN, "miou", PAPER_POINTS)


def sentence(found: Verdict, measure: str) -> str:
    """The verdict in words, in points."""
    weak = "infrared, or in its place" if found.gain else "weak sensor" if found.weak else "other sensor"
    role = "mean over scenarios" if found.scenario == MEAN else weak
    bar = f"above {points(found.bar)}" if found.gain else points(found.bar)
    verdict = "**reached**" if found.reached else "**missed**"
    surely = "" if found.certain else ", though the interval holds the bar: not settled"
    few = "" if min(found.seeds) >= 3 else f" Provisional: {found.seeds[0]} and {found.seeds[1]} seeds."
    return f"{outcome(found, measure, f' ({role})')}; bar {bar}: {verdict}{surely}.{few}"


def outcome(found: Verdict, measure: str, role: str = "") -> str:
    """The two scores and their difference, without a verdict."""
    ours, theirs = 100 * found.ours, 100 * found.theirs
    low, high = points(found.difference.low), points(found.difference.high)
    return (
        f"`{found.scenario}`{role}, {measure}: *{found.line}* {ours:.1f} against {theirs:.1f} of *{found.rival}*, "
        f"{_beside(found.bar, found.difference.value)} points [{low}, {high}]"
    )


def points(share: float) -> str:
    """A difference of shares in points, with its sign."""
    return f"{100 * share + 0.0:+.1f}".replace("+0.0", "0.0").replace("-0.0", "0.0").replace("-", "−")


def _beside(bar: float, share: float) -> str:
    """`share` in points, with two decimals where one would make it look like the bar that it misses."""
    missed_by_a_hair = share < bar and points(share) == points(bar)
    return f"{100 * share:+.2f}".replace("-", "−") if missed_by_a_hair else points(share)


def _against(ours: str, rival: str, groups: Groups, scenario: str, measure: str, bar: float = STRONG_POINTS) -> Verdict:
    pair = compare({rival: groups[rival], ours: groups[ours]}, rival)
    row = pair.row(ours)
    seeds = tuple(len({one.seed for one in groups[name]}) for name in (ours, rival))
    return Verdict(
        scenario=scenario,
        weak=False,
        line=ours,
        rival=rival,
        ours=row.scores[scenario][measure].value,
        theirs=pair.row(rival).scores[scenario][measure].value,
        difference=row.differences[scenario][measure],
        bar=bar / 100,
        seeds=(seeds[0], seeds[1]),
    )


def _placed(row: Verdict, *, weak: bool) -> Verdict:
    return replace(row, weak=weak, bar=(WEAK_POINTS if weak else STRONG_POINTS) / 100)


def _value(scores: Mapping[str, Mapping[str, Estimate]], scenario: str, measure: str) -> float:
    found = scores.get(scenario, {}).get(measure)
    return math.nan if found is None else found.value
