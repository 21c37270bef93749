"""The loop: mail, tick, scenario, engine, sinks. Every tick that falls due is answered, whatever the sensors do.

A tick waits for its inference until its deadline and is then answered by the last mask, held. One inference runs at a
time. A tick that finds the engine busy waits for it too; when what is left until its deadline does not suffice for an
inference of its own, it gets the mask that was just made. So an engine that needs 1.5 periods runs at every second
tick, and at every tick again as soon as it is fast enough.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dis2_edge.bundle import Manifest, Policy
from dis2_edge.errors import UserError
from dis2_edge.scenario import BLIND, best_served
from dis2_edge.task import Task
from dis2_runtime.align.aligner import Aligned, Aligner
from dis2_runtime.engine import Answer
from dis2_runtime.feed import Feed
from dis2_runtime.guard import EngineGuard
from dis2_runtime.health.judge import Health
from dis2_runtime.inference import Inference, InlineInference, Request, Result, ThreadedInference
from dis2_runtime.outcome import Outcome
from dis2_runtime.poses.track import PoseTrack
from dis2_runtime.senses import Senses, View
from dis2_runtime.sinks import Sink
from dis2_runtime.teller import Teller, why
from dis2_runtime.ticks import Tick, Ticker
from dis2_runtime.totals import Totals

_NOTICED = 0.1
"""Share of a tick's period by which it may be noticed late before the deadline is held against it."""


@dataclass(frozen=True)
class Limits:
    """When a run ends by itself; without a limit, when every source has ended."""

    ticks: int | None = None
    """After so many answered ticks."""
    seconds: float | None = None
    """At this time of the run."""


class Stream:
    """One run of a bundle: made, run once, thrown away."""

    def __init__(
        self,
        manifest: Manifest,
        task: Task,
        policy: Policy,
        guard: EngineGuard,
        sinks: Sequence[Sink],
        aligner: Aligner | None = None,
        track: PoseTrack | None = None,
        board: Callable[[], dict[str, Any] | None] = lambda: None,
    ) -> None:
        """`task` and `policy` are the manifest's as the rig changed them; `guard` is entered already.

        The grid of `task` is that of frames and masks; `aligner` brings frames there, by a rig's tables if it has any.
        `track` is where the aircraft flies; `board` gives at once what its sensors were last read to be.
        """
        self._task, self._guard, self._sinks = task, guard, sinks
        self._board = board
        self._senses = Senses(task, manifest.statistics, policy)
        self._ticker = Ticker(task, policy)
        self._aligner = aligner or Aligner(task)
        self._teller = Teller(manifest, task, policy, self._senses, track)
        self._deadline_ns = round(policy.deadline_ms * 1e6) or self._ticker.period_ns
        self._stall_ns = self._patience_ns = round(policy.stall_ms * 1e6)
        self._spare = [Answer.empty(*task.grid), Answer.empty(*task.grid)]
        self._pending: deque[Tick] = deque()
        self._result: Result | None = None
        self._health_ms = 0.0
        self._began = 0.0
        self._due = self._watched_ns = self._seen_ns = 0
        self.totals = Totals()
        """What was counted so far."""

    @property
    def due(self) -> int:
        """Ticks that fell due: elapsed time times rate, or those an anchor started, whose rhythm no clock knows."""
        return max(self.totals.answered + self._ticker.missed, self._due)

    def run(
        self,
        feed: Feed,
        limits: Limits,
        stop: threading.Event,
        announce: Callable[[str], None] = lambda text: None,
    ) -> str:
        """Answer ticks until a limit, `stop`, or the end of every source; returns which of these it was.

        `announce` gets a line for every change of scenario. Simulated time infers inline.
        """
        end_ns = None if limits.seconds is None else round(limits.seconds * 1e9)
        last: Tick | None = None
        feed.start()
        inference = InlineInference(self._guard) if feed.simulated else ThreadedInference(self._guard, feed.wake)
        try:
            while not stop.is_set():
                over = not feed.alive() and limits == Limits()
                self._take_mail(feed, self._next_ns(end_ns))
                if self._queue_up(feed.now_ns(), end_ns) and over:
                    last = last or self._pending[-1]
                for outcome in self._answers(feed, inference):
                    self._hand_on(outcome, feed, announce)
                    if self.totals.answered == limits.ticks:
                        return "ticks"
                    if outcome.tick is last:
                        return "end of the sources"
                if end_ns is not None and feed.now_ns() >= end_ns and not self._pending:
                    return "seconds"
            self._queue_up(feed.now_ns(), end_ns)
            self._let_go(feed, announce)
            return "request"
        finally:
            if limits.ticks is None:
                self._due = self._ticker.due_until(min(feed.now_ns(), end_ns or feed.now_ns()))
            inference.stop()

    def _next_ns(self, end_ns: int | None) -> int:
        """When something falls due by itself: a tick, the deadline of the oldest that waits, or the end."""
        next_ns = self._ticker.next_ns if end_ns is None else min(self._ticker.next_ns, end_ns)
        return min(next_ns, self._pending[0].time_ns + self._deadline_ns) if self._pending else next_ns

    def _take_mail(self, feed: Feed, until_ns: int) -> None:
        for mail in feed.wait(until_ns):
            begin = time.perf_counter()
            self._senses.receive(mail)
            if mail.sensor == self._ticker.anchor:
                for heard in mail.heard:
                    self._ticker.hear(heard.at_ns)
            self._health_ms += since(begin)

    def _queue_up(self, now_ns: int, end_ns: int | None) -> bool:
        """Let the ticks that fell due until now wait for their masks; whether there was any."""
        due = [tick for tick in self._ticker.fallen_due(now_ns) if end_ns is None or tick.time_ns <= end_ns]
        self._pending += due
        return bool(due)

    def _answers(self, feed: Feed, inference: Inference) -> Iterator[Outcome]:
        """The outcome of every waiting tick that can be answered now, in order."""
        while True:
            self._began = time.perf_counter()
            self._keep(inference.finished())
            outcome = self._answer(self._pending[0], feed, inference) if self._pending else None
            if outcome is None:
                return
            self._pending.popleft()
            yield outcome

    def _keep(self, result: Result | None) -> None:
        """Keep the mask of a finished inference, whether its tick still waits or not."""
        if result is None:
            return
        self._result = result
        if not result.problem:
            self._teller.keep(result)
            self._patience_ns = self._stall_ns
            self._spare.reverse()  # the other buffer is filled next: this one may have to be held

    def _answer(self, tick: Tick, feed: Feed, inference: Inference) -> Outcome | None:
        """The outcome of the oldest waiting tick; None while it can wait for an inference."""
        now_ns = max(feed.now_ns(), tick.time_ns)
        told = self._told(tick, now_ns)
        if told:
            return told
        if inference.running:
            return self._while_busy(tick, now_ns, inference, inference.running)
        late = self._too_late(tick, now_ns, inference)
        if late:
            return self._teller.late(tick, now_ns, self._senses.view(now_ns), late)
        outcome = self._begin(tick, now_ns, inference)
        self._keep(inference.finished())
        return outcome or self._told(tick, now_ns)

    def _told(self, tick: Tick, now_ns: int) -> Outcome | None:
        """The outcome of the tick if the newest result is its own."""
        if self._result is None or self._result.request.tick is not tick:
            return None
        return self._teller.told(self._result, now_ns)

    def _while_busy(self, tick: Tick, now_ns: int, inference: Inference, running: Request) -> Outcome | None:
        """Wait until the tick's deadline; an engine that does not come back at all is given up."""
        # A machine that was stopped or slept has not seen its engine stall: only time that was watched counts.
        self._watched_ns += min(now_ns - self._seen_ns, 2 * max(self._ticker.period_ns, self._deadline_ns))
        self._seen_ns = now_ns
        if self._watched_ns > self._patience_ns:
            inference.give_up()
            self._patience_ns *= 2  # what needs long to open would else be given up again and again
            self._spare[0] = Answer.empty(*self._task.grid)  # the lost engine may still write into the old one
        elif now_ns < tick.time_ns + self._deadline_ns:
            return None
        whose = "its" if running.tick is tick else f"tick {running.tick.number}'s"
        busy_ms = (now_ns - running.chosen_ns) / 1e6
        reason = f"{whose} inference runs for {busy_ms:.0f} ms"
        return self._teller.late(tick, now_ns, self._senses.view(now_ns), reason)

    def _too_late(self, tick: Tick, now_ns: int, inference: Inference) -> str:
        """Why it is too late to begin an inference for the tick; empty when it is not."""
        waited_ns = now_ns - tick.time_ns
        if tick is not self._pending[-1]:
            return f"noticed {waited_ns / 1e6:.0f} ms after it fell due"
        left_ms = (self._deadline_ns - waited_ns) / 1e6
        if waited_ns > _NOTICED * self._ticker.period_ns and inference.needed_ms > left_ms:
            return f"{max(0.0, left_ms):.0f} ms were left, an inference needs {inference.needed_ms:.0f} ms"
        return ""

    def _begin(self, tick: Tick, now_ns: int, inference: Inference) -> Outcome | None:
        """Begin an inference for the tick; its outcome when there is nothing to infer from."""
        begin = time.perf_counter()
        view = self._senses.view(now_ns)
        self._health_ms += since(begin)
        begin = time.perf_counter()
        aligned = self._align(view)
        align_ms = since(begin)
        scenario = best_served(aligned, inference.scenarios(), self._task.sensor_names)
        if scenario == BLIND:
            return self._teller.without(tick, now_ns, view, why(view, aligned, scenario))
        self._watched_ns, self._seen_ns = 0, now_ns
        inference.begin(Request(tick, scenario, aligned, view, now_ns, align_ms, self._spare[0]))
        return None

    def _align(self, view: View) -> dict[str, Aligned]:
        """The usable frames on the grid; one that cannot be brought there is left out with its reason."""
        aligned = {}
        for name, frame in view.choice.frames.items():
            try:
                aligned[name] = self._aligner.align(frame)
            except UserError as error:
                self._senses.reject(name, str(error))
                view.health[name] = Health("wrong", str(error))
                view.choice.left_out[name] = f"wrong: {error}"
        return aligned

    def _let_go(self, feed: Feed, announce: Callable[[str], None]) -> None:
        """Answer what still waits: the run was told to end."""
        while self._pending:
            self._began = time.perf_counter()
            tick = self._pending.popleft()
            now_ns = max(feed.now_ns(), tick.time_ns)
            view = self._senses.view(now_ns)
            self._hand_on(self._teller.without(tick, now_ns, view, "the run was told to end"), feed, announce)

    def _hand_on(self, outcome: Outcome, feed: Feed, announce: Callable[[str], None]) -> None:
        """Give the outcome to the sinks, each with the times until it; count it with the times after the last."""
        stages_ms = {"health": self._health_ms, **outcome.stages_ms}
        self._health_ms = 0.0
        waited_ms = max(0.0, (feed.now_ns() - outcome.tick.time_ns) / 1e6)
        read = self._board()
        begin = time.perf_counter()
        worked_ms = since(self._began) if feed.simulated else 0.0

        def timed() -> Outcome:
            sink_ms = since(begin)
            latency_ms = waited_ms + worked_ms + sink_ms
            stages = {**stages_ms, "sink": sink_ms}
            return dataclasses.replace(outcome, stages_ms=stages, latency_ms=latency_ms, board=read)

        for sink in self._sinks:
            sink.write(timed())
        if self.totals.add(timed()):
            announce(f"{outcome.tick.time_ns / 1e9:8.2f} s  {outcome.scenario}: {outcome.why}")


def since(begin: float) -> float:
    """Milliseconds from `begin`, a value of time.perf_counter, to now."""
    return (time.perf_counter() - begin) * 1e3
