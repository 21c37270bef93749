"""Ed25519 keys as files: a private key as PEM that only its owner reads, a public one as a line of base64.

A public key needs no package; making, reading and using a private one needs `cryptography` (extra `deploy`).
"""

from __future__ import annotations

import base64
import binascii
import getpass
import os
import stat
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dis2_edge.errors import KeyFileError
from dis2_edge.files import check_free, storage_errors, write_text
from dis2_edge.signature import KEY_BYTES, id_of

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_LIMIT = 4096
"""Largest key file, in bytes, that is read at all."""
_NEW = "make one: dis2-edge key new FILE"


@dataclass(frozen=True)
class PublicKey:
    """What a board trusts, and what proves a signature."""

    raw: bytes
    """The 32 bytes."""
    name: str = ""
    """What its file is called, for people."""

    @property
    def id(self) -> str:
        """16 hexadecimal digits that stand for the key."""
        return id_of(self.raw)

    def line(self) -> str:
        """What its file holds."""
        return base64.b64encode(self.raw).decode("ascii") + "\n"


@dataclass(frozen=True)
class PrivateKey:
    """What signs. It is never printed, logged or packed: its secret shows in no representation."""

    held: Ed25519PrivateKey = field(repr=False)
    """The key of the package `cryptography`."""

    def sign(self, data: bytes) -> bytes:
        """The 64 bytes of the signature over `data`."""
        return self.held.sign(data)


def new(path: Path, passphrase: str = "") -> PrivateKey:
    """Make a key pair: the private key at `path` (mode 0600, encrypted by a passphrase), the public one beside it.

    Raises StorageError where either file is there already or cannot be written.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    for file in (path, public_path(path)):
        check_free(file, "choose another name: a key that boards trust cannot be made again")
    key = PrivateKey(Ed25519PrivateKey.generate())
    _write_secret(path, _pem(key, passphrase))
    write_text(public_path(path), public_of(key).line())
    return key


def public_path(path: Path) -> Path:
    """Where the public key of the private key at `path` lies: the same name, with .pub."""
    return path.with_suffix(".pub")


def public_of(key: PrivateKey, name: str = "") -> PublicKey:
    """The public key that belongs to `key`."""
    return PublicKey(key.held.public_key().public_bytes_raw(), name)


def load_private(path: Path, passphrase: str | None = None) -> PrivateKey:
    """The private key in the file `path`; asks for its passphrase on a terminal if it has one and none is given.

    KeyFileError when it is no Ed25519 key as PEM, others than its owner may read it, or the passphrase is wrong.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    pem = _secret_bytes(path)
    if passphrase is None and b"ENCRYPTED" in pem:
        passphrase = _asked(path)
    try:
        key = load_pem_private_key(pem, passphrase.encode() if passphrase else None)
    except Exception as cause:  # the package raises many kinds, none of which may show the file's contents
        raise KeyFileError(f"{path} holds no private key that can be read", expected=_EXPECTED, mend=_NEW) from cause
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"{path} holds a key of another kind", expected=_EXPECTED, mend=_NEW)
    return PrivateKey(key)


def load_public(path: Path) -> PublicKey:
    """The public key in the file `path` (one line of base64, 32 bytes); else KeyFileError."""
    text = _bytes_of(path)
    if b"PRIVATE KEY" in text:
        raise KeyFileError(f"{path} is a private key", expected="a public one", mend=f"use {public_path(path)}")
    try:
        raw = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != KEY_BYTES:
        raise KeyFileError(f"{path} is no public key", expected=f"one line of base64, {KEY_BYTES} bytes", mend=_NEW)
    return PublicKey(raw, path.stem)


_EXPECTED = "an Ed25519 key as PEM, and its passphrase if it has one"


def _pem(key: PrivateKey, passphrase: str) -> bytes:
    from cryptography.hazmat.primitives import serialization as form

    locked = form.BestAvailableEncryption(passphrase.encode()) if passphrase else form.NoEncryption()
    return key.held.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, locked)


def _write_secret(path: Path, pem: bytes) -> None:
    """Write what only its owner may read: so from the first moment, and never over another file."""
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            os.fchmod(handle, 0o600)
            file.write(pem)
            file.flush()
            os.fsync(handle)


def _secret_bytes(path: Path) -> bytes:
    pem = _bytes_of(path)
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise KeyFileError(f"others may read the private key {path} (mode {mode:03o})", mend=f"chmod 600 {path}")
    return pem


def _bytes_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            text = file.read(_LIMIT + 1)
    except OSError as cause:
        raise KeyFileError(f"{path} cannot be read ({cause.strerror})", mend=_NEW) from cause
    if len(text) > _LIMIT:
        raise KeyFileError(f"{path} is too large for a key", expected=f"at most {_LIMIT} bytes")
    return text


def _asked(path: Path) -> str:
    if not sys.stdin.isatty():
        mend = "run it in a terminal, or use a key without one"
        raise KeyFileError(f"{path} has a passphrase, and there is no terminal to ask for it", mend=mend)
    return getpass.getpass(f"passphrase of {path}: ")
