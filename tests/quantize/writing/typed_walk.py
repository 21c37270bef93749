"""A second opinion on a file's float types: no node but a Cast may read one type and write or read another."""

import onnx
from onnx import TensorProto, inliner

FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16)
CASTS = ("Cast", "CastLike")
SCALES = {"Resize": 2}
"""Inputs that ONNX defines as FP32, whatever the data is."""


def types_of(model):
    """The element type of every value of `model`, by ONNX's own strict inference."""
    inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True).graph
    types = {one.name: one.data_type for one in inferred.initializer}
    for value in (*inferred.input, *inferred.value_info, *inferred.output):
        types[value.name] = value.type.tensor_type.elem_type
    return types


def mixed_nodes(model):
    """Names of nodes that mix float types, calls of functions and what is in these; empty in a strongly typed file."""
    inner = inliner.inline_local_functions(model) if model.functions else model
    types = {**types_of(model), **types_of(inner)}
    nodes = [*model.graph.node, *(inner.graph.node if model.functions else ())]
    return [node.name for node in nodes if node.op_type not in CASTS and len(_floats(node, types)) > 1]


def _floats(node, types):
    read = [name for place, name in enumerate(node.input) if name and place != SCALES.get(node.op_type)]
    return {types[name] for name in (*read, *node.output)} & set(FLOATS)
