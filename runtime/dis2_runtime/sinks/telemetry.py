"""The telemetry sink: one line of JSON a tick, handed to the system at once and to the disk every half second."""

from __future__ import annotations

import contextlib
import io
import json
import os
from pathlib import Path

from dis2_edge.errors import StorageError
from dis2_edge.files import storage_errors
from dis2_runtime.outcome import Outcome
from dis2_runtime.sinks import Wants


class TelemetrySink:
    """Writes telemetry.jsonl; docs/sinks.md tells its fields. After a failure the file is opened again."""

    wants = Wants(mask=False, confidence=False)

    def __init__(self, folder: Path) -> None:
        self._path = folder / "telemetry.jsonl"
        self._file: io.FileIO | None = None
        with storage_errors(self._path):
            self._open()

    def write(self, outcome: Outcome) -> None:
        """Append the row of one tick."""
        row = json.dumps(outcome.row(), allow_nan=False).encode() + b"\n"
        with storage_errors(self._path):
            self._append(self._file or self._open(), row)

    def sync(self) -> None:
        """Bring the rows to the disk; StorageError when somebody removed the file: the next row begins a new one."""
        with storage_errors(self._path):
            if self._file:
                os.fsync(self._file.fileno())
                self._refuse_removed(self._file)

    def close(self) -> None:
        """Close the file."""
        with storage_errors(self._path):
            if self._file:
                self._file.close()

    def _open(self) -> io.FileIO:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = io.FileIO(self._path, "a")
        return self._file

    def _refuse_removed(self, file: io.FileIO) -> None:
        """The system goes on writing to a file that no folder holds any more."""
        if os.fstat(file.fileno()).st_nlink == 0:
            self._file = None
            file.close()
            raise StorageError(f"{self._path} was removed", mend="leave the folder of a flight alone while it flies")

    def _append(self, file: io.FileIO, row: bytes) -> None:
        """Write the whole row, or cut off what was written of it: a full disk may take a part without an error."""
        end, left = os.fstat(file.fileno()).st_size, row
        try:
            while left:
                left = left[file.write(left) :]
        except BaseException:
            self._file = None
            with contextlib.suppress(OSError):
                os.ftruncate(file.fileno(), end)
            with contextlib.suppress(OSError):
                file.close()
            raise
