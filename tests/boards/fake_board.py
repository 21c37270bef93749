"""A board that is made up: its agent is a thread here, with every answer and every fault at hand."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from dis2_boards.targets.session import Session
from dis2_edge.errors import LostError, UserError

HELLO = {
    "version": "0",
    "python": "3.11.2",
    "python_tag": "cp311",
    "machine": "x86_64",
    "glibc": "2.36",
    "user": "pilot",
    "home": "/h",
    "root": "/h/dis2-edge",
    "free_bytes": 10**11,
    "memory_bytes": 8 * 10**9,
    "memory_free_bytes": 6 * 10**9,
    "boot_id": "b",
    "writable": True,
    "sudo": True,
    "systemd": True,
    "venv": True,
    "tensorrt": "",
    "cuda": "",
    "jtop": False,
    "workstation": False,
    "detected": {"board": "host", "kind": "pc", "model": "a computer"},
    "versions": ["a" * 12],
    "current": "a" * 12,
    "previous": None,
    "trusted": ["lab"],
    "service": "none",
}


class CutError(Exception):
    """The connection ends here."""


@dataclass
class FakeBoard:
    """The board, and at once the target that leads to it."""

    hello: dict[str, Any] = field(default_factory=lambda: dict(HELLO))
    """What it says of itself."""
    faults: dict[str, Any] = field(default_factory=dict)
    """Verb -> the error to answer, or CutError to end the connection, or an answer in place of the usual one."""
    stock: dict[str, bytes] = field(default_factory=dict)
    """Files received, by hash."""
    parts: dict[str, bytes] = field(default_factory=dict)
    """Uploads that broke off."""
    asked: list[dict[str, Any]] = field(default_factory=list)
    """Every request but hello."""
    opened: int = 0
    """Connections so far."""
    name: str = "ssh://pilot@drone"
    words: tuple[str, ...] = ("--target", "ssh://pilot@drone")
    remote: bool = True

    def shell(self, command: str) -> str:
        return f"ssh -t pilot@drone '{command}'"

    def open(self) -> Session:
        self.opened += 1
        return Session(Conversation(self._serve), words=self.words)

    @property
    def verbs(self) -> list[str]:
        return [row["ask"] for row in self.asked]

    def _serve(self, read: BinaryIO, write: BinaryIO) -> None:
        with contextlib.suppress(CutError, OSError, ValueError):
            while line := read.readline():
                ask = json.loads(line)
                write.write(json.dumps(self._reply(ask, read)).encode() + b"\n")
                write.flush()

    def _reply(self, ask: dict[str, Any], read: BinaryIO) -> dict[str, Any]:
        verb = ask["ask"]
        if verb != "hello":
            self.asked.append(ask)
        fault = self.faults.get(verb)
        if verb == "put":
            got = self.parts.get(ask["sha256"], b"") if ask["offset"] else b""
            wanted = ask["bytes"] - ask["offset"]
            got += read.read(wanted // 2 if fault is CutError else wanted)
            if fault is CutError:
                self.parts[ask["sha256"]] = got
        if isinstance(fault, list):
            fault = fault.pop(0) if fault else None
        if fault is CutError:
            raise CutError
        if isinstance(fault, dict):
            return fault
        if verb == "put" and hashlib.sha256(got).hexdigest() != ask["sha256"]:
            self.parts.pop(ask["sha256"], None)
            return {"error": {"found": "damaged on the way", "expected": "", "mend": ""}}
        if verb == "put":
            self.stock[ask["sha256"]] = got
        if verb == "fetch":
            return {"error": {"found": f"{ask['path']} cannot be read", "expected": "", "mend": ""}}
        return {"answer": getattr(self, f"_{verb}", lambda ask: {})(ask)}

    def _hello(self, ask: dict[str, Any]) -> dict[str, Any]:
        return {"clock_s": time.time(), **self.hello}

    def _have(self, ask: dict[str, Any]) -> dict[str, Any]:
        missing = [sha for sha, _ in ask["files"] if sha not in self.stock]
        return {"missing": missing, "partial": {sha: len(data) for sha, data in self.parts.items() if sha in missing}}

    def _status(self, ask: dict[str, Any]) -> dict[str, Any]:
        rows = [{"id": name, "name": "old", "bytes": 5, "chosen": None} for name in self.hello["versions"]]
        keys = ("current", "previous", "free_bytes")
        state = {key: self.hello[key] for key in keys}
        return {**state, "pending": None, "versions": rows, "live": None, "healthy": None, "why": "", "service": {}}

    def _prove(self, ask: dict[str, Any]) -> dict[str, Any]:
        row = {"scenario": "rgb", "precision": "int8", "engine": "onnxruntime", "agreement": 0.9987, "p50_ms": 4.25}
        proven = [row | {"p90_ms": 5.0, "miou": None, "proven": True, "why": ""}]
        return {"proof": {"rows": proven, "chosen": {"engine": "onnxruntime", "precision": "int8"}, "why": "fastest"}}

    def _switch(self, ask: dict[str, Any]) -> dict[str, Any]:
        before, self.hello["current"] = self.hello["current"], ask["id"]
        return {"before": before}

    def _settle(self, ask: dict[str, Any]) -> dict[str, Any]:
        return {"kept": True, "why": "7 ticks in 1 s"}


class Conversation:
    """Carries a conversation to a function of a thread."""

    def __init__(self, serve: Callable[[BinaryIO, BinaryIO], None]) -> None:
        (theirs, ours), (back, their_back) = os.pipe(), os.pipe()
        self.write: BinaryIO = os.fdopen(ours, "wb")
        self.read: BinaryIO = os.fdopen(back, "rb")
        self._thread = threading.Thread(target=self._run, args=(serve, theirs, their_back), daemon=True)
        self._thread.start()

    def why(self) -> UserError:
        return LostError("the connection to the board was taken")

    def close(self, patience_s: float) -> None:
        for stream in (self.write, self.read):
            with contextlib.suppress(OSError):
                stream.close()
        self._thread.join(timeout=patience_s)

    def _run(self, serve: Callable[[BinaryIO, BinaryIO], None], read: int, write: int) -> None:
        with os.fdopen(read, "rb") as hears, contextlib.suppress(OSError), os.fdopen(write, "wb") as says:
            serve(hears, says)
