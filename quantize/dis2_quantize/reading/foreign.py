"""Output types and shapes of operators that ONNX's inference does not know: ONNX Runtime's (com.microsoft), and ours.

Most of ONNX Runtime's are a standard operator with scales and zero-points between its inputs: they are answered as that
operator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

Shape = tuple[int, ...]
Typed = tuple[int, Shape]
Infer = Callable[[onnx.NodeProto, Sequence[Typed]], "list[Typed]"]
"""ONNX's inference: types and shapes of a standard node's outputs from those of its inputs, in order."""

FLOAT = onnx.TensorProto.FLOAT
DOMAIN = "com.microsoft"
OURS = "dis2_edge"
"""Domain of our own operators, which files hold as functions."""
ATTENTIONS = ("FusionAttention", "ClasswiseAttention")
"""Those of ours that an engine may compute by a kernel."""


class NoAnswerError(Exception):
    """Type or shape of an output cannot be told; the text says why."""


@dataclass(frozen=True)
class Twin:
    """A standard operator that has the shapes of a foreign one."""

    kind: str
    """The standard operator."""
    data: tuple[int, ...]
    """Places of the inputs that it takes too, in its order."""
    typed_as: int
    """Place of the input whose type the output has."""
    channels_last: str = ""
    """Attribute that says, with 1, that maps are N x H x W x C; "always" where they always are."""


_CONV = ("kernel_shape", "strides", "pads", "dilations", "group", "auto_pad", "ceil_mode")
_KEPT = (*_CONV, "transA", "transB", "keepdims", "axes")
TWINS = {
    "QLinearConv": Twin("Conv", (0, 3), 7, "channels_last"),
    "FusedConv": Twin("Conv", (0, 1), 0),
    "NhwcFusedConv": Twin("Conv", (0, 1), 0, "always"),
    "NhwcMaxPool": Twin("MaxPool", (0,), 0, "always"),
    "QLinearAveragePool": Twin("AveragePool", (0,), 0, "channels_last"),
    "QLinearGlobalAveragePool": Twin("GlobalAveragePool", (0,), 0, "channels_last"),
    "QLinearAdd": Twin("Add", (0, 3), 0),
    "QLinearMul": Twin("Mul", (0, 3), 0),
    "MatMulIntegerToFloat": Twin("MatMul", (0, 1), 2),
    "DynamicQuantizeMatMul": Twin("MatMul", (0, 1), 0),
    "FusedGemm": Twin("Gemm", (0, 1), 0),
    "QGemm": Twin("Gemm", (0, 3), 0),
}
SAME = frozenset(
    [
        "QLinearLeakyRelu",
        "QLinearSigmoid",
        "QLinearSoftmax",
        "Gelu",
        "FastGelu",
        "BiasGelu",
        "QuickGelu",
        "SkipLayerNormalization",
        "SkipSimplifiedLayerNormalization",
        "BiasSoftmax",
    ]
)
"""Operators whose first output is like their first input."""


def outputs(node: onnx.NodeProto, inputs: Sequence[Typed | None], infer: Infer) -> list[Typed]:
    """Types and shapes of the outputs that can be told, first ones first; NoAnswerError for an unknown operator."""
    if not is_known(node):
        raise NoAnswerError(f"the operator {node.domain}::{node.op_type} is unknown")
    try:
        if node.op_type in TWINS:
            return [_as_twin(TWINS[node.op_type], node, inputs, infer)]
        return [{**_THEIRS, **_OURS}.get(node.op_type, _like_first)(node, inputs)]
    except (IndexError, TypeError, ValueError, ZeroDivisionError) as cause:
        raise NoAnswerError(f"its inputs are none of a {node.op_type}") from cause


def is_known(node: onnx.NodeProto) -> bool:
    """Whether `outputs` has an answer for the operator of `node`."""
    if node.domain == OURS:
        return node.op_type in ATTENTIONS
    return node.domain == DOMAIN and (node.op_type in TWINS or node.op_type in SAME or node.op_type in _THEIRS)


def attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    """The value of an attribute, or `default` where the node has none of that name."""
    found = next((entry for entry in node.attribute if entry.name == name), None)
    return default if found is None else onnx.helper.get_attribute_value(found)


def is_channels_last(node: onnx.NodeProto) -> bool:
    """Whether a foreign node takes its maps as N x H x W x C."""
    twin = TWINS.get(node.op_type)
    if node.domain != DOMAIN or twin is None or not twin.channels_last:
        return False
    return twin.channels_last == "always" or bool(attribute(node, twin.channels_last, 0))


def _as_twin(twin: Twin, node: onnx.NodeProto, inputs: Sequence[Typed | None], infer: Infer) -> Typed:
    last = is_channels_last(node)
    shapes = [_given(inputs, place)[1] for place in twin.data]
    if last:
        n, *spatial, channels = shapes[0]
        shapes[0] = (n, channels, *spatial)
    names = [f"x{place}" for place in range(len(shapes))]
    kept = [entry for entry in node.attribute if entry.name in _KEPT]
    standard = onnx.NodeProto(op_type=twin.kind, input=names, output=["y"], attribute=kept)
    ((_, shape),) = infer(standard, [(FLOAT, shape) for shape in shapes])
    if last:
        n, channels, *spatial = shape
        shape = (n, *spatial, channels)
    as_float = node.op_type == "QGemm" and (len(inputs) < 9 or inputs[8] is None)
    return (FLOAT if as_float else _given(inputs, twin.typed_as)[0]), shape


def _given(inputs: Sequence[Typed | None], place: int) -> Typed:
    found = inputs[place]
    if found is None:
        raise IndexError(f"input {place} is left out")
    return found


def _like_first(node: onnx.NodeProto, inputs: Sequence[Typed | None]) -> Typed:
    return _given(inputs, 0)


def _quantised(node: onnx.NodeProto, inputs: Sequence[Typed | None]) -> Typed:
    return _given(inputs, 2)[0] if len(inputs) > 2 else onnx.TensorProto.UINT8, _given(inputs, 0)[1]


def _dequantised(node: onnx.NodeProto, inputs: Sequence[Typed | None]) -> Typed:
    return _given(inputs, 1)[0], _given(inputs, 0)[1]


def _concat(node: onnx.NodeProto, inputs: Sequence[Typed | None]) -> Typed:
    parts = [_given(inputs, place) for place in range(2, len(inputs), 3)]
    axis = int(attribute(node, "axis", 0)) % len(parts[0][1])
    shape = list(parts[0][1])
    shape[axis] = sum(part[1][axis] for part in parts)
    return parts[0][0], tuple(shape)


def _matmul(node: onnx.NodeProto, inputs: Sequence[Typed | None]) -> Typed:
    (kind, a), (_, b) = _given(inputs, 0), _given(inputs, 1)
    a = (*a[:-2], a[-1], a[-2]) if attribute(node, "transA", 0) else a
    b = (*b[:-2], b[-1], b[-2]) if attribute(node, "transB", 0) else b
    return kind, (*np.broadcast_shapes(a[:-2], b[:-2]), a[-2], b[-1])


def _multi_head(node: onnx.NodeProto, inputs: Sequence[Typed | None]) -> Typed:
    """Queries (B, N, D) and values (B, M, V) to (B, N, V); keys and values may be split by heads (B, H, M, V / H)."""
    kind, query = _given(inputs, 0)
    if len(query) == 5:  # packed: (B, N, heads, 3, size)
        return kind, (*query[:2], query[2] * query[4])
    value = _given(inputs, 2)[1] if len(inputs) > 2 and inputs[2] is not None else query
    return kind, (*query[:2], value[1] * value[3] if len(value) == 4 else value[-1])


def _classwise(node: onnx.NodeProto, inputs: Sequence[Typed | None]) -> Typed:
    """F4 (B, C, h, w) and queries (K, C) to (B K, C, h, w)."""
    (kind, (batch, *sizes)), (_, (classes, _)) = _given(inputs, 0), _given(inputs, 1)
    return kind, (batch * classes, *sizes)


_OURS: dict[str, Callable[[onnx.NodeProto, Sequence[Typed | None]], Typed]] = {
    "FusionAttention": _like_first,
    "ClasswiseAttention": _classwise,
}
_THEIRS: dict[str, Callable[[onnx.NodeProto, Sequence[Typed | None]], Typed]] = {
    "QuantizeLinear": _quantised,
    "DequantizeLinear": _dequantised,
    "QLinearConcat": _concat,
    "FusedMatMul": _matmul,
    "MultiHeadAttention": _multi_head,
}
