"""A process that carries a conversation, with what it said on stderr kept for the message when it ends."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from collections.abc import Callable, Sequence
from typing import IO, BinaryIO, cast

from dis2_edge.errors import UserError

SAID_LIMIT = 16 << 10
"""Bytes of stderr that are kept, the last ones."""
_LAST_WORDS_S = 5.0
"""How long an ended conversation waits for its process to end too."""

Reason = Callable[[int, str], UserError]
"""Makes an error of an exit status and of what was said on stderr."""


class Child:
    """The process of `command`, in a session of its own: Ctrl-C reaches this program, which then ends it in order."""

    def __init__(self, command: Sequence[str], reason: Reason) -> None:
        """`reason` says what its end means. An OSError where it cannot be started at all."""
        self._reason = reason
        self._process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self.read = cast(BinaryIO, self._process.stdout)
        self.write = cast(BinaryIO, self._process.stdin)
        self._said = bytearray()
        # What is not read would stop the process once the pipe is full.
        self._hearing = threading.Thread(target=self._hear, args=(self._process.stderr,), daemon=True)
        self._hearing.start()

    def why(self) -> UserError:
        """What the end of the process means; one that does not end is ended."""
        with contextlib.suppress(OSError, ValueError):
            self.write.close()
        code = self._ended(_LAST_WORDS_S)
        self._hearing.join(timeout=1.0)
        return self._reason(code, bytes(self._said).decode(errors="replace"))

    def close(self, patience_s: float) -> None:
        """Hang up, then wait, then end it: an agent that is at work notices by its next word that nobody listens."""
        for stream in (self.write, self.read):
            with contextlib.suppress(OSError, ValueError):
                stream.close()
        self._ended(patience_s)
        self._hearing.join(timeout=1.0)
        if self._process.stderr is not None and not self._hearing.is_alive():
            self._process.stderr.close()

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def _ended(self, patience_s: float) -> int:
        harder: tuple[Callable[[], None], ...] = (self._process.terminate, self._process.kill)
        for step in harder:
            try:
                return self._process.wait(timeout=patience_s)
            except subprocess.TimeoutExpired:
                step()
                patience_s = 2.0
        return self._process.wait()

    def _hear(self, stream: IO[bytes]) -> None:
        with contextlib.suppress(OSError, ValueError):
            while piece := os.read(stream.fileno(), 4096):
                self._said += piece
                del self._said[:-SAID_LIMIT]
