"""Operations of one node: 2 for each multiply-add of a weighted operator, 1 for each value that another one makes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import onnx

from dis2_quantize.reading.foreign import Shape, attribute

MOVES = frozenset(
    [
        "Cast",
        "CastLike",
        "Concat",
        "DepthToSpace",
        "Expand",
        "Flatten",
        "Gather",
        "GatherElements",
        "GatherND",
        "Identity",
        "Pad",
        "QLinearConcat",
        "Reshape",
        "Slice",
        "SpaceToDepth",
        "Split",
        "Squeeze",
        "Tile",
        "Transpose",
        "Unsqueeze",
    ]
)
"""Operators that only move or relabel values."""


def operations(node: onnx.NodeProto, inputs: Sequence[Shape | None], outputs: Sequence[Shape]) -> int:
    """Operations of `node`, from the shapes of its inputs (None where left out) and outputs."""
    made = sum(map(math.prod, outputs))
    if node.op_type in MOVES:
        return 0
    if node.op_type in WEIGHTS:
        return 2 * _weighted(node, _shape(inputs, WEIGHTS[node.op_type]), inputs, made)
    if node.op_type in _OTHERS:
        return _OTHERS[node.op_type](node, inputs, made)
    return made


def is_weighted(node: onnx.NodeProto) -> bool:
    """Whether `node` is a convolution, a matrix product or attention."""
    return node.op_type in WEIGHTS or node.op_type in _OTHERS


WEIGHTS = {
    "Conv": 1,
    "FusedConv": 1,
    "NhwcFusedConv": 1,
    "ConvInteger": 1,
    "ConvTranspose": 1,
    "QLinearConv": 3,
    "Gemm": 1,
    "FusedGemm": 1,
    "QGemm": 3,
    "MatMul": 1,
    "FusedMatMul": 1,
    "MatMulInteger": 1,
    "MatMulIntegerToFloat": 1,
    "DynamicQuantizeMatMul": 1,
    "QLinearMatMul": 3,
}
"""Weighted operators, and the place of the weight among their inputs."""


def _weighted(node: onnx.NodeProto, weight: Shape, inputs: Sequence[Shape | None], made: int) -> int:
    """Multiply-adds: for each value made the values that go into it; transposed convolutions count from their input."""
    if node.op_type == "ConvTranspose":
        return math.prod(_shape(inputs, 0)) * math.prod(weight[1:])
    if "Conv" in node.op_type:
        return made * math.prod(weight[1:])
    if len(weight) < 2:
        return made * weight[0]
    return made * weight[-1 if attribute(node, "transB", 0) else -2]


def _multi_head(node: onnx.NodeProto, inputs: Sequence[Shape | None], made: int) -> int:
    """Scores (N x M) and their product with the values, over all heads: N M D multiply-adds each."""
    query = _shape(inputs, 0)
    packed_keys = len(inputs) < 2 or inputs[1] is None
    rows = query[1] if packed_keys else _keys(_shape(inputs, 1))
    return 4 * made * rows


def _keys(key: Shape) -> int:
    """Number of keys in (B, M, D), or split by heads in (B, H, M, D / H)."""
    return key[2] if len(key) == 4 else key[1]


def _classwise(node: onnx.NodeProto, inputs: Sequence[Shape | None], made: int) -> int:
    """Scores, K C N multiply-adds, and as many products of weight and F4; the softmax between is left out."""
    return 3 * made


def _einsum(node: onnx.NodeProto, inputs: Sequence[Shape | None], made: int) -> int:
    """The product of all indices; with an ellipsis only what is made is counted."""
    terms = attribute(node, "equation", b"").decode().replace(" ", "").partition("->")[0].split(",")
    sizes: dict[str, int] = {}
    for term, shape in zip(terms, inputs, strict=False):
        sizes.update(zip(term, shape or (), strict=False))
    return 2 * (made if "." in sizes else math.prod(sizes.values()))


_OTHERS: dict[str, Callable[[onnx.NodeProto, Sequence[Shape | None], int], int]] = {
    "MultiHeadAttention": _multi_head,
    "FusionAttention": _multi_head,
    "ClasswiseAttention": _classwise,
    "Einsum": _einsum,
}


def _shape(inputs: Sequence[Shape | None], place: int) -> Shape:
    found = inputs[place] if place < len(inputs) else None
    return () if found is None else found
