"""The archive as the board sees it: read where it lies, never unpacked, so that it needs no room twice."""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
from collections.abc import Iterator
from functools import cached_property
from types import TracebackType
from typing import Any

from dis2_boards.updaters.messages import StoppedError

FORMAT = 1
CONTENTS, SOURCE, AGENT = "contents.json", "agent/source.py", "agent/agent.zip"
BUNDLE, WHEELS = "bundle/", "wheels/"
_PIECE = 1 << 20
_LINE = re.compile(r"([0-9a-f]{64})  (\d+)  ([A-Za-z0-9][A-Za-z0-9._+!-]*\.whl)")


class Payload:
    """An archive of `dis2-edge deploy --archive`, open; used in a `with`."""

    def __init__(self, path: str) -> None:
        try:
            self._tar = tarfile.open(path, "r:")  # noqa: SIM115  closed by __exit__
        except (tarfile.TarError, OSError) as error:
            raise StoppedError(f"{path} is not a readable archive ({error})") from error

    def __enter__(self) -> Payload:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tar.close()

    @cached_property
    def contents(self) -> dict[str, Any]:
        """What it says of itself: id, name, board, only_on, version, tensorrt, files of the bundle."""
        contents = json.loads(self.read(CONTENTS).decode("utf-8"))
        if not isinstance(contents, dict) or contents.get("format") != FORMAT:
            raise StoppedError("an archive of another format", f"format {FORMAT}", "use the updater that it brings")
        return contents

    @property
    def id(self) -> str:
        """Id of its bundle."""
        return str(self.contents["id"])

    def read(self, name: str) -> bytes:
        """A file of it, whole."""
        return b"".join(self.pieces(name))

    def pieces(self, name: str) -> Iterator[bytes]:
        """A file of it, piece by piece."""
        try:
            member = self._tar.extractfile(name)
        except (KeyError, tarfile.TarError):
            member = None
        if member is None:
            raise StoppedError(f"{name} is missing in the archive", "one of `dis2-edge deploy --archive`")
        with member:
            yield from iter(lambda: member.read(_PIECE), b"")

    def wheels(self, tag: str) -> list[list[Any]]:
        """File name, SHA-256 and bytes of each wheel for `tag` (cp310-aarch64), as the bundle's lock has them."""
        files, name = self.contents["files"], f"wheels/{tag}.lock"
        if name not in files:
            known = ", ".join(path[7:-5] for path in sorted(files) if re.fullmatch(r"wheels/[^/]+\.lock", path))
            raise StoppedError(
                f"the bundle has no wheels for {tag}", known or "some", "pack it for this board's Python"
            )
        text = self.read(BUNDLE + name)
        if hashlib.sha256(text).hexdigest() != files[name][0]:
            raise StoppedError(f"{name} was altered", mend="make the archive again")
        return rows_of(text)


def rows_of(lock: bytes) -> list[list[Any]]:
    """File name, SHA-256 and bytes of each line of a lock, read as `packing.locks` reads it on the workstation."""
    hits = [_LINE.fullmatch(line) for line in lock.decode("ascii", "replace").splitlines()]
    if not all(hits):
        raise StoppedError("a lock of wheels has a line that is none", "SHA256  BYTES  FILENAME")
    return [[hit[3], hit[1], int(hit[2])] for hit in hits if hit]
