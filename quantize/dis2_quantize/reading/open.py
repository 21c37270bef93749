"""Open a model file, or all files of a folder that are for a board. Nothing in a file is trusted to be whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx

from dis2_boards.packing import quantized
from dis2_boards.profile import Board
from dis2_edge import bundle
from dis2_edge.errors import BoardError, CheckpointError

LIMIT = 2 << 30
"""Bytes above which protobuf reads no file."""
_MEND = "export it again, or copy it again from where it is whole"


def open_model(file: Path) -> onnx.ModelProto:
    """The model in `file`; CheckpointError says what is wrong with one that is empty, damaged or no ONNX model."""
    data = _read(file)
    try:
        model = onnx.load_model_from_string(data)
        if not model.graph.node or not model.opset_import:
            raise CheckpointError(f"{file} is no ONNX model", mend=_MEND)
        onnx.checker.check_model(model)
        _prove(model)
    except CheckpointError:
        raise
    except Exception as cause:
        # A damaged file fails anywhere in protobuf's and ONNX's own code, in ways that nobody lists.
        reason = (str(cause).strip() or type(cause).__name__).split("\n")[0][:200]
        raise CheckpointError(f"{file} is no valid ONNX model ({reason})", mend=_MEND) from cause
    return model


def files_for(path: Path, board: Board) -> tuple[Path, ...]:
    """`path` itself if it is a file; of a quantised run or a bundle every model file in the board's dialect."""
    if not path.is_dir():
        return (path,)
    if (path / quantized.INDEX).is_file():
        rows = quantized.read(path).models
    elif (path / bundle.MANIFEST).is_file():
        rows = bundle.read(path).manifest.models
    else:
        raise CheckpointError(f"{path} holds no models", expected="an .onnx file, a quantised run or a bundle")
    files = tuple(path / row.file for row in rows if row.dialect == board.dialect)
    if not files:
        held = ", ".join(sorted({row.dialect for row in rows})) or "no"
        raise BoardError(
            f"{path} has no file in the dialect {board.dialect}, which {board.name} takes",
            expected=f"a board that takes {held} files",
        )
    return files


def _prove(part: Any) -> None:
    """Read every text and every value once, so that no rule meets a broken one; ValueError names what is broken."""
    for field, value in part.ListFields():
        alone = isinstance(value, (str, bytes, int, float)) or hasattr(value, "ListFields")
        for item in (value,) if alone else value:
            if field.type == field.TYPE_STRING and not isinstance(item, str):
                raise ValueError(f"{field.name} is no text")
            if isinstance(item, onnx.TensorProto) and not item.external_data:
                onnx.numpy_helper.to_array(item)
            elif hasattr(item, "ListFields"):
                _prove(item)


def _read(file: Path) -> bytes:
    try:
        if file.stat().st_size > LIMIT:
            raise CheckpointError(f"{file} is larger than 2 GiB", expected="one self-contained ONNX file")
        data = file.read_bytes()
    except OSError as cause:
        raise CheckpointError(f"{file} cannot be read ({cause.strerror})") from cause
    if not data:
        raise CheckpointError(f"{file} is empty", mend=_MEND)
    return data
