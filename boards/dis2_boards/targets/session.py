"""One conversation with the agent: JSON lines in both directions, raw bytes after those that announce them."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NoReturn, Protocol

from dis2_edge import __version__
from dis2_edge.errors import BoardError, LostError, UserError
from dis2_edge.files import write_bytes

Tell = Callable[[str, int, int], None]
"""Hears of progress: label, done, total (0 where it is not known)."""

PIECE = 1 << 18
"""Bytes of a file that are handed on at once."""
LINE_LIMIT = 16 << 20
"""Longest line, in bytes, that is taken for an answer."""
FETCH_LIMIT = 256 << 20
"""Largest file, in bytes, that is fetched."""
_NOISE_LIMIT = 200
"""Lines that a login shell may say before the agent's first answer."""
_OWN_COMMAND = re.compile(r"dis2-edge (?:status|rollback|prune|deploy|key trust)\b")


class Line(Protocol):
    """What carries the conversation: a process, or a thread in tests."""

    read: BinaryIO
    """What the agent says."""
    write: BinaryIO
    """What the agent hears."""

    def why(self) -> UserError:
        """Why there is nothing more to read; asked once it is so."""

    def close(self, patience_s: float) -> None:
        """End it, by force after `patience_s` seconds."""


class Session:
    """An agent that was greeted. After an error of the agent it goes on; after a LostError it is at its end."""

    def __init__(self, line: Line, *, first: bytes = b"", root: str = "", words: tuple[str, ...] = ()) -> None:
        """Send `first`, then greet. `words` lead here on a command line; they complete what the agent's mends name."""
        self._line, self._words = line, words
        self._greeted = False
        self.hello, self.ahead_s = self._greet(first, root)
        """What the agent said of its machine, and by how many seconds that machine's clock is ahead of ours."""

    def __enter__(self) -> Session:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close(patience_s=10.0 if error is None or isinstance(error, UserError) else 1.0)

    def ask(self, verb: str, tell: Tell | None = None, **words: Any) -> dict[str, Any]:
        """The agent's answer to `verb`; what it tells meanwhile goes to `tell`. Its errors are BoardErrors."""
        self._send(json.dumps({"ask": verb, **words}).encode() + b"\n")
        return self._answer(tell)

    def put(self, path: Path, sha256: str, *, offset: int = 0, tell: Tell | None = None) -> None:
        """Send the file at `path`, from byte `offset` on, to the agent's stock."""
        size = path.stat().st_size
        self._send(json.dumps({"ask": "put", "sha256": sha256, "bytes": size, "offset": offset}).encode() + b"\n")
        with path.open("rb") as file:
            file.seek(offset)
            done = offset
            while done < size:
                piece = file.read(min(PIECE, size - done))
                if not piece:
                    raise BoardError(f"{path} became shorter while it was sent", mend="send it again")
                self._send(piece)
                done += len(piece)
                if tell is not None:
                    tell(path.name, done, size)
        self._answer(None)

    def fetch(self, name: str, out: Path) -> int:
        """Write the board's file `name` (relative to its root folder) to `out`; returns its bytes."""
        size = int(self.ask("fetch", path=name)["bytes"])
        if not 0 <= size <= FETCH_LIMIT:
            raise self._broken(f"a file of {size} bytes")
        data = bytearray()
        while len(data) < size:
            piece = self._line.read.read(min(PIECE, size - len(data)))
            if not piece:
                self._lost()
            data += piece
        write_bytes(out, bytes(data))
        return size

    def close(self, patience_s: float = 10.0) -> None:
        """End the conversation; the agent ends with its input."""
        self._line.close(patience_s)

    def _greet(self, first: bytes, root: str) -> tuple[dict[str, Any], float]:
        before = time.time()
        try:
            self._send(first)
            answer = self.ask("hello", root=root, now_s=before, version=__version__)
        except BaseException:
            self.close(patience_s=1.0)
            raise
        after = time.time()
        return answer, float(answer.get("clock_s", before)) - (before + after) / 2

    def _send(self, data: bytes) -> None:
        try:
            self._line.write.write(data)
            self._line.write.flush()
        except (OSError, ValueError):
            self._last_words()

    def _last_words(self) -> NoReturn:
        """The agent listens no longer: an error that it left says why, else whoever carried its words does."""
        with contextlib.suppress(LostError):
            self._answer(None)
        self._lost()

    def _answer(self, tell: Tell | None) -> dict[str, Any]:
        while True:
            message = self._message()
            if "tell" in message and isinstance(message["tell"], dict):
                if tell is not None:
                    row = message["tell"]
                    tell(str(row.get("label", "")), int(row.get("done", 0)), int(row.get("total", 0)))
            elif isinstance(message.get("answer"), dict):
                self._greeted = True
                return dict(message["answer"])
            elif isinstance(message.get("error"), dict):
                self._greeted = True
                raise self._error(message["error"])
            else:
                raise self._broken(repr(message)[:80])

    def _message(self) -> dict[str, Any]:
        """The next line of the agent; before its first, whatever a login shell says is passed over."""
        for _ in range(1 if self._greeted else _NOISE_LIMIT):
            line = self._read_line()
            start = 0 if self._greeted else max(line.find(b'{"'), 0)
            try:
                message = json.loads(line[start:])
            except (ValueError, RecursionError):
                message = None
            if isinstance(message, dict):
                return message
        if self._greeted:
            raise self._broken(repr(line[:80]))
        raise BoardError(
            f"the target talks before the agent does: {line[:80].decode(errors='replace').strip()!r}",
            expected="a login that prints nothing without a terminal",
            mend="let its ~/.bashrc or ~/.profile print only where there is one: [ -t 1 ] && ...",
        )

    def _read_line(self) -> bytes:
        try:
            line = self._line.read.readline(LINE_LIMIT)
        except (OSError, ValueError):
            line = b""
        if not line.endswith(b"\n"):
            if len(line) >= LINE_LIMIT:
                raise self._broken("a line without an end")
            self._lost()
        return line

    def _error(self, said: dict[str, Any]) -> BoardError:
        """The agent's error, its commands completed by the words that lead to this target."""
        found, expected, mend = (str(said.get(key) or "") for key in ("found", "expected", "mend"))
        tail = " ".join(self._words)
        return BoardError(
            found, expected=expected, mend=_OWN_COMMAND.sub(lambda hit: f"{hit[0]} {tail}".rstrip(), mend)
        )

    def _broken(self, what: str) -> LostError:
        self.close(patience_s=1.0)
        return LostError(f"the agent said {what}", expected="an answer", mend="the same command goes on")

    def _lost(self) -> NoReturn:
        why = self._line.why()
        self.close(patience_s=1.0)
        raise why
