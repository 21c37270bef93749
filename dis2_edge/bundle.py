"""A bundle: the folder that a board runs, hashed file by file. Read it, prove it, write it.

`read` trusts nothing: manifest.sha256 proves manifest.json, which lists every other file with its size and SHA-256.
A path that leaves the folder, a link, a missing or an extra file is refused, and so is one flipped bit anywhere.
manifest.sig, where there is one, is read here and proven by who knows keys: `dis2_boards.trust.signing`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dis2_edge.bundle_paths import safe_path
from dis2_edge.errors import BundleError
from dis2_edge.files import sha256, write_bytes, write_text
from dis2_edge.manifest import FORMAT, FileRow, Golden, Manifest, ModelRow, Policy, parse
from dis2_edge.settings import nearest
from dis2_edge.signature import LIMIT, SIGNATURE, Signature, parse_signature

__all__ = ["FORMAT", "Bundle", "FileRow", "Golden", "Manifest", "ModelRow", "Policy", "read", "verify_hashes", "write"]

MANIFEST = "manifest.json"
SEAL = "manifest.sha256"
REQUIRED = ("recipe.toml", "card.md")
BESIDE = (MANIFEST, SEAL, SIGNATURE)
"""Files that the manifest cannot list: itself, its hash, its signature."""
MANIFEST_LIMIT = 16 << 20
"""Largest manifest, in bytes, that is read at all."""
ENTRIES_LIMIT = 10_000
"""Most files and folders that are looked at: a folder with more is no bundle."""


@dataclass(frozen=True)
class Bundle:
    """A folder with a manifest that was read and found consistent."""

    path: Path
    """The folder."""
    manifest: Manifest
    """What stands in manifest.json."""
    digest: str = ""
    """SHA-256 of manifest.json: it stands for every byte of the bundle, but for the signature."""
    signature: Signature | None = None
    """What manifest.sig says, unproven; None of a bundle that nobody signed."""

    @property
    def id(self) -> str:
        """The first 12 digits of the digest: the bundle's short name."""
        return self.digest[:12]

    def file(self, path: str) -> Path:
        """The file that the manifest lists as `path`."""
        return self.path / safe_path(path)

    def model(self, scenario: str, precision: str, dialect: str = "ort", io: str = "frame") -> ModelRow:
        """The row that serves `scenario` so; BundleError naming what there is instead."""
        rows = {f"{row.scenario} {row.precision} {row.dialect} {row.io}": row for row in self.manifest.models}
        wanted = f"{scenario} {precision} {dialect} {io}"
        if wanted not in rows:
            raise BundleError(f"the bundle has no model {wanted!r}", mend=nearest(wanted, rows))
        return rows[wanted]


def read(path: Path) -> Bundle:
    """Read the bundle at `path` and check all but the hashes of its files: see `verify_hashes` for these."""
    if not path.is_dir():
        raise BundleError(f"{path} is not a folder", expected="a bundle", mend="make one: dis2-edge deploy --help")
    try:
        present = dict(_walk(path, [ENTRIES_LIMIT]))
    except OSError as cause:
        raise BundleError(f"{cause.filename or path} cannot be read ({cause.strerror})") from cause
    for name in (MANIFEST, SEAL):
        if name not in present:
            mend = "deploy the bundle again, or make one of a quantised run: dis2-edge deploy QRUN --out BUNDLE"
            raise BundleError(f"{name} is missing in {path}", expected="a folder that dis2-edge deploy made", mend=mend)
    text = _sealed_text(path, present)
    manifest = parse(text)
    _check_listing(manifest, present)
    return Bundle(path, manifest, hashlib.sha256(text).hexdigest(), _signature(path, present))


def verify_hashes(bundle: Bundle) -> None:
    """Recompute the hash of every file; a BundleError names the first that differs."""
    for name, row in sorted(bundle.manifest.files.items()):
        try:
            found = sha256(bundle.file(name))
        except OSError as cause:
            raise BundleError(f"{name} cannot be read ({cause.strerror})", mend="deploy the bundle again") from cause
        if found != row.sha256:
            raise BundleError(
                f"{name} was altered: its SHA-256 is {found[:12]}...",
                expected=f"{row.sha256[:12]}...",
                mend="deploy the bundle again",
            )


def write(folder: Path, manifest: Manifest) -> Bundle:
    """Seal `folder`: hash all files in it, write manifest.json and manifest.sha256, and read the result back.

    The manifest's own `files` are replaced. Equal folders and manifests give equal bytes. A signature that lies there
    is of another manifest, and goes.
    """
    present = [name for name, _ in _walk(folder, [ENTRIES_LIMIT]) if name not in BESIDE]
    files = {name: FileRow(sha256(folder / name), (folder / name).stat().st_size) for name in sorted(present)}
    sealed = dataclasses.replace(manifest, files=files)
    text = json.dumps(sealed.to_table(), indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    (folder / SIGNATURE).unlink(missing_ok=True)
    write_bytes(folder / MANIFEST, text.encode("utf-8"))
    write_text(folder / SEAL, _seal_of(text.encode("utf-8")))
    return read(folder)


def _walk(root: Path, left: list[int], below: str = "") -> Iterator[tuple[str, int]]:
    """Path and size of each regular file below `root`; anything that is no file and no folder is refused.

    `left` holds how many more entries are looked at, for all levels together.
    """
    with os.scandir(root / below) as entries:
        for entry in entries:
            left[0] -= 1
            if left[0] < 0:
                raise BundleError(f"{root} holds more than {ENTRIES_LIMIT} files and folders", expected="a bundle")
            name = f"{below}{entry.name}"
            mode = entry.stat(follow_symlinks=False).st_mode
            if stat.S_ISDIR(mode):
                yield from _walk(root, left, f"{safe_path(name)}/")
            elif stat.S_ISREG(mode):
                yield safe_path(name), entry.stat(follow_symlinks=False).st_size
            else:
                raise BundleError(f"{name} is a link or a device", expected="plain files only in a bundle")


def _sealed_text(path: Path, present: dict[str, int]) -> bytes:
    """The bytes of manifest.json, proven by manifest.sha256."""
    if present[MANIFEST] > MANIFEST_LIMIT or present[SEAL] > 200:
        raise BundleError(f"{MANIFEST} or {SEAL} is too large", expected=f"at most {MANIFEST_LIMIT} and 200 bytes")
    try:
        text, seal = (path / MANIFEST).read_bytes(), (path / SEAL).read_bytes()
    except OSError as cause:
        raise BundleError(f"{MANIFEST} cannot be read ({cause.strerror})") from cause
    if seal != _seal_of(text).encode("ascii"):
        raise BundleError(f"{MANIFEST} does not match {SEAL}: one of them was altered", mend="deploy the bundle again")
    return text


def _signature(path: Path, present: dict[str, int]) -> Signature | None:
    """What manifest.sig says, if there is one."""
    if SIGNATURE not in present:
        return None
    if present[SIGNATURE] > LIMIT:
        raise BundleError(f"{SIGNATURE} is too large", expected=f"at most {LIMIT} bytes")
    try:
        return parse_signature((path / SIGNATURE).read_bytes())
    except OSError as cause:
        raise BundleError(f"{SIGNATURE} cannot be read ({cause.strerror})") from cause


def _seal_of(text: bytes) -> str:
    return f"{hashlib.sha256(text).hexdigest()}  {MANIFEST}\n"


def _check_listing(manifest: Manifest, present: dict[str, int]) -> None:
    """Every file listed, none extra, each of the size that the manifest states."""
    listed, found = set(manifest.files), set(present) - set(BESIDE)
    for name in sorted(listed & set(BESIDE)):
        raise BundleError(f"{name} is listed in the manifest, which cannot know it", mend="deploy the bundle again")
    for name in sorted(listed - found) + [name for name in REQUIRED if name not in listed]:
        raise BundleError(f"{name} is missing in the bundle", mend="deploy the bundle again")
    for name in sorted(found - listed):
        raise BundleError(f"{name} is not listed in the manifest", mend="remove it, or deploy the bundle again")
    for path in [row.file for row in manifest.models] + [golden.file for golden in manifest.goldens]:
        if path not in listed:
            raise BundleError(f"{path} is used but not listed in the manifest")
    for name, row in sorted(manifest.files.items()):
        if present[name] != row.bytes:
            raise BundleError(f"{name} has {present[name]} bytes", expected=f"{row.bytes}", mend="deploy it again")
