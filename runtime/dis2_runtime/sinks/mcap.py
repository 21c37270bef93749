"""The MCAP sink: flight.mcap with every mask, telemetry row and pose, to be opened in Foxglove.

A mask is one palette PNG: viewers see the manifest's colours, programs the class index. Log time is the computer's time
at the first tick, plus the run's clock from there on, so that a clock set in flight makes no gap.
"""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from dis2_edge.task import Task
from dis2_runtime.messages import foxglove
from dis2_runtime.outcome import Outcome
from dis2_runtime.sinks.mcap_file import McapFile
from dis2_runtime.sinks.mcap_schemas import pose_row, pose_schema, telemetry_schema

FILE_NAME = "flight.mcap"
SYNC_S = 0.4
"""A chunk that is this old is closed and brought to the disk with the next tick."""
_GREY = (128, 128, 128)
"""Colour of what is no class."""
_FRAME = "grid"
_RLE = 3
"""Kind of zlib's compression that only looks for runs: masks are made of them."""


class McapSink:
    """Writes flight.mcap, which even a killed run leaves readable up to its last half second."""

    def __init__(self, folder: Path, task: Task) -> None:
        self._file = McapFile(folder / FILE_NAME)
        schema = "foxglove.CompressedImage"
        self._mask = self._file.channel("/mask", "protobuf", schema, "protobuf", foxglove.compressed_image_schema())
        schema = "dis2_edge.Telemetry"
        self._telemetry = self._file.channel("/telemetry", "json", schema, "jsonschema", telemetry_schema(task))
        self._pose: int | None = None
        self._palette = _palette(task)
        self._encoded = b""
        self._shown: npt.NDArray[np.uint8] | None = None
        self._start_ns: int | None = None
        self._synced_s = time.monotonic()

    def write(self, outcome: Outcome) -> None:
        """Take one tick; about every half second what was taken is brought to the disk."""
        log_ns, number = self._log_ns(outcome), outcome.tick.number
        picture = foxglove.write_compressed_image(log_ns, _FRAME, "png", self._picture(outcome.mask))
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

    def _picture(self, mask: npt.NDArray[np.uint8]) -> bytes:
        """`mask` as a PNG, encoded only when it is another one than before."""
        if self._shown is None or not np.array_equal(mask, self._shown):
            image = Image.fromarray(mask)
            image.putpalette(self._palette)
            buffer = io.BytesIO()
            image.save(buffer, "PNG", compress_level=1, compress_type=_RLE)
            self._encoded, self._shown = buffer.getvalue(), mask.copy()
        return self._encoded

    def _pose_channel(self) -> int:
        if self._pose is None:
            self._pose = self._file.channel("/pose", "json", "foxglove.PoseInFrame", "jsonschema", pose_schema())
        return self._pose


def _palette(task: Task) -> bytes:
    """RGB of the indices 0..255."""
    colours = [tuple(bytes.fromhex(colour.lstrip("#"))) for colour in task.colours]
    return bytes(value for colour in colours + [_GREY] * (256 - len(colours)) for value in colour)


def _told(row: dict[str, Any]) -> dict[str, Any]:
    """`row` without what is null: the schema knows one type a field."""
    return {key: _told(value) if isinstance(value, dict) else value for key, value in row.items() if value is not None}


def _json(row: dict[str, Any]) -> bytes:
    return json.dumps(row, allow_nan=False, separators=(",", ":")).encode()
