"""Rounded weights as the integers that they are: the tracer writes them in FP32, with a QuantizeLinear behind."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper


def store_integers(model: onnx.ModelProto) -> None:
    """Replace each rounded weight's QuantizeLinear by the integers it gives: a quarter of the bytes."""
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    constants = {node.output[0]: node.attribute[0].t for node in graph.node if node.op_type == "Constant"}
    values = {**constants, **weights}
    made: dict[tuple[str, ...], str] = {}
    same: dict[str, str] = {}
    for node in [node for node in graph.node if node.op_type == "QuantizeLinear" and node.input[0] in weights]:
        key = tuple(node.input[:2])
        if key in made:  # sensors that share a convolution
            same[node.output[0]] = made[key]
        else:
            made[key] = node.output[0]
            graph.initializer.append(numpy_helper.from_array(_rounded(node, values), node.output[0]))
        graph.node.remove(node)
    for node in graph.node:
        node.input[:] = [same.get(name, name) for name in node.input]
    for weight in {weight for weight, _ in made}:
        graph.initializer.remove(weights[weight])


def _rounded(node: onnx.NodeProto, values: Mapping[str, onnx.TensorProto]) -> npt.NDArray[np.int8]:
    """What a QuantizeLinear makes of a weight."""
    weight, scale = (numpy_helper.to_array(values[name]) for name in node.input[:2])
    axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)
    shape = [-1 if place == axis else 1 for place in range(weight.ndim)]
    rounded: npt.NDArray[np.int8] = np.rint(weight / scale.reshape(shape)).clip(-127, 127).astype(np.int8)
    return rounded
