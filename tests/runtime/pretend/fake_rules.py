"""What TensorRT's parser and builder refuse in a strongly typed network, as their open parts and headers tell it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import TensorProto, inliner, numpy_helper, shape_inference

FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16)
ALIKE = ("Add", "Sub", "Mul", "Div", "MatMul", "Conv", "ConvTranspose", "Gemm", "Concat", "LayerNormalization")
"""Layers whose inputs have one type; nothing is cast for them."""
SCALED = ("QuantizeLinear", "DequantizeLinear")

Fault = tuple[str, str, str]
"""Node, operator, and what is wrong."""


def faults_of(model: onnx.ModelProto) -> Iterator[Fault]:
    """What would be refused, node by node; bodies of functions are looked into."""
    whole = inliner.inline_local_functions(model) if model.functions else model
    graph = shape_inference.infer_shapes(whole).graph
    known = {value.name: value.type.tensor_type.elem_type for value in (*graph.input, *graph.value_info)}
    fixed = {tensor.name: tensor for tensor in graph.initializer}
    known |= {name: tensor.data_type for name, tensor in fixed.items()}
    for value in graph.input:
        if not all(size.dim_value > 0 for size in value.type.tensor_type.shape.dim):
            yield value.name, "", "Network has dynamic or shape inputs, but no optimization profile has been defined"
    for node in graph.node:
        kinds = {known[name] for name in node.input if known.get(name) in FLOATS}
        if node.op_type in ALIKE and len(kinds) > 1:
            yield node.name, node.op_type, "inputs must have the same type in a strongly typed network"
        if node.op_type in SCALED:
            yield from _scales(node, fixed, known)
        if node.op_type.startswith("Reduce") and len(node.input) > 1 and node.input[1] not in fixed:
            yield node.name, node.op_type, "Axis input must be an initializer!"


def _scales(node: onnx.NodeProto, fixed: dict[str, TensorProto], known: dict[str, int]) -> Iterator[Fault]:
    scale, *zero = (numpy_helper.to_array(fixed[name]) for name in node.input[1:] if name in fixed)
    if not np.all(scale > 0):
        yield node.name, node.op_type, "Scale coefficients must all be positive"
    if zero and np.any(zero[0]):
        yield node.name, node.op_type, "TensorRT only supports symmetric quantization"
    reads = known.get(node.input[0])
    if node.op_type == "QuantizeLinear" and reads in FLOATS and reads != known[node.input[1]]:
        yield node.name, node.op_type, "input and scale must have the same type in a strongly typed network"
