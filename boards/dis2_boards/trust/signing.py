"""Sign a bundle's manifest, prove its signature, tell who signed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dis2_boards.agent import ed25519
from dis2_boards.trust.keys import PrivateKey, PublicKey, public_of
from dis2_edge.bundle import MANIFEST, Bundle, read
from dis2_edge.errors import BundleError
from dis2_edge.files import write_text
from dis2_edge.signature import SIGNATURE, Signature


def sign(folder: Path, key: PrivateKey) -> Bundle:
    """Sign the sealed bundle in `folder`: write manifest.sig, and read the result back."""
    made = signature_of((folder / MANIFEST).read_bytes(), key)
    write_text(folder / SIGNATURE, made.line())
    return read(folder)


def signature_of(data: bytes, key: PrivateKey) -> Signature:
    """The signature of `data`; Ed25519 gives equal ones for equal data and key."""
    return Signature(public_of(key).id, key.sign(data))


def verify(bundle: Bundle, trusted: Iterable[PublicKey]) -> PublicKey:
    """The key of `trusted` that signed the bundle; BundleError if none did, or the signature is not of its manifest."""
    keys = {key.id: key for key in trusted}
    known = ", ".join(sorted(f"{key.name or 'key'} {key.id}" for key in keys.values())) or "none is at hand"
    if bundle.signature is None:
        mend = "deploy it with --key"
        raise BundleError(f"{bundle.path} is not signed", expected=f"a signature by a trusted key: {known}", mend=mend)
    key = keys.get(bundle.signature.key_id)
    if key is None:
        mend = "trust that key: dis2-edge key trust FILE; or deploy it with a trusted one"
        raise BundleError(
            f"{bundle.path} is signed by key {bundle.signature.key_id}", expected=f"a trusted key: {known}", mend=mend
        )
    if not is_of(bundle.signature, (bundle.path / MANIFEST).read_bytes(), key):
        raise BundleError(
            f"{SIGNATURE} in {bundle.path} is no signature of {MANIFEST} by {key.id}", mend="deploy it again"
        )
    return key


def told(bundle: Bundle, trusted: Iterable[PublicKey]) -> str:
    """Who signed the bundle, in a sentence. A signature by a key that is not at hand is not called proven."""
    keys = list(trusted)
    if bundle.signature is None:
        return "signed by nobody: a board that trusts a key refuses it"
    if bundle.signature.key_id not in {key.id for key in keys}:
        return f"signed by key {bundle.signature.key_id}, which is not trusted here: that signature was not checked"
    key = verify(bundle, keys)
    return f"signed by {key.name or 'key'} ({key.id}), trusted here; the signature is right"


def is_of(signature: Signature, data: bytes, key: PublicKey) -> bool:
    """Whether `signature` is that of `data` by `key`: asked of the very code that a board judges by."""
    return ed25519.verify(key.raw, data, signature.value)
