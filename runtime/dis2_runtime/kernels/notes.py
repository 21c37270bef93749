"""Notes of proofs: an image that was right on this very device is not proven at every start again.

A note holds all that the proof depended on, and counts for nothing else: the image, our sources with launchers,
references and cases, the device and its driver. What cannot be read is proven again, and what failed is not noted.
Every start still holds the whole way, kernels in it, to the bundle's goldens.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from dis2_edge import prepare
from dis2_edge.errors import EngineError, StorageError
from dis2_edge.files import read_json, write_json
from dis2_runtime.driver import Driver

FOLDER = "proofs"
_ROOM = Path(__file__).parent


def is_noted(folder: Path, driver: Driver, name: str, image: bytes) -> bool:
    """Whether `image`, of the kernel source `name`, was right in all its cases on the driver's device."""
    on = _on_what(driver, name, image)
    try:
        return bool(read_json(_place(folder, on), EngineError) == on)
    except EngineError:
        return False


def put_down(folder: Path, driver: Driver, name: str, image: bytes) -> None:
    """Note that it was; a disk that refuses costs the next start a proof and nothing else."""
    on = _on_what(driver, name, image)
    with contextlib.suppress(StorageError, OSError):
        write_json(_place(folder, on), on)


def _on_what(driver: Driver, name: str, image: bytes) -> dict[str, Any]:
    """All that a proof depends on."""
    return {
        "kernel": name,
        "image": hashlib.sha256(image).hexdigest(),
        "code": _code(),
        "package": driver.name,
        "device": {**asdict(driver.device), "capability": list(driver.device.capability)},
        "numpy": np.__version__,
    }


def _place(folder: Path, on: dict[str, Any]) -> Path:
    """One file a kernel, device and driver: what is proven later takes the place of what was proven before."""
    where = hashlib.sha256(repr((on["device"], on["package"])).encode()).hexdigest()[:16]
    return folder / FOLDER / f"{on['kernel']}-{where}.json"


@functools.cache
def _code() -> str:
    """SHA-256 over this room (sources, launchers, references, cases) and the reference that is elsewhere."""
    digest = hashlib.sha256()
    room = sorted(path for path in _ROOM.iterdir() if path.suffix in (".cu", ".cuh", ".py"))
    for path in (*room, Path(prepare.__file__)):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
