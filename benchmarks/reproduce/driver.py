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
from benchmarks.reproduce.making import is_trained
from benchmarks.reproduce.places import Places
from benchmarks.reproduce.plan import Plan, Run
from benchmarks.reproduce.processes import Child, Launch, tail
from benchmarks.reproduce.records import Record
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
    untaught: list[str] = field(default_factory=list)
    """Runs that were not started since their teacher's run is neither here nor made in this sitting."""


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
        """Those of `runs` that lack a record of today's recipe, or a split in it; a recipe that is none is refused.

        A finished run of which the record alone is here, but no weights, waits too if one that it teaches does.
        """
        for run in runs:
            run.row.resolved(run.seed)
        found = records.finished(self.places, runs)
        return [run for run in runs if self._lacks(run, found.get(run.name)) or self._wanted_as_teacher(run)]

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
                while len(children) < self.options.jobs and time.monotonic() - begun < self.options.budget_s:
                    if (run := self._next(queue, [other for other, _, _ in children.values()], outcome)) is None:
                        break
                    slot = min(set(range(self.options.jobs)) - set(children))
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

    def untaught(self, runs: Sequence[Run], made: Sequence[Run]) -> list[Run]:
        """Those of `runs` whose teacher has no finished weights here and is none of those `made` in this sitting."""
        names = {run.name for run in made}
        taught = [(run, self.plan.teacher_of(run)) for run in runs]
        return [run for run, by in taught if by and by.name not in names and not is_trained(self.places, by)]

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

    def _next(self, queue: deque[Run], working: Sequence[Run], outcome: Outcome) -> Run | None:
        """Take the first run off `queue` that can start; one that nobody will teach any more is told and dropped."""
        for run in self.untaught(list(queue), [*queue, *working]):
            queue.remove(run)
            outcome.untaught.append(run.name)
            warn(f"{run.name} is not started: {self.lesson_of(run)}")
        for run in queue:
            if not self.untaught([run], []):
                queue.remove(run)
                return run
        return None

    def lesson_of(self, run: Run) -> str:
        """What `run` waits for, and how it is made."""
        teacher = self.plan.teacher_of(run)
        name = teacher.name if teacher else ""
        return f"its teacher {name} has no finished weights in {self.places.runs}; make it first: --only {name}"

    def _lacks(self, run: Run, found: Record | None) -> bool:
        return found is None or bool(set(self.splits_of(run)) - set(found.evaluations))

    def _wanted_as_teacher(self, run: Run) -> bool:
        rows = [row for row in self.plan.rows_of(run.row.data) if row.teacher == run.row.name]
        if not rows or is_trained(self.places, run):
            return False
        pupils = [Run(row, run.seed) for row in rows]
        found = records.finished(self.places, pupils)
        return any(self._lacks(pupil, found.get(pupil.name)) for pupil in pupils)

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
