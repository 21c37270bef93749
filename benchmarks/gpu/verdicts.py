"""What was to be reached, and whether it was: each target at each shape that was timed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.gpu.contest import BACKENDS, COPY
from benchmarks.gpu.findings import OURS, Row

EAGER = "torch eager"
OF_COPY = 0.7
"""Share of a copy's speed that a kernel bound by memory shall reach."""
OVER_EAGER = 3.0
"""How much faster than eager torch the class-wise attention shall be."""


@dataclass(frozen=True)
class Verdict:
    """One target at one shape."""

    target: str
    shape: str
    held: bool | None
    """None where the rows to tell by are missing."""
    told: str


def verdicts(rows: Sequence[Row]) -> list[Verdict]:
    """Every target at every shape, in the rows' order."""
    shapes = dict.fromkeys((row.kernel, row.shape) for row in rows)
    found = []
    for kernel, shape in shapes:
        times = {
            row.contestant: row.median_us
            for row in rows
            if (row.kernel, row.shape) == (kernel, shape) and row.median_us and not row.problem
        }
        found += [Verdict(title, shape, *judge(times)) for title, judge in TARGETS.get(kernel, ())]
    return found


Times = dict[str, float]
Judged = tuple[bool | None, str]


def _against_best(times: Times) -> Judged:
    others = {name: times[name] for name in BACKENDS if name in times}
    if OURS not in times or not others:
        return None, "not timed"
    best = min(others, key=others.__getitem__)
    return times[OURS] <= others[best], f"{times[OURS]:.1f} us, {best} {others[best]:.1f} us"


def _against_copy(times: Times) -> Judged:
    if OURS not in times or COPY not in times:
        return None, "not timed"
    share = times[COPY] / times[OURS]
    return share >= OF_COPY, f"{share:.0%} of a copy of as many bytes"


def _against_eager(times: Times) -> Judged:
    if OURS not in times or EAGER not in times:
        return None, "not timed"
    gain = times[EAGER] / times[OURS]
    return gain >= OVER_EAGER, f"{gain:.1f} times as fast as eager"


_BOUND_BY_MEMORY = (f"{OF_COPY:.0%} of copy bandwidth", _against_copy)
TARGETS: dict[str, tuple[tuple[str, Callable[[Times], Judged]], ...]] = {
    "fusion_attention": (("fusion attention not slower than torch's best backend", _against_best),),
    "classwise_attention": (
        (f"class-wise attention at {_BOUND_BY_MEMORY[0]}", _against_copy),
        (f"class-wise attention {OVER_EAGER:g} times eager", _against_eager),
    ),
    "prepare": ((f"prepare at {_BOUND_BY_MEMORY[0]}", _against_copy),),
    "decide": ((f"decide at {_BOUND_BY_MEMORY[0]}", _against_copy),),
}
"""By kernel, what was set for an H100, and how it is judged by the medians of a shape."""
