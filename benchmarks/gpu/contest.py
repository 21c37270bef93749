"""One shape of one kernel: every contestant answers, is judged by float64, then timed. One that fails is a row."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.gpu.findings import OURS, Row
from benchmarks.gpu.lab import Lab, Roofs
from dis2_edge.errors import told

COMPILED = "torch.compile"
COPY = "copy of as many bytes"
"""The contestant that every kernel bound by memory is measured against."""
BACKENDS = {
    "SDPA flash": "FLASH_ATTENTION",
    "SDPA efficient": "EFFICIENT_ATTENTION",
    "SDPA cuDNN": "CUDNN_ATTENTION",
    "SDPA math": "MATH",
}
"""torch's ways of attention, by its names for them."""
LONGEST_PROBLEM = 200
"""Characters of a problem that are kept."""


@dataclass(frozen=True)
class Ready:
    """A contestant that is set up."""

    call: Callable[[], Any]
    """Does the work once; what it returns is the answer, if it returns one."""
    answer: Callable[[], Any] | None = None
    """The answer of the last call, where `call` returns none."""
    held: tuple[Any, ...] = ()
    """Memory that `call` uses by its address."""


@dataclass(frozen=True)
class Contest:
    """One shape of one kernel."""

    kernel: str
    shape: str
    """For people: sizes, batch, type."""
    bytes: int
    """Bytes that have to be read and written at least."""
    operations: int
    """Operations on the tensor cores."""
    judge: Callable[[Any], float] | None
    """Error of an answer, 1 being what is allowed."""
    contestants: Mapping[str, Callable[[], Ready]]


def hold(lab: Lab, contest: Contest, roofs: Roofs, wanted: Callable[[str], bool]) -> Iterator[Row]:
    """A row for each contestant whose name is wanted; none of them can end the contest."""
    for name, prepare in contest.contestants.items():
        if wanted(name):
            try:
                yield _row(lab, contest, roofs, name, prepare())
            except Exception as error:
                yield Row(contest.kernel, contest.shape, name, problem=short(told(error)))
            lab.tidy()


def short(problem: str) -> str:
    """The first line of a problem, of bearable length."""
    line = next((line.strip() for line in problem.splitlines() if line.strip()), "no reason given")
    return line if len(line) <= LONGEST_PROBLEM else line[: LONGEST_PROBLEM - 1] + "…"


def copying(lab: Lab, bytes: int) -> Callable[[], Ready]:
    """A device copy that reads and writes `bytes` in all."""

    def prepare() -> Ready:
        size = max(1, bytes // 2)
        one, other = (lab.torch.zeros(size, dtype=lab.torch.uint8, device=lab.device) for _ in range(2))
        return Ready(lambda: other.copy_(one))

    return prepare


def _row(lab: Lab, contest: Contest, roofs: Roofs, name: str, ready: Ready) -> Row:
    answer = ready.call()
    lab.settle()
    compared = contest.judge is not None and name != COPY
    error = contest.judge(ready.answer() if ready.answer else answer) if compared and contest.judge else None
    del answer
    samples = sorted(1e3 * ms for ms in lab.stopwatch.measure(ready.call))
    median = statistics.median(samples)
    seconds, roof = roofs.seconds(contest.bytes, contest.operations)
    wrong = "the answer is wrong: this time does not count" if error is not None and not error <= 1 else ""
    return Row(
        contest.kernel,
        contest.shape,
        name,
        round(median, 3),
        round(samples[min(len(samples) - 1, int(0.95 * len(samples)))], 3),
        len(samples),
        round(1e6 * seconds / median, 4) if median else None,
        roof,
        error,
        wrong if name == OURS else "",
    )
