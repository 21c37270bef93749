"""Labelled tiles in one file, to be sent to a board: npz without anything pickled, judged before it is unpacked.

`NAME.npy` of each sensor holds (n, H, W, C) in the sensor's dtype, `truth.npy` (n, H, W) uint8, on the bundle's grid.
"""

from __future__ import annotations

import io
import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from dis2_edge.errors import DataError
from dis2_edge.files import storage_errors, write_bytes
from dis2_edge.labelled import Labelled
from dis2_edge.task import Task

__all__ = ["LARGEST", "MOST", "TRUTH", "Tiles", "read_tiles", "write_tiles"]

TRUTH = "truth"
MOST = 4096
"""Tiles that one file may hold."""
LARGEST = 1 << 30
"""Bytes that all arrays of one file may take, so that it fits beside an engine in a board's memory."""
_HEADER = 4096
"""Bytes that the head of an array may take."""
_NPY: Any = np.lib.format
_EPOCH = (1980, 1, 1, 0, 0, 0)
_BROKEN = (
    *(OSError, ValueError, TypeError, OverflowError, EOFError, KeyError, SyntaxError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError),
)
"""What zipfile and NumPy raise on bytes that are no npz."""


class Tiles:
    """The tiles of one file, in memory; read by name, as the images of a data set are."""

    def __init__(self, frames: Mapping[str, npt.NDArray[Any]], truth: npt.NDArray[np.uint8]) -> None:
        """`frames`: (n, H, W, C) of each sensor; `truth`: (n, H, W) class index."""
        self._frames, self._truth = dict(frames), truth
        self.names: tuple[str, ...] = tuple(f"tile {place}" for place in range(len(truth)))

    def read(self, name: str) -> Labelled:
        """The tile called `name`, one of `names`."""
        place = self.names.index(name)
        return Labelled(name, {key: array[place] for key, array in self._frames.items()}, self._truth[place])


def write_tiles(path: Path, tiles: Iterable[Labelled], task: Task) -> int:
    """Write `tiles`, each on the grid of `task`, atomically; equal tiles give equal bytes. Returns how many there were.

    DataError where there is none, or more than a reader takes.
    """
    kept: list[Labelled] = []
    for tile in tiles:
        kept.append(tile)
        _check_room(len(kept), task, str(path))
    if not kept:
        raise DataError(f"no tile is there for {path}", expected=f"1 to {MOST}")
    arrays = {sensor.name: np.stack([tile.frames[sensor.name] for tile in kept]) for sensor in task.sensors}
    arrays[TRUTH] = np.stack([tile.truth for tile in kept])
    for name, (shape, dtype) in _expected(len(kept), task).items():
        if arrays[name].shape != shape or arrays[name].dtype != dtype:
            raise DataError(f"tiles of {name!r}: {_told(*_form(arrays[name]))}", expected=_told(shape, dtype))
    with storage_errors(path):
        write_bytes(path, _packed(arrays))
    return len(kept)


def read_tiles(path: Path, task: Task) -> Tiles:
    """The tiles in `path`, which must be those of `task`; DataError before memory is taken for anything else."""
    try:
        if path.stat().st_size > LARGEST:
            raise DataError(f"{path} has {path.stat().st_size} bytes", expected=f"at most {LARGEST}")
        with zipfile.ZipFile(path) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}
            wanted = {f"{name}.npy" for name in (*task.sensor_names, TRUTH)}
            if set(entries) != wanted or len(archive.infolist()) != len(wanted):
                raise DataError(f"{path} holds {sorted(entries)[:9]}", expected=f"{sorted(wanted)}")
            count = _count(archive, entries[f"{TRUTH}.npy"], path)
            _check_room(count, task, str(path))
            arrays = {
                name: _array(archive, entries[f"{name}.npy"], shape, dtype, path)
                for name, (shape, dtype) in _expected(count, task).items()
            }
    except FileNotFoundError as cause:
        raise DataError(f"{path} does not exist") from cause
    except _BROKEN as cause:
        raise DataError(f"{path} is no readable file of tiles ({cause})", mend="send it again") from cause
    return Tiles({name: arrays[name] for name in task.sensor_names}, arrays[TRUTH])


def _expected(count: int, task: Task) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """Shape and dtype of each array of `count` tiles."""
    frames = {s.name: ((count, *task.grid, s.channels), np.dtype(s.numpy_dtype)) for s in task.sensors}
    return {**frames, TRUTH: ((count, *task.grid), np.dtype(np.uint8))}


def _check_room(count: int, task: Task, where: str) -> None:
    if not 1 <= count <= MOST:
        raise DataError(f"{where}: {count} tiles", expected=f"1 to {MOST}", mend="take fewer tiles: --tiles")
    whole = sum(int(np.prod(shape)) * dtype.itemsize for shape, dtype in _expected(count, task).values())
    if whole > LARGEST:
        found = f"{where}: {count} tiles of {task.grid[0]}x{task.grid[1]} take {whole >> 20} MiB"
        raise DataError(found, expected=f"at most {LARGEST >> 20} MiB", mend="take fewer tiles: --tiles")


def _packed(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """The npz of `arrays`: without the time of writing, which np.savez would put there."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(arrays):
            entry = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w", force_zip64=True) as file:
                _NPY.write_array(file, np.ascontiguousarray(arrays[name]), allow_pickle=False)
    return buffer.getvalue()


def _count(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> int:
    """How many tiles the head of the truth tells of."""
    with archive.open(entry) as file:
        shape, _ = _head(cast(BinaryIO, file), entry.filename, path)
    return shape[0] if shape else 0


def _array(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo, shape: tuple[int, ...], dtype: np.dtype[Any], path: Path
) -> npt.NDArray[Any]:
    """The array of an entry, whose head and size must tell of just that shape and dtype before it is read."""
    bytes_ = int(np.prod(shape)) * dtype.itemsize
    if not bytes_ < entry.file_size <= bytes_ + _HEADER:
        raise DataError(f"{path}: {entry.filename} unpacks to {entry.file_size} bytes", expected=f"about {bytes_}")
    with archive.open(entry) as file:
        found = _head(cast(BinaryIO, file), entry.filename, path)
        if found != (shape, dtype):
            raise DataError(f"{path}: {entry.filename} is {_told(*found)}", expected=_told(shape, dtype))
        data = file.read(bytes_ + 1)
    if len(data) != bytes_:
        raise DataError(f"{path}: {entry.filename} holds {len(data)} bytes", expected=f"{bytes_}")
    return np.frombuffer(data, dtype).reshape(shape)


def _head(file: BinaryIO, name: str, path: Path) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and dtype that the head of an npy file tells of."""
    version = _NPY.read_magic(file)
    if version != (1, 0):
        raise DataError(f"{path}: {name} is an npy of version {version}", expected="1.0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of heads that Python 2 wrote, which ours are not
        shape, by_column, dtype = _NPY.read_array_header_1_0(file, max_header_size=_HEADER)
    if by_column:
        raise DataError(f"{path}: {name} is stored by columns", expected="by rows")
    return shape, dtype


def _form(array: npt.NDArray[Any]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    return array.shape, array.dtype


def _told(shape: tuple[int, ...], dtype: np.dtype[Any]) -> str:
    return f"{dtype} {'x'.join(map(str, shape))}"
