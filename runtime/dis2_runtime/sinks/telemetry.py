"""The telemetry sink: one line of JSON a tick, flushed, so that a reader or a crash finds every tick but the last."""

from __future__ import annotations

import json
from pathlib import Path

from dis2_edge.files import storage_errors
from dis2_runtime.outcome import Outcome


class TelemetrySink:
    """Writes telemetry.jsonl; docs/runtime.md tells its fields."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "telemetry.jsonl"
        with storage_errors(self._path):
            folder.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("w", encoding="utf-8", buffering=1)

    def write(self, outcome: Outcome) -> None:
        """Append the row of one tick."""
        with storage_errors(self._path):
            self._file.write(json.dumps(outcome.row(), allow_nan=False) + "\n")

    def close(self) -> None:
        """Close the file."""
        with storage_errors(self._path):
            self._file.close()
