"""Layer norms in plain operators of FP32: strongly typed, TensorRT computes a norm in the type of what it reads.

Sums of squares do not fit FP16, and no attribute of the node asks for more (its `stash_type` is not heeded there, and
the parser of TensorRT 10.1 sets a precision that a typed network rejects). Spelt out, every version reads it alike, and
its answer is what ONNX says of the node: rounded to FP16 once, at its end.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from dis2_quantize.reading.spelt import NORM, name_of

_EPSILON = 1e-5
"""ONNX's own default."""


def spell_norms(model: onnx.ModelProto) -> None:
    """Put plain operators in the place of each LayerNormalization over the last axis, in a file that is typed."""
    nodes = [one for node in model.graph.node for one in (_spelt(model.graph, node) if _fits(node) else [node])]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    read = {name for node in nodes for name in node.input}
    for tensor in [tensor for tensor in model.graph.initializer if tensor.name not in read]:
        model.graph.initializer.remove(tensor)


def _fits(node: NodeProto) -> bool:
    axis = next((one.i for one in node.attribute if one.name == "axis"), -1)
    return node.op_type == NORM and axis == -1 and len(node.output) == 1


def _spelt(graph: onnx.GraphProto, node: NodeProto) -> list[NodeProto]:
    half = _constant(graph, node.input[1]).dtype == np.float16
    answer = node.output[0]
    made: list[NodeProto] = []

    def add(kind: str, name: str, *inputs: str, **attributes: Any) -> str:
        full = name if name == answer else f"{answer}.{name}"
        made.append(helper.make_node(kind, inputs, [full], name_of(answer, name), **attributes))
        return full

    wide = add("Cast", "wide", node.input[0], to=TensorProto.FLOAT) if half else node.input[0]
    last = _keep(graph, f"{answer}.last", np.array([-1], np.int64))
    mean = add("ReduceMean", "mean", wide, last, keepdims=1)
    centred = add("Sub", "centred", wide, mean)
    variance = add("ReduceMean", "variance", add("Mul", "square", centred, centred), last, keepdims=1)
    epsilon = next((one.f for one in node.attribute if one.name == "epsilon"), _EPSILON)
    least = _keep(graph, f"{answer}.epsilon", np.array(epsilon, np.float32))
    found = add("Div", "even", centred, add("Sqrt", "spread", add("Add", "raised", variance, least)))
    for kind, name, at in (("Mul", "scaled", 1), ("Add", "shifted", 2)):
        if len(node.input) > at and node.input[at]:
            values = _constant(graph, node.input[at]).astype(np.float32)
            found = add(kind, name, found, _keep(graph, f"{answer}.{name}_by", values))
    if half:
        add("Cast", answer, found, to=TensorProto.FLOAT16)
    else:
        made[-1].output[0] = answer
    return made


def _constant(graph: onnx.GraphProto, name: str) -> npt.NDArray[Any]:
    return numpy_helper.to_array(next(tensor for tensor in graph.initializer if tensor.name == name))


def _keep(graph: onnx.GraphProto, name: str, value: npt.NDArray[Any]) -> str:
    graph.initializer.append(numpy_helper.from_array(value, name))
    return name
