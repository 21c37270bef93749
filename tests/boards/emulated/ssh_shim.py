"""Stands for `ssh` in the PATH of a deploy: the system's own ssh, with the test's keys, and a hand on what passes.

Every request to the board's agent and every answer is a *moment*, told on a socket before it goes on. Whoever listens
there may do something to the board, the cable or the deploy first, and says how to go on: go, drop, or flip (a bit, in
what the next file's bytes are). Without a socket this is ssh and nothing else.

It stands alone: it is started as a script, by any Python, with nothing but the standard library.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections import Counter, deque

PROGRAM, CONFIG, SOCKET = "BOARD_SSH", "BOARD_SSH_CONFIG", "BOARD_SSH_SOCKET"
"""Names of environment variables: the real ssh, its file of settings, the socket of moments."""
HELLO = b'{"ask": "hello"'
PIECE = 1 << 16


def main(words: list[str]) -> int:
    command = [os.environ[PROGRAM], "-F", os.environ[CONFIG], *words]
    if not os.environ.get(SOCKET):
        os.execv(command[0], command)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        return Talk(process).carry()


class Talk:
    """One session: requests up, answers down, each moment told first."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process, self._up, self._down = process, process.stdin, process.stdout
        self._asked: deque[str] = deque()
        self._seen: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._source = os.fdopen(os.dup(0), "rb", buffering=0)
        self._line = socket.socket(socket.AF_UNIX)
        self._line.connect(os.environ[SOCKET])
        self._replies = self._line.makefile("r", encoding="utf-8")

    def carry(self) -> int:
        """Carry both ways until ssh ends; its exit code."""
        threading.Thread(target=self._upwards, daemon=True).start()
        self._downwards()
        return self._process.wait()

    def tell(self, verb: str, when: str) -> str:
        """Tell a moment, such as `put 3 amid`, and wait for the word how to go on."""
        with self._lock:
            self._line.sendall(f"{verb} {self._seen[verb]} {when}\n".encode())
            word = self._replies.readline().strip()
        if word not in ("go", "flip"):
            os._exit(255)
        return word

    def _upwards(self) -> None:
        """Carry what the deploy says; first the agent itself, then its requests, line by line."""
        held = b""
        while (begin := _begin_of_talk(held)) is None:
            piece = self._source.read(PIECE)
            if not piece:
                break
            held += piece
        self._pass(held[:begin])
        held = b"" if begin is None else held[begin:]
        while held or (held := self._source.read(PIECE) or b""):
            line, newline, rest = held.partition(b"\n")
            if newline:
                held = self._request(line + newline, rest)
            elif piece := self._source.read(PIECE):
                held += piece
            else:
                break
        self._up.close()

    def _request(self, line: bytes, held: bytes) -> bytes:
        """Carry one request, and the file's bytes that follow a `put`; what was read beyond them."""
        request = json.loads(line)
        verb = str(request["ask"])
        self._seen[verb] += 1
        self._asked.append(verb)
        word = self.tell(verb, "before")
        self._pass(line)
        if verb != "put":
            return held
        left = int(request["bytes"]) - int(request.get("offset", 0))
        half = left // 2
        while left:
            held = held or self._source.read(PIECE) or b""
            if not held:
                return b""
            piece, held = held[:left], held[left:]
            if word == "flip" and piece:
                piece, word = bytes([piece[0] ^ 1]) + piece[1:], "go"
            left -= len(piece)
            self._pass(piece)
            if half and left <= half:
                half = 0
                self.tell(verb, "amid")
        return held

    def _downwards(self) -> None:
        """Carry what the board says, line by line, and the bytes that answer a `fetch`."""
        words = 0
        while line := self._down.readline():
            said = json.loads(line) if line.startswith(b"{") else {}
            verb = self._asked[0] if self._asked else "hello"
            raw = 0
            if "tell" in said:
                words += 1
                self.tell(verb, f"amid {words}")
            elif "answer" in said or "error" in said:
                words = 0
                self.tell(verb, "after")
                if self._asked:
                    self._asked.popleft()
                raw = int(said.get("answer", {}).get("bytes", 0)) if verb == "fetch" else 0
            os.write(1, line)
            while raw:
                piece = self._down.read(min(raw, PIECE))
                raw -= len(piece)
                os.write(1, piece)

    def _pass(self, data: bytes) -> None:
        try:
            self._up.write(data)
            self._up.flush()
        except OSError:
            os._exit(255)


def _begin_of_talk(held: bytes) -> int | None:
    """Where the first request begins, a whole line at the end; the archive before it may hold any bytes."""
    begin = held.rfind(HELLO)
    if begin < 0 or not held.endswith(b"\n"):
        return None
    try:
        json.loads(held[begin:])
    except ValueError:
        return None
    return begin


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
