"""The teller makes an outcome of what came of a tick: fresh from the engine, held, or blind, with every reason."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from dis2_edge.bundle import Manifest, Policy
from dis2_edge.engine_names import FILES
from dis2_edge.scenario import BLIND
from dis2_edge.task import Task
from dis2_runtime.align.aligner import Aligned
from dis2_runtime.engines.rows import rung_name
from dis2_runtime.inference import Result
from dis2_runtime.outcome import LastMask, Outcome, SensorNote
from dis2_runtime.poses.track import PoseTrack, pose_of
from dis2_runtime.senses import Senses, View
from dis2_runtime.ticks import Tick


class Teller:
    """Knows the last mask, the sensors' notes, and what each model was measured to reach."""

    def __init__(
        self, manifest: Manifest, task: Task, policy: Policy, senses: Senses, track: PoseTrack | None = None
    ) -> None:
        """`track` is where the aircraft flies, for masks whose frames do not know."""
        self._task, self._senses, self._track = task, senses, track
        self._last_mask = LastMask(task, policy.hold_ms)
        self._last_scenario = BLIND
        self._expected: dict[tuple[str, str], float | None] = {
            (row.scenario, rung_name(engine, row.precision)): row.miou
            for engine, form in FILES.items()
            for row in manifest.models
            if (row.dialect, row.io) == form
        }

    def keep(self, result: Result) -> None:
        """From now on the mask of `result` is the one to repeat; its age counts from the choice of its frames."""
        self._last_mask.keep(result.request.into.mask, result.request.chosen_ns)
        self._last_scenario = result.request.scenario

    def told(self, result: Result, now_ns: int) -> Outcome:
        """The outcome of the tick that asked for `result`."""
        request, view, aligned = result.request, result.request.view, result.request.aligned
        if result.problem:
            return self.without(request.tick, now_ns, view, f"the engine failed: {result.problem}")
        used = request.scenario.split("+")
        return Outcome(
            tick=request.tick,
            mask=request.into.mask,
            state="fresh",
            mask_age_ms=0.0,
            scenario=request.scenario,
            why=why(view, aligned, request.scenario),
            expected_miou=self._expected.get((request.scenario, result.engine.partition(",")[0])),
            confidence=float(request.into.confidence.mean()) / 255,
            sensors=self._notes(view, aligned, request.scenario),
            confidence_map=request.into.confidence,
            frames={name: aligned[name].pixels for name in used},
            pose=pose_of([view.choice.frames[name] for name in used], self._track),
            engine=result.engine,
            stages_ms={"align": request.align_ms, "engine": result.took_ms},
        )

    def late(self, tick: Tick, now_ns: int, view: View, reason: str) -> Outcome:
        """The outcome of a tick whose sensors may be well but whose mask is not there in time; see `without`."""
        outcome = self.without(tick, now_ns, view, f"late: {reason}")
        return dataclasses.replace(outcome, scenario=self._last_scenario) if outcome.state == "held" else outcome

    def without(self, tick: Tick, now_ns: int, view: View, reason: str) -> Outcome:
        """The outcome of a tick without a fresh mask, because of `reason`: the last one is held, or it is blind."""
        mask, state, age_ms = self._last_mask.at(now_ns)
        return Outcome(tick, mask, state, age_ms, BLIND, reason, None, None, self._notes(view, {}, BLIND))

    def _notes(self, view: View, aligned: Mapping[str, Aligned], scenario: str) -> dict[str, SensorNote]:
        used = set(scenario.split("+")) & set(aligned)
        unused = f"no model for {'+'.join(aligned)}" if used else "no mask was made"
        return {
            name: SensorNote(
                health=view.health[name],
                used=name in used,
                left_out=view.choice.left_out.get(name, "" if name in used else unused),
                sequence=view.choice.sequences.get(name),
                age_ms=view.choice.ages_ms.get(name),
                stamped=view.choice.stamped.get(name, False),
                dropped=self._senses.judges[name].dropped,
                holes=aligned[name].holes if name in aligned else 0,
            )
            for name in self._task.sensor_names
        }


def why(view: View, aligned: Mapping[str, Aligned], scenario: str) -> str:
    """The reason for `scenario`, in words."""
    reasons = [f"{name} {reason}" for name, reason in view.choice.left_out.items()]
    unused = [name for name in aligned if name not in scenario.split("+")]
    if unused:
        reasons.append(f"no model for {'+'.join(aligned)}")
    return "; ".join(reasons) or "all sensors"
