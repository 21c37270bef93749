"""Rounded weights as the integers that they are: the tracer writes them in FP32, with a QuantizeLinear behind."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper


def store_integers(model: onnx.ModelProto) -> None:
    """Replace each rounded weight's QuantizeLinear by the integers it gives: a quarter of the bytes."""
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    constants = {node.output[0]: node.attribute[0].t for node in graph.node if node.op_type == "Constant"}
    values = {**constants, **weights}
    for node in [node for node in graph.node if node.op_type == "QuantizeLinear" and node.input[0] in weights]:
        weight, scale = (numpy_helper.to_array(values[name]) for name in node.input[:2])
        axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)
        shape = [-1 if place == axis else 1 for place in range(weight.ndim)]
        rounded = np.rint(weight / scale.reshape(shape)).clip(-127, 127).astype(np.int8)
        graph.initializer.append(numpy_helper.from_array(rounded, node.output[0]))
        graph.node.remove(node)
        graph.initializer.remove(weights.pop(node.input[0]))
