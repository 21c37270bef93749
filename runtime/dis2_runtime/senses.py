"""All sensors together: mail in, for each tick the health of every sensor and the frames that may be used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dis2_edge.bundle import Policy
from dis2_edge.statistics import SensorStatistics
from dis2_edge.task import Task
from dis2_runtime.frames import Frame, Mail
from dis2_runtime.health.content import Verdict
from dis2_runtime.health.glimpse import Glimpse
from dis2_runtime.health.judge import Health, Judge
from dis2_runtime.health.motion import Motion
from dis2_runtime.sync import Choice, Sync


@dataclass(frozen=True)
class View:
    """What the sensors offer at one moment."""

    health: dict[str, Health]
    """State of every sensor."""
    choice: Choice
    """The frames that a tick may use."""


class Senses:
    """One judge a sensor, one sync for all. Pure: no thread, no clock."""

    def __init__(self, task: Task, training: Sequence[SensorStatistics], policy: Policy) -> None:
        known = {row.name: row for row in training}
        self.judges = {sensor.name: Judge(sensor, known.get(sensor.name)) for sensor in task.sensors}
        self._sync = Sync(task, policy)
        self._motion = Motion(task)

    def receive(self, mail: Mail) -> None:
        """Take in what came from one sensor."""
        judge = self.judges[mail.sensor]
        for heard in mail.heard:
            judge.hear(heard)
        if mail.frame is not None:
            verdict = judge.see(mail.frame)
            self._testify(judge, mail.frame, mail.heard[-1].at_ns)
            self._hand_on(verdict, mail.frame, mail.heard[-1].at_ns)
        if mail.problem:
            judge.miss(mail.problem, lost=mail.lost)
        if mail.ended:
            judge.end(mail.ended, failed=mail.failed)

    def view(self, now_ns: int) -> View:
        """Health and usable frames at `now_ns`."""
        health = {name: judge.health(now_ns) for name, judge in self.judges.items()}
        return View(health, self._sync.choose(now_ns, health))

    def reject(self, sensor: str, reason: str) -> None:
        """A chosen frame could not be brought to the grid: the sensor has to earn its way back."""
        self._sync.doubt(sensor)
        self.judges[sensor].miss(reason)

    def _hand_on(self, verdict: Verdict, frame: Frame, at_ns: int) -> None:
        """To the sync, but for a paused sensor's repeat: the picture is as old as it was when it came first."""
        if verdict.state != "paused":
            self._sync.receive(frame, at_ns, good=verdict.good)

    def _testify(self, judge: Judge, frame: Frame, at_ns: int) -> None:
        """Let a frame be evidence for sensors whose pictures stand still, its own among them."""
        if judge.wants_witness:
            now = {name: _up_to_date(other, at_ns) for name, other in self.judges.items()}
            self._motion.stand(frame.sensor, at_ns, now)
        else:
            self._motion.go(frame.sensor)
        self._motion.saw(frame.sensor, _up_to_date(judge, at_ns), frame.pose)
        for name, other in self.judges.items():
            other.moved = self._motion.moved(name)


def _up_to_date(judge: Judge, at_ns: int) -> Glimpse | None:
    """What a sensor sees at `at_ns`, if that is how things are now: an old picture is no evidence of motion."""
    return judge.glimpse if judge.health(at_ns).state not in ("off", "delayed") else None
