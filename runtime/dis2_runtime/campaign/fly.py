"""Fly the legs of a campaign one after the other on one engine, and judge each as it lands."""

from __future__ import annotations

import dataclasses
import threading
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from dis2_edge import bundle as bundles
from dis2_edge.bundle import Bundle, Policy
from dis2_edge.task import Task
from dis2_edge.terminal import progress
from dis2_runtime.align.aligner import Aligner
from dis2_runtime.align.tiler import output_task
from dis2_runtime.campaign.judge import Judged, judge
from dis2_runtime.campaign.plan import Leg
from dis2_runtime.campaign.witness import Witness
from dis2_runtime.clock import RunClock
from dis2_runtime.fly import Flight, feed_of, opened, rungs_of, sources_of
from dis2_runtime.guard import EngineGuard
from dis2_runtime.poses.track import load as load_track
from dis2_runtime.stream import Limits, Stream


@dataclass(frozen=True)
class Campaign:
    """Every flight with its verdict."""

    bundle: Bundle
    """What flew."""
    flight: Flight
    """How, but for the faults."""
    flown: list[tuple[Leg, Judged]] = field(default_factory=list)
    """In order."""

    @property
    def survived(self) -> bool:
        """Whether nothing crashed and no tick stayed without answer."""
        return all(not judged.crash and not judged.unanswered for _, judged in self.flown)


def run_campaign(bundle: Bundle, flight: Flight, legs: Sequence[Leg]) -> Campaign:
    """Fly `legs` over the sources of `flight`; its faults and limits are those of each leg.

    UserErrors are those of what was asked for: a bundle that was altered, a source that is not there. Whatever happens
    in the air is a crash of that leg, and the next one starts.
    """
    bundles.verify_hashes(bundle)
    modelled = flight.rig.task(bundle.manifest.task)
    task = output_task(modelled)
    policy = flight.rig.policy_over(bundle.manifest.policy, task)
    campaign = Campaign(bundle, flight)
    with EngineGuard(rungs_of(bundle, flight, modelled)) as guard:
        for leg in _with_time_left(legs):
            campaign.flown.append((leg, _fly(leg, bundle, flight, task, policy, guard)))
    return campaign


def _with_time_left(legs: Sequence[Leg]) -> Iterable[Leg]:
    return progress(legs, f"campaign, {sum(leg.seconds for leg in legs):.0f} s of flight")


def _fly(leg: Leg, bundle: Bundle, flight: Flight, task: Task, policy: Policy, guard: EngineGuard) -> Judged:
    clock, stop, witness = RunClock(), threading.Event(), Witness()
    track = load_track(flight.rig.poses, flight.rig.base)
    faulted = dataclasses.replace(flight, faults=leg.faults)
    crash = ""
    with opened(sources_of(faulted, task, clock, track)) as sources:
        feed = feed_of(flight, sources, stop, clock)
        aligner = Aligner(task, flight.rig.remaps())
        stream = Stream(bundle.manifest, task, policy, guard, [witness], aligner, track)
        try:
            stream.run(feed, Limits(seconds=leg.seconds), stop)
        except Exception:  # that anything gets out of a run at all is what the campaign looks for
            crash = traceback.format_exc()
        finally:
            feed.stop()
    return judge(leg, witness.noted, task, policy, crash)
