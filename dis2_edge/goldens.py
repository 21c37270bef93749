"""Goldens: inputs recorded with the answers they must give, as npz files without anything pickled."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from dis2_edge.errors import BundleError
from dis2_edge.files import write_bytes
from dis2_edge.manifest import Dialect, Precision
from dis2_edge.sensors import Sensor
from dis2_edge.task import Task

Arrays = dict[str, npt.NDArray[Any]]
_ROOM = 1 << 16
"""Bytes that headers may take in a golden beyond its arrays."""


def write_golden(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write `arrays` atomically; equal arrays give equal bytes, whatever their order."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{name: arrays[name] for name in sorted(arrays)})  # type: ignore[arg-type]
    write_bytes(path, buffer.getvalue())


def read_golden(path: Path, task: Task) -> Arrays:
    """Every array of the golden at `path`; one that holds more than answers of every kind of model is a BundleError.

    The size is checked before anything is unpacked, so that a small file cannot fill the memory.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > _largest(task):
            raise BundleError(f"golden {path.name} unpacks to {unpacked} bytes", expected=f"<= {_largest(task)}")
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, RuntimeError) as cause:
        raise BundleError(f"golden {path.name} is not a readable npz ({cause})", mend="deploy it again") from cause


def answers_at(scenario: str, precision: str, dialect: str) -> str:
    """Under which name a model's answers stand in a golden; `ort`, the first dialect, is not named."""
    return f"{scenario}/{precision}" if dialect == "ort" else f"{scenario}/{precision}/{dialect}"


def frames_of(arrays: Arrays, sensors: tuple[Sensor, ...], grid: tuple[int, int], where: str) -> Arrays:
    """The frames HxWxC of `sensors` among `arrays`; one that is absent or of another shape is a BundleError."""
    for sensor in sensors:
        expected = (*grid, sensor.channels)
        frame = arrays.get(sensor.name)
        if frame is None or frame.shape != expected or frame.dtype != sensor.numpy_dtype:
            found = "nothing" if frame is None else f"{frame.dtype} {frame.shape}"
            raise BundleError(f"{where}: {found} for {sensor.name!r}", expected=f"{sensor.dtype} {expected}")
    return {sensor.name: arrays[sensor.name] for sensor in sensors}


def _largest(task: Task) -> int:
    """Bytes of a golden with the answers of each scenario in every precision and dialect: a whole run's."""
    rows = len(get_args(Precision)) * len(get_args(Dialect)) * len(task.scenarios)
    pixels = task.grid[0] * task.grid[1]
    frame_bytes = sum(sensor.channels * np.dtype(sensor.dtype).itemsize for sensor in task.sensors)
    return pixels * (frame_bytes + 2 * rows) + _ROOM * (1 + len(task.sensors) + 2 * rows)
