"""A workstation for the agent's tests: it speaks the protocol, with an agent in this process or a carried one."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from dis2_boards.agent.carrying import bootstrap
from dis2_boards.agent.serving import serve

Reply = dict[str, Any]


class AgentError(Exception):
    """The agent answered with an error."""

    def __init__(self, table: dict[str, str]) -> None:
        self.table = table
        super().__init__("; ".join(part for part in table.values() if part))


class Talk:
    """One connection to an agent."""

    def __init__(self, send: BinaryIO, hear: BinaryIO) -> None:
        self._send, self._hear = send, hear
        self.told: list[dict[str, Any]] = []

    def ask(self, verb: str, raw: bytes = b"", **keys: Any) -> Reply:
        """Ask, and return the answer; AgentError on an error."""
        self.line(json.dumps({"ask": verb, **keys}).encode() + b"\n" + raw)
        return self.reply()

    def line(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._send.write(data)
        self._send.flush()

    def reply(self) -> Reply:
        """The next answer; what is told before it is kept."""
        for line in self._hear:
            table = json.loads(line)
            if "tell" in table:
                self.told.append(table["tell"])
            elif "error" in table:
                raise AgentError(table["error"])
            else:
                answer: Reply = table["answer"]
                return answer
        raise EOFError("the agent ended")

    def raw(self, count: int) -> bytes:
        """Bytes that an answer announced."""
        return self._hear.read(count)

    def upload(self, data: bytes) -> tuple[str, int]:
        """Put `data` into the stock; its hash and size."""
        sha = hashlib.sha256(data).hexdigest()
        if self.ask("have", files=[[sha, len(data)]])["missing"]:
            self.ask("put", data, sha256=sha, bytes=len(data), offset=0)
        return sha, len(data)


class Local(Talk):
    """An agent in a thread of this process."""

    def __init__(self, root: Path | None = None) -> None:
        to_read, to_write = os.pipe()
        from_read, from_write = os.pipe()
        self._ends = os.fdopen(to_read, "rb"), os.fdopen(from_write, "wb")
        super().__init__(os.fdopen(to_write, "wb"), os.fdopen(from_read, "rb"))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        if root is not None:
            self.facts = self.ask("hello", root=str(root), now_s=0, version="1")

    def _serve(self) -> None:
        read, write = self._ends
        with read, write:
            serve(read, write)

    def close(self) -> None:
        """Hang up, and wait until the agent has ended."""
        self._send.close()
        self._thread.join(60)
        self._hear.close()

    def __enter__(self) -> Local:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Carried(Talk):
    """An agent as it is on a board: a program of its own, carried over."""

    def __init__(self, python: str = sys.executable, **options: Any) -> None:
        source, archive = bootstrap()
        self.process = subprocess.Popen(
            [python, "-I", "-c", source],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **options,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        super().__init__(self.process.stdin, self.process.stdout)
        self.line(archive)

    def close(self) -> str:
        """Hang up, wait; what it said on stderr."""
        return self.process.communicate(timeout=60)[1].decode()


def all_at_once(requests: Sequence[bytes]) -> list[Reply]:
    """Answers to requests that were sent in one go, without a thread."""
    write = io.BytesIO()
    serve(io.BytesIO(b"".join(requests)), write)
    return [json.loads(line) for line in write.getvalue().splitlines()]
