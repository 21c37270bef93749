"""Sinks, one file each: where the outcome of a tick goes. `open_sinks` makes those that a rig asks for."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from dis2_edge.task import Task
from dis2_runtime.outcome import Outcome
from dis2_runtime.sinks.geotiff import GeotiffSettings

__all__ = ["Sink", "open_sinks"]


class Sink(Protocol):
    """Takes every outcome in order. Failures of the disk are StorageErrors."""

    def write(self, outcome: Outcome) -> None:
        """Take one outcome; its mask must not be kept."""

    def close(self) -> None:
        """Finish what was begun."""


def open_sinks(names: Iterable[str], folder: Path, task: Task, geotiff: GeotiffSettings | None = None) -> list[Sink]:
    """The sinks called `names` below `folder`; those that record times come last, so that they see the others'."""
    from dis2_runtime.sinks.geotiff import GeotiffSink
    from dis2_runtime.sinks.png import PngSink
    from dis2_runtime.sinks.telemetry import TelemetrySink

    chosen = set(names)
    sinks: list[Sink] = [PngSink(folder, task)] if "png" in chosen else []
    if "mcap" in chosen:
        from dis2_runtime.sinks.mcap import McapSink

        sinks.append(McapSink(folder, task))
    if "geotiff" in chosen:
        sinks.append(GeotiffSink(folder, task, geotiff))
    return [*sinks, TelemetrySink(folder)] if "telemetry" in chosen else sinks
