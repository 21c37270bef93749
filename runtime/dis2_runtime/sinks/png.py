"""The PNG sink: one palette picture a tick, class index in the pixels, the manifest's colours in the table."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path

from PIL import Image

from dis2_edge.files import storage_errors
from dis2_edge.task import Task
from dis2_runtime.outcome import Outcome

IGNORE_COLOUR = (128, 128, 128)
"""Grey: here no class is claimed."""
COMPRESSION = 1
"""zlib level: masks are smooth, a higher level buys little and costs the tick."""


class PngSink:
    """Writes masks/NUMBER.png. A mask that is held or blind again is not encoded again."""

    def __init__(self, folder: Path, task: Task) -> None:
        self._folder = folder / "masks"
        self._palette = _palette(task)
        self._encoded = b""
        self._state = ""
        with storage_errors(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)

    def write(self, outcome: Outcome) -> None:
        """Write the mask of one tick, whole or not at all."""
        if outcome.state == "fresh" or outcome.state != self._state:
            self._encoded = self._encode(outcome)
        self._state = outcome.state
        _replace(self._folder / f"{outcome.tick.number:08d}.png", self._encoded)

    def close(self) -> None:
        """Every mask stands already."""

    def _encode(self, outcome: Outcome) -> bytes:
        image = Image.fromarray(outcome.mask)
        image.putpalette(self._palette)
        buffer = io.BytesIO()
        image.save(buffer, "PNG", compress_level=COMPRESSION)
        return buffer.getvalue()


def _palette(task: Task) -> bytes:
    """RGB of the indices 0..255: the classes' colours, grey for all others."""
    colours = [tuple(bytes.fromhex(colour.lstrip("#"))) for colour in task.colours]
    return bytes(value for colour in colours + [IGNORE_COLOUR] * (256 - len(colours)) for value in colour)


def _replace(path: Path, data: bytes) -> None:
    """Write by rename like dis2_edge.files, but without its fsync: a tick cannot wait for a memory card."""
    scratch = path.with_name(f".{path.name}.part")
    with storage_errors(path):
        try:
            scratch.write_bytes(data)
            os.replace(scratch, path)
        except BaseException:
            with contextlib.suppress(OSError):
                scratch.unlink()
            raise
