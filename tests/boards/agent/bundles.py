"""Small bundles as an agent sees them: a manifest that lists files, its seal, and a signature where one is wanted."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.boards.agent.talking import Talk

Sign = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Fake:
    """A bundle's files by path."""

    files: dict[str, bytes]

    @property
    def id(self) -> str:
        return hashlib.sha256(self.files["manifest.json"]).hexdigest()[:12]

    def rows(self) -> dict[str, list[Any]]:
        return {path: [hashlib.sha256(data).hexdigest(), len(data)] for path, data in self.files.items()}


def bundle(name: str, signed: tuple[bytes, Sign] | None = None, **extra: bytes) -> Fake:
    """A bundle called `name`; `signed` is a public key and what signs with its private half."""
    files = {"recipe.toml": b"x = 1\n", "models/full.onnx": f"model of {name}".encode() * 50, **extra}
    rows = {path: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)} for path, data in files.items()}
    text = json.dumps({"name": name, "format": 2, "files": rows}).encode()
    files["manifest.json"] = text
    files["manifest.sha256"] = f"{hashlib.sha256(text).hexdigest()}  manifest.json\n".encode()
    if signed is not None:
        key, sign = signed
        called, signature = hashlib.sha256(key).hexdigest()[:16], base64.b64encode(sign(text)).decode()
        files["manifest.sig"] = f"ed25519 {called} {signature}\n".encode()
    return Fake(files)


def send(talk: Talk, fake: Fake) -> dict[str, Any]:
    """Upload what is missing of `fake`, and place it."""
    for data in fake.files.values():
        talk.upload(data)
    return talk.ask("place", id=fake.id, files=fake.rows())
