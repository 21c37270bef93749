"""Sinks, one file each: where the outcome of a tick goes. `open_sinks` makes those that a rig asks for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from dis2_edge.task import Task
from dis2_runtime.outcome import Outcome
from dis2_runtime.output import Output

if TYPE_CHECKING:
    from dis2_runtime.sinks.geotiff import GeotiffSettings

__all__ = ["Sink", "Syncing", "Wants", "open_sinks"]


class Sink(Protocol):
    """Takes every outcome in order. Failures of the disk are StorageErrors.

    In real time a sink runs in a thread of its own, an Outbox, and may take its time. It may say by an attribute
    `wants: Wants` what it reads of an outcome, and by a method `sync` how its output survives a pulled battery.
    """

    def write(self, outcome: Outcome) -> None:
        """Take one outcome; its arrays must not be kept."""

    def close(self) -> None:
        """Finish what was begun."""


@runtime_checkable
class Syncing(Protocol):
    """A sink that buffers, or whose files are not on the disk when `write` returns."""

    def sync(self) -> None:
        """Bring to the disk what was written; called about every half second."""


@dataclass(frozen=True)
class Wants:
    """The arrays that a sink reads. Others are not copied for it; a sink without `wants` gets mask and confidence."""

    mask: bool = True
    """The mask; without it the sink sees an empty one."""
    confidence: bool = True
    """The confidence of every pixel."""
    frames: tuple[str, ...] = ()
    """Sensors, the dearest first: of those that went into the mask the first one's frame is handed on."""


def open_sinks(
    names: Iterable[str],
    folder: Path,
    task: Task,
    output: Output | None = None,
    geotiff: GeotiffSettings | None = None,
    *,
    rate_hz: float = 10.0,
    durable: bool = False,
) -> dict[str, Sink]:
    """The sinks called `names` below `folder`, by name; telemetry comes last, so that it sees the others' times.

    Only their modules are imported, as some want packages that a board may do without.

    `output` and `geotiff` are the rig's tables; `rate_hz` that of the ticks. `durable` sinks bring files to the disk
    before they name them.
    """
    chosen, output = set(names), output or Output()
    sinks: dict[str, Sink] = {}
    if "overlay" in chosen:
        from dis2_runtime.sinks.overlay import OverlaySink

        sinks["overlay"] = OverlaySink(folder, task, rate_hz)
    if "png" in chosen:
        from dis2_runtime.sinks.png import PngSink

        sinks["png"] = PngSink(folder, task, confidence=output.confidence, sidecar=output.sidecar, durable=durable)
    if "mcap" in chosen:
        from dis2_runtime.sinks.mcap import McapSink

        sinks["mcap"] = McapSink(folder, task)
    if "geotiff" in chosen:
        from dis2_runtime.sinks.geotiff import GeotiffSink

        sinks["geotiff"] = GeotiffSink(folder, task, geotiff, durable=durable)
    if "telemetry" in chosen:
        from dis2_runtime.sinks.telemetry import TelemetrySink

        sinks["telemetry"] = TelemetrySink(folder)
    return sinks
