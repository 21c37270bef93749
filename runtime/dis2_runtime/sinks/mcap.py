"""The MCAP sink: flight.mcap with every mask, telemetry row and pose, to be opened in Foxglove.

A mask is one palette PNG: viewers see the manifest's colours, programs the class index. Log time is the computer's time
at the first tick, plus the run's clock from there on, so that a clock set in flight makes no gap.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from dis2_edge.task import Task
from dis2_runtime.messages import foxglove
from dis2_runtime.outcome import Outcome
from dis2_runtime.sinks import Wants
from dis2_runtime.sinks.mcap_file import McapFile
from dis2_runtime.sinks.mcap_schemas import pose_row, pose_schema, telemetry_schema
from dis2_runtime.sinks.png import palette_of
from dis2_runtime.sinks.png_bytes import PngEncoder

FILE_NAME = "flight.mcap"
SYNC_S = 0.4
"""A chunk that is this old is closed and brought to the disk with the next tick."""
_FRAME = "grid"


class McapSink:
    """Writes flight.mcap, which even a killed run leaves readable up to its last half second."""

    wants = Wants(confidence=False)

    def __init__(self, folder: Path, task: Task) -> None:
        self._file = McapFile(folder / FILE_NAME)
        schema = "foxglove.CompressedImage"
        self._mask = self._file.channel("/mask", "protobuf", schema, "protobuf", foxglove.compressed_image_schema())
        schema = "dis2_edge.Telemetry"
        self._telemetry = self._file.channel("/telemetry", "json", schema, "jsonschema", telemetry_schema(task))
        self._pose: int | None = None
        self._encoder = PngEncoder(task.grid, palette_of(task))
        self._start_ns: int | None = None
        self._synced_s = time.monotonic()

    def write(self, outcome: Outcome) -> None:
        """Take one tick; about every half second what was taken is brought to the disk."""
        log_ns, number = self._log_ns(outcome), outcome.tick.number
        picture = foxglove.write_compressed_image(log_ns, _FRAME, "png", self._encoder.encode(outcome.mask))
        self._file.add(self._mask, log_ns, number, picture)
        self._file.add(self._telemetry, log_ns, number, _json(_told(outcome.row())))
        if outcome.pose is not None:
            self._file.add(self._pose_channel(), log_ns, number, _json(pose_row(outcome.pose, log_ns)))
        if time.monotonic() - self._synced_s >= SYNC_S:
            self.sync()

    def sync(self) -> None:
        """Bring to the disk what was written."""
        self._synced_s = time.monotonic()
        self._file.sync()

    def close(self) -> None:
        """Write the index, and close the file."""
        self._file.close()

    def _log_ns(self, outcome: Outcome) -> int:
        if self._start_ns is None:
            self._start_ns = time.time_ns() - outcome.tick.time_ns - round(outcome.latency_ms * 1e6)
        return self._start_ns + outcome.tick.time_ns

    def _pose_channel(self) -> int:
        if self._pose is None:
            self._pose = self._file.channel("/pose", "json", "foxglove.PoseInFrame", "jsonschema", pose_schema())
        return self._pose


def _told(row: dict[str, Any]) -> dict[str, Any]:
    """`row` without what is null: the schema knows one type a field."""
    return {key: _told(value) if isinstance(value, dict) else value for key, value in row.items() if value is not None}


def _json(row: dict[str, Any]) -> bytes:
    return json.dumps(row, allow_nan=False, separators=(",", ":")).encode()
