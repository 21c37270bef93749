"""The one line of manifest.sig: which key signed the bytes of manifest.json, and its signature. Nothing is proven here.

`ed25519 KEYID BASE64`: KEYID are the first 16 hexadecimal digits of the SHA-256 of the 32-byte public key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

from dis2_edge.errors import BundleError

SIGNATURE = "manifest.sig"
"""The file's name in a bundle."""
KEY_BYTES, SIGNATURE_BYTES = 32, 64
LIMIT = 200
"""Largest manifest.sig, in bytes, that is read at all."""
_LINE = re.compile(rb"ed25519 ([0-9a-f]{16}) ([A-Za-z0-9+/]{86}==)\n")


@dataclass(frozen=True)
class Signature:
    """Who signed, and the signature."""

    key_id: str
    """16 hexadecimal digits that stand for the public key."""
    value: bytes
    """The 64 bytes of the Ed25519 signature."""

    def line(self) -> str:
        """What manifest.sig holds."""
        return f"ed25519 {self.key_id} {base64.b64encode(self.value).decode('ascii')}\n"


def id_of(public: bytes) -> str:
    """The id of a 32-byte public key."""
    return hashlib.sha256(public).hexdigest()[:16]


def parse_signature(text: bytes, where: str = SIGNATURE) -> Signature:
    """The signature in `text`, spelled in the one way that there is; else BundleError."""
    found = _LINE.fullmatch(text) if len(text) <= LIMIT else None
    try:
        signature = Signature(found[1].decode(), base64.b64decode(found[2], validate=True)) if found else None
    except (binascii.Error, ValueError):  # pragma: no cover - the pattern leaves none over
        signature = None
    if signature is None or signature.line().encode() != text:
        raise BundleError(f"{where} is no signature", expected="one line: ed25519 KEYID BASE64", mend="deploy again")
    return signature
