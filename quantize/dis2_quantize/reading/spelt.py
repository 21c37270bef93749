"""Layer norms that a file spells out: which nodes make one together."""

from __future__ import annotations

import onnx

NORM = "LayerNormalization"
_MARK = f"/{NORM}/"


def name_of(norm: str, part: str) -> str:
    """What the node `part` of the norm that answers `norm` is called."""
    return f"{norm}{_MARK}{part}"


def norm_of(node: onnx.NodeProto) -> str:
    """The answer of the spelt-out norm that `node` is a part of; empty for other nodes."""
    norm, mark, _ = node.name.partition(_MARK)
    return norm if mark else ""
