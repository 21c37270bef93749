"""The loop: mail, tick, scenario, engine, sinks. Every tick that falls due is answered, whatever the sensors do."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dis2_edge.bundle import Manifest, Policy
from dis2_edge.errors import EngineError, UserError
from dis2_edge.scenario import BLIND, best_served, sensors_of
from dis2_edge.task import Task
from dis2_runtime.align import Aligned, Aligner
from dis2_runtime.engine import Answer, Engine
from dis2_runtime.feed import Feed
from dis2_runtime.health import Health
from dis2_runtime.outcome import LastMask, Outcome, SensorNote
from dis2_runtime.poses_track import PoseTrack, pose_of
from dis2_runtime.senses import Senses, View
from dis2_runtime.sinks import Sink
from dis2_runtime.ticks import Tick, Ticker
from dis2_runtime.totals import Totals


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
        precision: str,
        engine: Engine,
        sinks: Sequence[Sink],
        track: PoseTrack | None = None,
    ) -> None:
        """`task` and `policy` are the manifest's as the rig changed them; `track` is where the aircraft flies."""
        self._task, self._engine, self._sinks, self._track = task, engine, sinks, track
        self._senses = Senses(task, manifest.statistics, policy.return_after)
        self._ticker = Ticker(task, policy)
        self._aligner = Aligner(task)
        self._last_mask = LastMask(task, policy.hold_ms)
        self._spare = [Answer.empty(*task.grid), Answer.empty(*task.grid)]
        self._expected = {
            row.scenario: row.miou
            for row in manifest.models
            if (row.precision, row.dialect, row.io) == (precision, "ort", "frame")
        }
        self._stages_ms: dict[str, float] = {"health": 0.0}
        self.totals = Totals()
        """What was counted so far."""

    @property
    def missed(self) -> int:
        """Ticks that were noticed too late to answer at all."""
        return self._ticker.missed

    def run(
        self, feed: Feed, limits: Limits, stop: threading.Event, announce: Callable[[str], None] = lambda text: None
    ) -> str:
        """Answer ticks until a limit, `stop`, or the end of every source; returns which of these it was.

        `announce` gets a line for every change of scenario.
        """
        end_ns = None if limits.seconds is None else round(limits.seconds * 1e9)
        feed.start()
        while not stop.is_set():
            over = not feed.alive() and limits == Limits()
            until_ns = self._ticker.next_ns
            self._take_mail(feed, until_ns if end_ns is None else min(until_ns, end_ns))
            for late, tick in _with_lateness(self._ticker.fallen_due(feed.now_ns())):
                if end_ns is not None and tick.time_ns > end_ns:
                    return "seconds"
                self._answer(tick, feed, announce, late=late)
                if self.totals.answered == limits.ticks:
                    return "ticks"
                if over and not late:
                    return "end of the sources"
            if end_ns is not None and feed.now_ns() >= end_ns:
                return "seconds"
        return "request"

    def _take_mail(self, feed: Feed, until_ns: int) -> None:
        for mail in feed.wait(until_ns):
            begin = time.perf_counter()
            self._senses.receive(mail)
            if mail.sensor == self._ticker.anchor:
                for heard in mail.heard:
                    self._ticker.hear(heard.at_ns)
            self._stages_ms["health"] += _since(begin)

    def _answer(self, tick: Tick, feed: Feed, announce: Callable[[str], None], *, late: bool) -> None:
        begin, now_ns = time.perf_counter(), max(feed.now_ns(), tick.time_ns)
        waited_ms = (now_ns - tick.time_ns) / 1e6
        view = self._senses.view(now_ns)
        self._stages_ms["health"] += _since(begin)
        if late:
            outcome = self._without(tick, now_ns, view, BLIND, f"late: noticed {waited_ms:.0f} ms after it fell due")
        else:
            outcome = self._segment(tick, now_ns, view)
        if self.totals.add(self._hand_on(outcome, begin, waited_ms)):
            announce(f"{tick.time_ns / 1e9:8.2f} s  {outcome.scenario}: {outcome.why}")

    def _segment(self, tick: Tick, now_ns: int, view: View) -> Outcome:
        """Run the engine of the best scenario, or repeat the last mask when there is none or it fails."""
        begin = time.perf_counter()
        aligned = self._align(view)
        self._stages_ms["align"] = _since(begin)
        scenario = best_served(aligned, self._engine.scenarios, self._task.sensor_names)
        why = _why(view, aligned, scenario)
        if scenario == BLIND:
            return self._without(tick, now_ns, view, scenario, why)
        begin = time.perf_counter()
        try:
            answer = self._engine.infer(
                scenario, {name: frame.pixels for name, frame in aligned.items()}, into=self._spare[0]
            )
        except EngineError as error:
            return self._without(tick, now_ns, view, BLIND, f"the engine failed: {error}")
        self._stages_ms["engine"] = _since(begin)
        self._spare.reverse()  # the other buffer is filled next: this one may have to be held
        self._last_mask.keep(answer.mask, now_ns)
        confidence = float(answer.confidence.mean()) / 255
        notes = self._notes(view, aligned, scenario)
        expected = self._expected.get(scenario)
        pose = pose_of((view.choice.frames[name] for name in sensors_of(scenario)), self._track)
        return Outcome(tick, answer.mask, "fresh", 0.0, scenario, why, expected, confidence, notes, pose=pose)

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

    def _without(self, tick: Tick, now_ns: int, view: View, scenario: str, why: str) -> Outcome:
        """A tick without a fresh mask."""
        mask, state, age_ms = self._last_mask.at(now_ns)
        return Outcome(tick, mask, state, age_ms, scenario, why, None, None, self._notes(view, {}, scenario))

    def _notes(self, view: View, aligned: dict[str, Aligned], scenario: str) -> dict[str, SensorNote]:
        used = set(scenario.split("+")) & set(aligned)
        unused = f"no model for {'+'.join(aligned)}" if used else "no mask was made"
        return {
            name: SensorNote(
                health=view.health[name],
                used=name in used,
                left_out=view.choice.left_out.get(name, "" if name in used else unused),
                sequence=view.choice.sequences.get(name),
                age_ms=view.choice.ages_ms.get(name),
                dropped=self._senses.judges[name].dropped,
                holes=aligned[name].holes if name in aligned else 0,
            )
            for name in self._task.sensor_names
        }

    def _hand_on(self, outcome: Outcome, begin: float, waited_ms: float) -> Outcome:
        """Give the outcome to the sinks, each with the times until it; returns it with the times after the last."""
        start = time.perf_counter()
        for sink in self._sinks:
            sink.write(self._timed(outcome, start, begin, waited_ms))
        outcome = self._timed(outcome, start, begin, waited_ms)
        self._stages_ms = {"health": 0.0}
        return outcome

    def _timed(self, outcome: Outcome, sinks_begin: float, begin: float, waited_ms: float) -> Outcome:
        stages = {**self._stages_ms, "sink": _since(sinks_begin)}
        return dataclasses.replace(outcome, stages_ms=stages, latency_ms=waited_ms + _since(begin))


def _with_lateness(ticks: list[Tick]) -> list[tuple[bool, Tick]]:
    """Each tick with whether a newer one is due already, which gets the engine in its place."""
    return [(tick is not ticks[-1], tick) for tick in ticks]


def _why(view: View, aligned: dict[str, Aligned], scenario: str) -> str:
    """The reason for `scenario`, in words."""
    reasons = [f"{name} {reason}" for name, reason in view.choice.left_out.items()]
    unused = [name for name in aligned if name not in scenario.split("+")]
    if unused:
        reasons.append(f"no model for {'+'.join(aligned)}")
    return "; ".join(reasons) or "all sensors"


def _since(begin: float) -> float:
    return (time.perf_counter() - begin) * 1e3
