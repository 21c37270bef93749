"""The PNG sink: a palette picture a tick, class index in the pixels, the manifest's colours in the table.

On request also the confidence as a grey picture (255 is 1) and the telemetry row as a side-car.
"""

from __future__ import annotations

import json
from pathlib import Path

from dis2_edge.labels import rgb_of
from dis2_edge.task import Task
from dis2_runtime.outcome import Outcome
from dis2_runtime.sinks import Wants
from dis2_runtime.sinks.png_bytes import PngEncoder
from dis2_runtime.sinks.whole_files import WholeFiles

IGNORE_COLOUR = (128, 128, 128)
"""Grey: here no class is claimed."""


class PngSink:
    """Writes masks/NUMBER.png."""

    def __init__(
        self, folder: Path, task: Task, *, confidence: bool = False, sidecar: bool = False, durable: bool = False
    ) -> None:
        """`confidence` adds confidence/NUMBER.png of fresh ticks, `sidecar` masks/NUMBER.json."""
        self.wants = Wants(confidence=confidence)
        self._sidecar = sidecar
        self._encoder = PngEncoder(task.grid, palette_of(task))
        self._grey = PngEncoder(task.grid)
        self._masks = WholeFiles(folder / "masks", durable=durable)
        self._confidence = WholeFiles(folder / "confidence", durable=durable) if confidence else None

    def write(self, outcome: Outcome) -> None:
        """Write the files of one tick, each whole or not at all."""
        name = f"{outcome.tick.number:08d}"
        self._masks.write(f"{name}.png", self._encoder.encode(outcome.mask))
        if self._confidence and outcome.confidence_map is not None:
            self._confidence.write(f"{name}.png", self._grey.encode(outcome.confidence_map))
        if self._sidecar:
            self._masks.write(f"{name}.json", json.dumps(outcome.row(), allow_nan=False).encode() + b"\n")

    def sync(self) -> None:
        """Bring the files since the last time to the disk."""
        self._masks.sync()
        if self._confidence:
            self._confidence.sync()

    def close(self) -> None:
        """Name the last files."""
        self.sync()


def palette_of(task: Task) -> bytes:
    """RGB of the indices 0..255: the classes' colours, grey for all others."""
    known = rgb_of(task.colours).tobytes()
    return known + bytes(IGNORE_COLOUR) * (256 - len(task.colours))
