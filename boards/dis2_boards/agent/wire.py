"""JSON lines in both directions, with raw bytes between them where a verb says so; every size is limited."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any, BinaryIO

from dis2_boards.agent.fault import GoneError, RefusedError, told

LINE_LIMIT = 4 << 20
"""Longest request, in bytes."""
PIECE = 1 << 20
"""Bytes that are held at a time."""
_QUIET_S = 0.1


class Wire:
    """One connection: what is read from the workstation and written to it."""

    def __init__(self, read: BinaryIO, write: BinaryIO) -> None:
        self._read, self._write = read, write
        self._owed = 0
        self._told: tuple[str, float] = ("", 0.0)

    def ask(self) -> dict[str, Any] | None:
        """The next request; None at the end of input; RefusedError at what is none, after which the next may come."""
        line = self._read.readline(LINE_LIMIT + 1)
        if len(line) > LINE_LIMIT:
            self._skip_line(line)
            raise RefusedError("a request is too long", expected=f"at most {LINE_LIMIT} bytes")
        if not line.endswith(b"\n"):
            return None  # the end, or a line that was cut off: what was cut off is not done
        try:
            table = json.loads(line.decode("utf-8"), parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise RefusedError(f"a request is no JSON ({str(error)[:200]})") from error
        if not isinstance(table, dict) or not isinstance(table.get("ask"), str):
            raise RefusedError("a request is no table with `ask`")
        return table

    def expect(self, count: int) -> None:
        """Say that `count` raw bytes follow; those that nobody takes are skipped by `drain`."""
        self._owed = count

    def pieces(self) -> Iterator[bytes]:
        """The raw bytes that follow, piece by piece."""
        while self._owed:
            piece = self._read.read(min(self._owed, PIECE))
            if not piece:
                raise GoneError("the connection ended within a file")
            self._owed -= len(piece)
            yield piece

    def drain(self) -> None:
        """Skip what is left of the raw bytes."""
        for _ in self.pieces():
            pass

    def tell(self, label: str, done: float, total: float) -> None:
        """Tell how far something is; of many tellings in a row a few are sent."""
        now = time.monotonic()
        if done < total and self._told[0] == label and now - self._told[1] < _QUIET_S:
            return
        self._told = (label, now)
        self._send({"tell": {"label": label, "done": done, "total": total}})

    def answer(self, table: dict[str, Any]) -> None:
        """End a request well."""
        self._send({"answer": table})

    def refuse(self, error: Exception) -> None:
        """End a request with an error."""
        self._send({"error": told(error)})

    def raw(self, data: bytes) -> None:
        """Send bytes that an answer announced."""
        try:
            self._write.write(data)
            self._write.flush()
        except (OSError, ValueError) as error:
            raise GoneError(f"nobody reads the answers ({error})") from error

    def _send(self, table: dict[str, Any]) -> None:
        self.raw(json.dumps(table, ensure_ascii=True).encode("ascii") + b"\n")

    def _skip_line(self, line: bytes) -> None:
        while line and not line.endswith(b"\n"):
            line = self._read.readline(PIECE)


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")
