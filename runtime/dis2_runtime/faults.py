"""Sensor faults on purpose: a file says which sensor suffers what, when and how long; a wrapper plays it."""

from __future__ import annotations

import dataclasses
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from dis2_edge.errors import RecipeError
from dis2_edge.files import read_toml
from dis2_edge.sensors import Sensor
from dis2_edge.settings import from_table, nearest
from dis2_runtime.frames import Delivery, Frame
from dis2_runtime.sources import Source
from dis2_runtime.sources.wrapped import WrappedSource

KINDS = {
    "off": "no frame arrives",
    "stuck": "frames keep coming, the picture stands still",
    "garbage": "every value is noise",
    "nan": "every value is NaN (sensors of float32 only)",
    "wrong": "frames of another shape: one channel too many",
    "slow": "three of four frames are missing",
    "delayed": "frames arrive late by delay_ms, with true stamps",
    "intermittent": "bursts of 0.4 s are lost, at random, half of the time",
}
SLOW_KEEPS = 4
BURST_NS = 400_000_000


@dataclass(frozen=True)
class Fault:
    """One table `[[fault]]`."""

    sensor: str
    """Whose frames suffer."""
    kind: Literal["off", "stuck", "garbage", "nan", "wrong", "slow", "delayed", "intermittent"]
    """What happens to them; see KINDS."""
    start_s: float
    """When it begins, in seconds of the run."""
    length_s: float = math.inf
    """How long it lasts; to the end of the run when not given."""
    delay_ms: float = 0.0
    """Of delayed: how late frames arrive; 0 takes twice the sensor's maximum age."""

    def __post_init__(self) -> None:
        if not (0 <= self.start_s < math.inf and self.length_s > 0 and 0 <= self.delay_ms < math.inf):
            found = (
                f"fault of {self.sensor!r}: start_s {self.start_s}, length_s {self.length_s}, delay_ms {self.delay_ms}"
            )
            raise RecipeError(found, expected="start_s and delay_ms of 0 or more, length_s above 0")

    def covers(self, time_ns: int) -> bool:
        """Whether the fault is on at `time_ns` of the run."""
        return self.start_s * 1e9 <= time_ns < (self.start_s + self.length_s) * 1e9


@dataclass(frozen=True)
class FaultPlan:
    """A whole FAULTS.toml."""

    fault: tuple[Fault, ...] = ()
    """All faults; several may be on at once and are played in this order."""
    seed: int = 0
    """Seed of what is random in them."""

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise RecipeError(f"seed is {self.seed}", expected="0 or more")


def load(path: Path, sensors: Sequence[Sensor] = ()) -> FaultPlan:
    """Read the plan at `path`; with `sensors` given, each fault must be one that its sensor can have."""
    try:
        plan = from_table(FaultPlan, read_toml(path, RecipeError), where=str(path))
    except RecipeError as error:
        where = "" if str(path) in error.found else f"{path}: "
        raise RecipeError(f"{where}{error.found}", expected=error.expected, mend=error.mend) from error
    if not plan.fault:
        raise RecipeError(f"{path} holds no fault", expected="one table [[fault]] or more")
    for fault in plan.fault if sensors else ():
        _check(fault, {sensor.name: sensor for sensor in sensors}, path)
    return plan


def _check(fault: Fault, sensors: dict[str, Sensor], path: Path) -> None:
    if fault.sensor not in sensors:
        raise RecipeError(f"{path}: unknown sensor {fault.sensor!r}", mend=nearest(fault.sensor, sensors))
    dtype = sensors[fault.sensor].dtype
    if fault.kind == "nan" and dtype != "float32":
        raise RecipeError(f"{path}: {fault.sensor!r} is {dtype} and knows no NaN", mend='use kind = "garbage"')


class FaultedSource(WrappedSource):
    """A source whose frames suffer the faults of its sensor. Late frames of a live one wait in a `HeldSource`."""

    def __init__(self, source: Source, sensor: Sensor, plan: FaultPlan) -> None:
        super().__init__(source)
        self._sensor = sensor
        self._faults = [fault for fault in plan.fault if fault.sensor == sensor.name]
        self._seed = [plan.seed, zlib.crc32(sensor.name.encode())]
        self._random = np.random.default_rng(self._seed)
        self._still: Frame | None = None
        self._last_due_ns = 0

    def next(self) -> Delivery | None:
        """The next delivery after every fault that is on has had its way with it."""
        delivery = self._source.next()
        if delivery is None:
            return None
        faults = [fault for fault in self._faults if fault.covers(delivery.due_ns)]
        if delivery.frame and (self._still is None or all(fault.kind != "stuck" for fault in faults)):
            self._still = delivery.frame
        for fault in faults:
            delivery = self._suffer(delivery, fault)
        self._last_due_ns = max(self._last_due_ns, delivery.due_ns)  # a late frame holds up those behind it
        return dataclasses.replace(delivery, due_ns=self._last_due_ns)

    def _suffer(self, delivery: Delivery, fault: Fault) -> Delivery:
        frame = delivery.frame
        if self._is_lost(delivery, fault):
            return Delivery(delivery.due_ns, None)
        if frame is None:
            return delivery  # with its own reason
        if fault.kind == "delayed":
            late_ms = fault.delay_ms or 2 * self._sensor.max_age_ms
            return Delivery(delivery.due_ns + round(late_ms * 1e6), frame)
        return Delivery(delivery.due_ns, dataclasses.replace(frame, pixels=self._spoil(frame, fault)))

    def _is_lost(self, delivery: Delivery, fault: Fault) -> bool:
        if fault.kind == "intermittent":
            burst = delivery.due_ns // BURST_NS
            return bool(np.random.default_rng([*self._seed, burst]).random() < 0.5)
        frame = delivery.frame
        return fault.kind == "off" or (fault.kind == "slow" and frame is not None and frame.sequence % SLOW_KEEPS != 0)

    def _spoil(self, frame: Frame, fault: Fault) -> npt.NDArray[Any]:
        """The pixels that arrive in place of the frame's own, HxWxC of its dtype (but for `wrong`)."""
        pixels = frame.pixels
        if fault.kind == "stuck" and self._still is not None:
            return self._still.pixels
        if fault.kind == "nan":
            return np.full_like(pixels, np.nan)
        if fault.kind == "wrong":
            return np.concatenate([pixels, pixels[..., :1]], axis=2)
        if fault.kind == "garbage" and pixels.dtype.kind == "f":
            low, high = self._sensor.valid_min, self._sensor.valid_max
            return self._random.uniform(low, high, pixels.shape).astype(pixels.dtype)
        if fault.kind == "garbage":
            return self._random.integers(0, np.iinfo(pixels.dtype).max, pixels.shape, pixels.dtype, endpoint=True)
        return pixels
