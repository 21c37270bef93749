"""Files that are whole or absent, also after a pulled battery: hidden while written, synced in batches, then named."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from dis2_edge.files import storage_errors


class WholeFiles:
    """Writes many small files into one folder."""

    def __init__(self, folder: Path, *, durable: bool) -> None:
        """A `durable` file gets its name at the next `sync`, once it is on the disk; another one at once."""
        self._folder, self._durable = folder, durable
        self._hidden: list[tuple[Path, Path]] = []
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)

    def write(self, name: str, data: bytes) -> None:
        """Write the file `name`. Its folder is made again where someone took it away."""
        path = self._folder / name
        scratch = path.with_name(f".{name}.part")
        with storage_errors(path):
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                scratch.write_bytes(data)
                if not self._durable:
                    os.replace(scratch, path)
            except BaseException:
                _remove(scratch)
                raise
        if self._durable:
            self._hidden.append((scratch, path))

    def sync(self) -> None:
        """Bring the hidden files to the disk and name them. Those that the disk does not take are gone."""
        batch, self._hidden = self._hidden, []
        if not batch:
            return
        try:
            with storage_errors(self._folder):
                for scratch, path in batch:
                    _to_disk(scratch)
                    os.replace(scratch, path)
                _to_disk(self._folder)
        finally:
            for scratch, _ in batch:
                _remove(scratch)


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
