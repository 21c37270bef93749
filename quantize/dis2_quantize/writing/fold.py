"""Compute once, when a file is written, what depends on shapes and constants alone; shapes are fixed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx
from onnx import NodeProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from dis2_quantize.reading.foreign import OURS

_KEPT = ("QuantizeLinear", "DequantizeLinear")
"""Never computed here: they say where integers are."""


def fold_constants(model: onnx.ModelProto) -> None:
    """Replace every node that computes from shapes and constants alone by its value."""
    share_names(model.graph)
    while _fold(model):  # a value that is known now may give another tensor its shape
        pass


def share_names(graph: onnx.GraphProto) -> None:
    """Let readers of an Identity read what it repeats; the tracer writes one for every weight that is used twice."""
    outputs = {value.name for value in graph.output}
    same: dict[str, str] = {}
    for node in list(graph.node):
        node.input[:] = [same.get(name, name) for name in node.input]
        if node.op_type == "Identity" and node.output[0] not in outputs:
            same[node.output[0]] = node.input[0]
            graph.node.remove(node)


def _fold(model: onnx.ModelProto) -> bool:
    """Fold what can be folded with the shapes that are known; whether anything but a plain constant was."""
    graph, more = model.graph, False
    shapes = _shapes(model)
    known = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in list(graph.node):
        values = _value(model, node, shapes, known)
        if values is None:
            continue
        known.update(values)
        more = more or node.op_type != "Constant"
        graph.node.remove(node)
        graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in values.items())
    read = {name for node in graph.node for name in node.input}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in read]:
        graph.initializer.remove(tensor)
    return more


def _value(
    model: onnx.ModelProto,
    node: NodeProto,
    shapes: dict[str, tuple[int, ...]],
    known: dict[str, npt.NDArray[np.generic]],
) -> dict[str, npt.NDArray[np.generic]] | None:
    """The outputs of a node by name, if they are known now."""
    if node.op_type == "Shape" and not node.attribute and node.input[0] in shapes:
        return {node.output[0]: np.array(shapes[node.input[0]], np.int64)}
    if node.op_type == "Constant":
        return {node.output[0]: numpy_helper.to_array(helper.get_node_attr_value(node, "value"))}
    if (
        not node.input
        or node.op_type in _KEPT
        or node.domain == OURS
        or not all(name in known for name in node.input if name)
    ):
        return None
    inputs = [
        helper.make_tensor_value_info(name, _element(known[name]), None) for name in dict.fromkeys(node.input) if name
    ]
    outputs = [helper.make_value_info(name, onnx.TypeProto()) for name in node.output]
    graph = helper.make_graph([node], "shapes", inputs, outputs)
    one = helper.make_model(graph, opset_imports=list(model.opset_import), ir_version=model.ir_version)
    found = ReferenceEvaluator(one).run(None, {name: known[name] for name in node.input if name})
    return {name: np.asarray(value) for name, value in zip(node.output, found, strict=True)}


def _shapes(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """The shapes of all values that have a fixed one; a Cast of our own domain keeps that of what it reads."""
    plain = onnx.ModelProto()
    plain.CopyFrom(model)
    for node in plain.graph.node:
        if node.domain == OURS and node.op_type == "Cast":
            node.CopyFrom(helper.make_node("Identity", node.input, node.output))
    inferred = onnx.shape_inference.infer_shapes(plain, data_prop=True).graph
    found = {}
    for value in (*inferred.input, *inferred.value_info, *inferred.output):
        shape = value.type.tensor_type
        sizes = [size.dim_value for size in shape.shape.dim]
        if shape.HasField("shape") and all(sizes):
            found[value.name] = tuple(sizes)
    return found


def _element(array: npt.NDArray[np.generic]) -> int:
    return helper.np_dtype_to_tensor_dtype(array.dtype)
