"""Judge a bundle before any file of it is placed: its seal, its listing, and whether a trusted key signed it.

A board that trusts no key takes every bundle and says so; from the first key on it takes those alone that a trusted key
signed. Names, forms and ids are those of `dis2_edge.bundle` and `dis2_edge.signature`, which are not on the board yet;
the tests hold both equal.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dis2_boards.agent import disk, ed25519
from dis2_boards.agent.fault import RefusedError
from dis2_boards.agent.places import Places, as_json, digest, read_table

MANIFEST, SEAL, SIGNATURE = "manifest.json", "manifest.sha256", "manifest.sig"
_SIGNATURE_FORM = re.compile(rb"ed25519 ([0-9a-f]{16}) ([A-Za-z0-9+/]{86}==)\n")
_AGAIN = "deploy it again"
Files = Mapping[str, tuple[str, int]]
"""Path in the bundle -> SHA-256 and bytes."""


def judge(places: Places, name: str, files: Files, texts: Mapping[str, bytes]) -> dict[str, Any]:
    """Who signed version `name`, whose small files are `texts`; RefusedError where it is none, or not trusted."""
    _check_listing(name, files, texts)
    signer = _signer(places, name, texts[MANIFEST], texts.get(SIGNATURE))
    return {"id": name, "signed_by": signer, "files": len(files)}


def judge_standing(places: Places, name: str) -> dict[str, Any]:
    """Judge version `name` as it stands on the disk, every byte of it, under the keys of today; record it."""
    texts = whole(places, name)
    signer = _signer(places, name, texts[MANIFEST], texts.get(SIGNATURE))
    verdict = {"id": name, "signed_by": signer}
    if not was_judged(places, name):
        record(places.version(name), verdict)
    return verdict


def whole(places: Places, name: str) -> dict[str, bytes]:
    """The small files of version `name`, every byte of it read and found as its manifest says; else RefusedError."""
    bundle = places.bundle(name)
    if not bundle.is_dir():
        raise RefusedError(f"version {name} is not on this board", expected=", ".join(places.standing()) or "none is")
    try:
        files = {path: (digest(bundle / path), (bundle / path).stat().st_size) for path in _walk(bundle)}
        texts = {path: (bundle / path).read_bytes() for path in (MANIFEST, SEAL, SIGNATURE) if path in files}
    except OSError as error:
        raise RefusedError(f"version {name} cannot be read ({error})", mend=_AGAIN) from error
    if not {MANIFEST, SEAL} <= set(texts):
        raise RefusedError(f"version {name} has no manifest", mend=_AGAIN)
    _check_listing(name, files, texts)
    return texts


def record(version: Path, verdict: dict[str, Any]) -> None:
    """Write down in the folder `version` that it was judged, and how."""
    disk.write_whole(version / "judged.json", as_json(verdict))


def was_judged(places: Places, name: str) -> bool:
    """Whether version `name` was judged when it came."""
    return (read_table(places.version(name) / "judged.json") or {}).get("id") == name


def keys(places: Places) -> dict[str, bytes]:
    """The trusted keys by name; one that cannot be read makes every bundle refused: it may be the one that counts."""
    found = {}
    for path in sorted(places.trusted.glob("*.pub")) if places.trusted.is_dir() else []:
        try:
            found[path.stem] = parsed_key(b"".join(disk.pieces(path)).decode("ascii"))
        except (OSError, ValueError) as error:
            raise RefusedError(
                f"{path} is no key ({error})", mend="write it anew, or remove it on the board"
            ) from error
    return found


def parsed_key(line: str) -> bytes:
    """The 32 bytes of a key written in base64; ValueError if it is none."""
    try:
        key = base64.b64decode(line.strip(), validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
    if not ed25519.is_key(key):
        raise ValueError("not a public key of Ed25519")
    return key


def key_id(key: bytes) -> str:
    """What a signature calls `key`: the first 16 digits of its SHA-256."""
    return hashlib.sha256(key).hexdigest()[:16]


def _check_listing(name: str, files: Files, texts: Mapping[str, bytes]) -> None:
    """The manifest is that of `name`, its seal fits, and it lists what is there and nothing else."""
    found = hashlib.sha256(texts[MANIFEST]).hexdigest()
    if found[:12] != name:
        raise RefusedError(f"the manifest of {name} is that of {found[:12]}", mend=_AGAIN)
    if texts[SEAL] != f"{found}  {MANIFEST}\n".encode("ascii"):
        raise RefusedError(f"{SEAL} of {name} is not that of its manifest", mend=_AGAIN)
    listed = _listed(texts[MANIFEST])
    there = {path: row for path, row in files.items() if path not in (MANIFEST, SEAL, SIGNATURE)}
    for path in sorted({**listed, **there}):
        if listed.get(path) != there.get(path):
            raise RefusedError(f"{path} is not as the manifest of {name} lists it", mend=_AGAIN)


def _signer(places: Places, name: str, text: bytes, line: bytes | None) -> str | None:
    trusted = keys(places)
    if not trusted:
        return None
    names = ", ".join(trusted)
    if line is None:
        mend = "sign it: dis2-edge deploy --key KEY"
        raise RefusedError(f"bundle {name} is not signed", expected=f"a signature of {names}", mend=mend)
    form = _SIGNATURE_FORM.fullmatch(line)
    if form is None:
        raise RefusedError(f"{SIGNATURE} of {name} is no signature", expected="ed25519 KEYID BASE64", mend=_AGAIN)
    by = [(who, key) for who, key in trusted.items() if key_id(key).encode() == form[1]]
    if not by:
        mend = "sign it with a trusted key, or let the board trust this one: dis2-edge key trust"
        raise RefusedError(f"bundle {name} is signed by key {form[1].decode()}", expected=f"one of {names}", mend=mend)
    if not ed25519.verify(by[0][1], text, base64.b64decode(form[2])):
        raise RefusedError(f"the signature of {name} is not that of {by[0][0]} over this manifest", mend=_AGAIN)
    return by[0][0]


def _listed(text: bytes) -> dict[str, tuple[str, int]]:
    """The files that a manifest lists."""
    try:
        rows = json.loads(text.decode("utf-8"))["files"].items()
        return {path: (row["sha256"], row["bytes"]) for path, row in rows}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RefusedError(f"{MANIFEST} is not readable ({error})"[:300], mend=_AGAIN) from error


def _walk(folder: Path, below: str = "") -> list[str]:
    """Paths of all below `folder` that is no folder."""
    found = []
    for entry in sorted(folder.iterdir()):
        path = f"{below}{entry.name}"
        found += _walk(entry, f"{path}/") if entry.is_dir() and not entry.is_symlink() else [path]
    return found
