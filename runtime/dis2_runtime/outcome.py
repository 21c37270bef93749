"""What came of a tick: the mask, where it comes from, and all that a telemetry row says about it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from dis2_edge.task import Task
from dis2_runtime.health.judge import Health
from dis2_runtime.poses.pose import Pose
from dis2_runtime.ticks import Tick

MaskState = Literal["fresh", "held", "blind"]


@dataclass(frozen=True)
class SensorNote:
    """One sensor at one tick."""

    health: Health
    """Its state and the reason."""
    used: bool
    """Whether its frame went into the mask."""
    left_out: str
    """Why it was not used; empty when it was."""
    sequence: int | None
    """Number of its newest frame; None before the first."""
    age_ms: float | None
    """Age of that frame."""
    stamped: bool
    """Whether that age counts from the sensor's own stamp; else from its arrival."""
    dropped: int
    """Frames lost since the start of the run."""
    holes: int
    """Pixels of the frame that were filled on the grid."""

    def row(self) -> dict[str, Any]:
        """Plain values for telemetry."""
        return {
            "health": self.health.state,
            "reason": self.health.reason,
            "used": self.used,
            "left_out": self.left_out,
            "frame": self.sequence,
            "age_ms": None if self.age_ms is None else round(self.age_ms, 3),
            "stamp": None if self.age_ms is None else "own" if self.stamped else "arrival",
            "dropped": self.dropped,
            "holes": self.holes,
        }


@dataclass(frozen=True)
class Outcome:
    """One answered tick."""

    tick: Tick
    """The tick."""
    mask: npt.NDArray[np.uint8]
    """HxW, class index, or the ignore index everywhere when blind. Valid until the next tick."""
    state: MaskState
    """fresh from the engine, held from an earlier tick, or blind."""
    mask_age_ms: float | None
    """How old the mask is; None when blind."""
    scenario: str
    """The scenario of this tick; `blind` when no model could be run."""
    why: str
    """Why this scenario, or why no fresh mask."""
    expected_miou: float | None
    """mIoU (0..1) that the scenario's model file reached on its test split; None when not measured or not fresh."""
    confidence: float | None
    """Mean confidence over the mask, 0..1; None when not fresh."""
    sensors: dict[str, SensorNote]
    """Every sensor, by name."""
    confidence_map: npt.NDArray[np.uint8] | None = None
    """HxW, probability of each pixel's class, 255 is 1; None when not fresh. Valid until the next tick."""
    frames: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    """The frames that went into the mask, on the grid: HxWxC of the sensor's type. Valid until the next tick."""
    pose: Pose | None = None
    """Where the grid lay on the ground; None when no source knows."""
    board: dict[str, Any] | None = None
    """The newest reading of the board's sensors; None when none is taken, as in simulated time."""
    engine: str = ""
    """Which models made the mask, and what they stand in for; empty when it is not fresh."""
    stages_ms: dict[str, float] = field(default_factory=dict)
    """Time of each stage of this tick, in milliseconds."""
    latency_ms: float = 0.0
    """From the moment the tick fell due to its mask being written."""

    def row(self) -> dict[str, Any]:
        """Plain values for one line of telemetry."""
        return {
            "tick": self.tick.number,
            "time_ms": round(self.tick.time_ns / 1e6, 3),
            "cause": self.tick.cause,
            "scenario": self.scenario,
            "why": self.why,
            "state": self.state,
            "mask_age_ms": None if self.mask_age_ms is None else round(self.mask_age_ms, 3),
            "expected_miou": self.expected_miou,
            "engine": self.engine,
            "confidence": None if self.confidence is None else round(self.confidence, 4),
            "pose": self.pose and dataclasses.asdict(self.pose),
            "board": self.board,
            "sensors": {name: note.row() for name, note in self.sensors.items()},
            "stages_ms": {name: round(value, 3) for name, value in self.stages_ms.items()},
            "latency_ms": round(self.latency_ms, 3),
        }


class LastMask:
    """The last fresh mask, for ticks that get none, and the blind mask for when it is too old."""

    def __init__(self, task: Task, hold_ms: float) -> None:
        self._blind = np.full(task.grid, task.ignore, np.uint8)
        self._hold_ms = hold_ms
        self._mask: npt.NDArray[np.uint8] | None = None
        self._time_ns = 0

    def keep(self, mask: npt.NDArray[np.uint8], time_ns: int) -> None:
        """Keep `mask`, fresh at `time_ns`; its owner does not write into it before the next `keep`."""
        self._mask, self._time_ns = mask, time_ns

    def at(self, time_ns: int) -> tuple[npt.NDArray[np.uint8], MaskState, float | None]:
        """The mask to repeat at `time_ns`, held or blind, with its age in milliseconds."""
        age_ms = max(0.0, (time_ns - self._time_ns) / 1e6)
        if self._mask is None or age_ms > self._hold_ms:
            return self._blind, "blind", None
        return self._mask, "held", age_ms
