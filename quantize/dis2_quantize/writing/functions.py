"""The two attentions as operators of our own, each with a body of plain operators: ONNX functions.

A file of the `trt` dialect holds `dis2_edge::FusionAttention` and `dis2_edge::ClasswiseAttention` as single nodes. An
engine that has a kernel by that name puts it there; any other runs the body, which computes operator by operator what
the form computes (`dis2_quantize.rounding.form`), so that its simulation in FP16 holds for the body.

Bodies know no size and no float type: shapes are asked of the inputs, and constants, computed in FP32, are cast to the
inputs' type. So one body serves the nodes in FP16 and those in FP32 islands of one file.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import onnx
from onnx import FunctionProto, NodeProto, TensorProto, helper, shape_inference

from dis2_edge.errors import InternalError
from dis2_quantize.reading.foreign import ATTENTIONS, OURS

VERSION = 1
"""Of the domain of our own operators."""

FUSION = """<domain: "dis2_edge", opset_import: ["": 19]>
FusionAttention <heads> (q, k, v) => (out) {
    heads = Constant <value_int: int = @heads> ()
    first = Constant <value_ints = [0]> ()
    kept = Constant <value_ints = [0, 0]> ()
    rest = Constant <value_ints = [-1]> ()
    count = Unsqueeze (heads, first)
    apart = Concat <axis = 0> (kept, count, rest)
    parts_q = Reshape (q, apart)
    parts_k = Reshape (k, apart)
    parts_v = Reshape (v, apart)
    size = Shape <start = 3> (parts_q)
    wide = Cast <to = 1> (size)
    root = Sqrt (wide)
    inverse = Reciprocal (root)
    scale = CastLike (inverse, q)
    scaled = Mul (parts_q, scale)
    queries = Transpose <perm = [0, 2, 1, 3]> (scaled)
    keys = Transpose <perm = [0, 2, 3, 1]> (parts_k)
    values = Transpose <perm = [0, 2, 1, 3]> (parts_v)
    scores = MatMul (queries, keys)
    weights = Softmax <axis = 3> (scores)
    found = MatMul (weights, values)
    rows = Transpose <perm = [0, 2, 1, 3]> (found)
    together = Constant <value_ints = [0, 0, -1]> ()
    out = Reshape (rows, together)
}"""
"""q (B, N, D), k and v (B, M, D) to (B, N, D): queries are scaled first, which keeps scores in range."""

CLASSWISE = """<domain: "dis2_edge", opset_import: ["": 19]>
ClasswiseAttention (f4, queries) => (maps) {
    flat = Constant <value_ints = [0, 0, -1]> ()
    places = Reshape (f4, flat)
    channels = Shape <start = 1, end = 2> (places)
    wide = Cast <to = 1> (channels)
    root = Sqrt (wide)
    inverse = Reciprocal (root)
    scale = CastLike (inverse, f4)
    products = MatMul (queries, places)
    scores = Mul (products, scale)
    shares = Softmax <axis = 2> (scores)
    positions = Shape <start = 2> (places)
    number = Cast <to = 1> (positions)
    count = CastLike (number, f4)
    weights = Mul (shares, count)
    second = Constant <value_ints = [1]> ()
    third = Constant <value_ints = [2]> ()
    each = Unsqueeze (weights, third)
    all = Unsqueeze (places, second)
    weighted = Mul (each, all)
    rest = Constant <value_ints = [-1]> ()
    sizes = Shape <start = 1> (f4)
    shape = Concat <axis = 0> (rest, sizes)
    maps = Reshape (weighted, shape)
}"""
"""f4 (B, C, h, w) and queries (K, C) to (B K, C, h, w): what is largest by the count of positions comes last."""


def functions(opset: int) -> tuple[FunctionProto, ...]:
    """Both functions, their bodies in ONNX's operators of version `opset`."""
    return tuple(_function(text, opset) for text in (FUSION, CLASSWISE))


def append_functions(model: onnx.ModelProto) -> None:
    """Give `model` the bodies of those functions that it calls; one that calls none is left as it is."""
    opset = next(entry.version for entry in model.opset_import if entry.domain == "")
    called = {node.op_type for node in calls(model)}
    model.functions.extend(one for one in functions(opset) if one.name in called)
    for entry in model.opset_import:
        if entry.domain == OURS:
            entry.version = VERSION


def calls(model: onnx.ModelProto) -> Iterator[NodeProto]:
    """The nodes of `model` that stand for one of the functions."""
    return (node for node in model.graph.node if node.domain == OURS and node.op_type in ATTENTIONS)


def declare_answers(model: onnx.ModelProto) -> None:
    """Write down type and shape of what calls answer, for readers that do not look into bodies, or have none.

    InternalError where a call in FP16 would count more positions than FP16 can.
    """
    graph = shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    known = {value.name: value for value in (*graph.value_info, *graph.output)}
    border = {value.name for value in graph.output}
    for node in calls(model):
        answer = known[node.output[0]]
        positions = math.prod(size.dim_value for size in answer.type.tensor_type.shape.dim[2:])
        half = answer.type.tensor_type.elem_type == TensorProto.FLOAT16
        if node.op_type == "ClasswiseAttention" and half and positions > float(np.finfo(np.float16).max):
            raise InternalError(f"{node.name} has {positions} positions; it must be an FP32 island")
        if answer.name not in border:
            model.graph.value_info.append(answer)


def _function(text: str, opset: int) -> FunctionProto:
    """The function in `text`; its values are named as no graph names any.

    TensorRT 10's parser takes a body's input for a value of the graph, should that have one of the same name.
    """
    function = onnx.parser.parse_function(text)
    del function.opset_import[:]
    function.opset_import.append(helper.make_opsetid("", opset))
    for names in (
        function.input,
        function.output,
        *(side for node in function.node for side in (node.input, node.output)),
    ):
        names[:] = [f"{OURS}.{function.name}.{name}" for name in names]
    for node in function.node:
        node.name = node.output[0]
    return function
