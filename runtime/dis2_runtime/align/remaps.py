"""Read a remap table: an .npz file with one array, the native x and y of every grid pixel."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from dis2_edge.errors import RecipeError
from dis2_edge.geometry import RemapTable

_MEND = "write it with numpy.savez(FILE, map=TABLE)"


def read_remap(path: Path) -> RemapTable:
    """The table in `path`, HxWx2 float32 native pixels; RecipeError when there is none. Nothing is unpickled."""
    try:
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as file:
            names = list(file.files)
            table = file[names[0]] if len(names) == 1 else None
    except (
        OSError,
        ValueError,
        EOFError,
        KeyError,
        AttributeError,
        MemoryError,
        NotImplementedError,
        RuntimeError,
        TypeError,
        zipfile.BadZipFile,
        zlib.error,
        SyntaxError,
    ) as error:
        raise RecipeError(f"remap {path} cannot be read: {error}", mend=_MEND) from error
    if table is None:
        raise RecipeError(f"remap {path} holds {len(names)} arrays", expected="one", mend=_MEND)
    if table.ndim != 3 or table.shape[2] != 2 or table.dtype.kind != "f":
        found = f"remap {path} holds {'x'.join(map(str, table.shape))} {table.dtype}"
        raise RecipeError(found, expected="HxWx2 float32, native x and y of each grid pixel", mend=_MEND)
    return np.ascontiguousarray(table, np.float32)
