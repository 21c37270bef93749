"""Run the plan: some runs at once, finished ones skipped, killed ones gone on with; and tell the time left."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.reproduce import records
from benchmarks.reproduce.estimate import Estimate, duration, left_s, read_probes, steps_of
from benchmarks.reproduce.estimate import estimate as estimate_of
from benchmarks.reproduce.places import Places
from benchmarks.reproduce.plan import Plan, Run
from benchmarks.reproduce.processes import Child, Launch, tail
from dis2_edge.terminal import say, warn

TELL_EVERY_S = 60.0
POLL_S = 0.1


@dataclass(frozen=True)
class Options:
    """What the command line chose."""

    jobs: int = 1
    """Runs at once."""
    threads: int = 1
    """Threads of each."""
    device: str = "auto"
    """auto, cpu or cuda."""
    budget_s: float = float("inf")
    """After that time no run is started."""
    test: bool = False
    """Whether the final split is judged too."""
    machine: str = ""
    """Processor or GPU, as records name it."""


@dataclass
class Outcome:
    """What one sitting did."""

    done: list[str] = field(default_factory=list)
    """Runs that were finished in it."""
    failed: list[str] = field(default_factory=list)
    """Runs that ended with an error."""
    left: list[str] = field(default_factory=list)
    """Runs that were not started for lack of time."""


@dataclass(frozen=True)
class Sitting:
    """One call of the driver."""

    plan: Plan
    """All rows."""
    places: Places
    """Where things lie."""
    options: Options
    """What the command line chose."""
    images: Mapping[str, int] = field(default_factory=dict)
    """Training images of each data set, where known."""

    def waiting(self, runs: Sequence[Run]) -> list[Run]:
        """Those of `runs` that lack a record of today's recipe, or a split in it; a recipe that is none is refused."""
        for run in runs:
            run.row.resolved(run.seed)
        found = records.finished(self.places, runs)
        return [
            run for run in runs if run.name not in found or set(self.splits_of(run)) - set(found[run.name].evaluations)
        ]

    def splits_of(self, run: Run) -> list[str]:
        """The splits that `run` is judged on."""
        data = self.plan.data[run.row.data]
        return [data.split, *([data.final] if self.options.test and data.final else [])]

    def drive(self, runs: Sequence[Run], launch: Launch) -> Outcome:
        """Make `runs`, `jobs` at a time, in order; when interrupted, end what runs and pass the interrupt on."""
        outcome, queue, children = Outcome(), deque(runs), dict[int, tuple[Run, Child, float]]()
        begun = told = time.monotonic()
        try:
            while queue or children:
                while queue and len(children) < self.options.jobs and time.monotonic() - begun < self.options.budget_s:
                    run, slot = queue.popleft(), min(set(range(self.options.jobs)) - set(children))
                    say(f"start {run.name}: {told_time(self.whole_of(run))}")
                    children[slot] = run, launch(run, slot), time.monotonic()
                if not children:
                    break
                for slot, (run, child, started) in list(children.items()):
                    if (code := child.poll()) is not None:
                        del children[slot]
                        self._ended(run, code, time.monotonic() - started, outcome)
                        say(f"  left: {self.summary([*(other for other, _, _ in children.values()), *queue])}")
                if time.monotonic() - told > TELL_EVERY_S:
                    told = time.monotonic()
                    for run, _, _ in children.values():
                        say(f"  {run.name}: {self._pace(run)}")
                time.sleep(POLL_S if children else 0)
        finally:
            for _, child, _ in children.values():
                child.terminate()
            for _, child, _ in children.values():
                child.wait()
        outcome.left = [run.name for run in queue]
        return outcome

    def whole_of(self, run: Run) -> Estimate | None:
        """How long `run` takes here, where anything tells."""
        seeds = [Run(run.row, seed) for seed in self.plan.seeds]
        found = records.finished(self.places, seeds).values()
        return estimate_of(run, found, read_probes(self.places), self.options.machine, self.options.threads)

    def summary(self, runs: Sequence[Run]) -> str:
        """How many runs are left and about how long they take, saying how many that leaves out."""
        times = [self._left_s(run) for run in runs]
        known = [seconds for seconds in times if seconds is not None]
        if not known:
            return f"{len(runs)} runs" + (", of unknown length" if runs else "")
        unknown = len(times) - len(known)
        blind = f", without {unknown} of unknown length" if unknown else ""
        together = duration(sum(known) / min(self.options.jobs, len(runs)))
        return f"{len(runs)} runs, about {together} with {self.options.jobs} at once{blind}"

    def _left_s(self, run: Run) -> float | None:
        images = self.images.get(run.row.data, 0)
        steps = steps_of(run.row.resolved(run.seed), images) if images else 0
        return left_s(self.whole_of(run), self.places.run(run), steps)

    def _pace(self, run: Run) -> str:
        seconds = self._left_s(run)
        return "time left unknown" if seconds is None else f"{duration(seconds)} left"

    def _ended(self, run: Run, code: int, seconds: float, outcome: Outcome) -> None:
        if code == 0 and self.places.record(run).is_file():
            outcome.done.append(run.name)
            say(f"done  {run.name} in {duration(seconds)}")
            return
        outcome.failed.append(run.name)
        log = self.places.log(run)
        warn(f"{run.name} ended with code {code}; its log {log} ends:")
        for line in tail(log):
            print(f"    {line}", file=sys.stderr)


def told_time(found: Estimate | None) -> str:
    """An estimate with what it was taken from."""
    return "length unknown" if found is None else f"about {duration(found.seconds)}, by {found.how}"
