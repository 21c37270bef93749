"""Give every value of a traced FP32 file its float type, as a strongly typed engine reads it.

A node computes in the type of the values that it reads; only a Cast changes it. Constants have no type of their own:
they take that of their reader, where the operator's definition lets them, so that Resize keeps its FP32 scales.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from dis2_edge.errors import InternalError
from dis2_quantize.reading.foreign import OURS

FLOATS = {TensorProto.FLOAT: "tensor(float)", TensorProto.FLOAT16: "tensor(float16)"}


def type_strictly(model: onnx.ModelProto) -> None:
    """Make true Casts of the `dis2_edge::Cast` in a traced and folded model, and type everything between them.

    InternalError where a node reads two float types at once, or a constant does not fit FP16: the form is wrong then.
    """
    typer = _Typer(model)
    for node in model.graph.node:
        typer.visit(node)
    typer.finish()
    kept = [entry for entry in model.opset_import if entry.domain != OURS or model.functions]
    del model.opset_import[:], model.graph.value_info[:]
    model.opset_import.extend(kept)


class _Typer:
    """Walks a graph in order; knows the float type of every value that was computed, and makes constants on demand."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.graph = model.graph
        self.opset = next(entry.version for entry in model.opset_import if entry.domain == "")
        self.constants = {tensor.name: tensor for tensor in self.graph.initializer}
        self.weights: dict[str, NodeProto] = {}
        self.types = {value.name: value.type.tensor_type.elem_type for value in self.graph.input}
        self.before: dict[str, int] = {}
        self.made: dict[str, TensorProto | NodeProto] = {}

    def visit(self, node: NodeProto) -> None:
        """Type one node; everything that it reads was visited before."""
        if node.op_type == "DequantizeLinear" and node.input[0] in self.constants:
            self.weights[node.output[0]] = node
        elif node.domain == OURS and node.op_type == "Cast":
            to = TensorProto.FLOAT16 if helper.get_node_attr_value(node, "half") else TensorProto.FLOAT
            node.CopyFrom(helper.make_node("Cast", [node.input[0]], [node.output[0]], node.name, to=to))
            self.types[node.output[0]] = to
        else:
            self._compute(node)

    def finish(self) -> None:
        """Leave only what is read, constants first."""
        nodes = [node for node in self.graph.node if node.output[0] not in self.weights]
        del self.graph.node[:], self.graph.initializer[:]
        made = self.made.values()
        self.graph.node.extend([one for one in made if isinstance(one, NodeProto)] + nodes)
        self.graph.initializer.extend(one for one in made if isinstance(one, TensorProto))

    def _compute(self, node: NodeProto) -> None:
        found = {self.types[name] for name in node.input if self.types.get(name) in FLOATS}
        if node.op_type == "DequantizeLinear":
            found = {self.before[node.input[0]]}
        if len(found) > 1:
            raise InternalError(f"{node.name} reads FP16 and FP32 at once; a Cast is missing")
        kind = found.pop() if found else TensorProto.FLOAT
        for place, name in enumerate(node.input):
            if name in self.constants or name in self.weights:
                free = self._takes(FLOATS[kind], node, place, "inputs")
                node.input[place] = self._constant(name, kind if free else TensorProto.FLOAT)
        for place, name in enumerate(node.output):
            if self._takes(FLOATS[kind], node, place, "outputs"):
                self.types[name] = kind
        if node.op_type == "QuantizeLinear":
            self.before[node.output[0]] = kind

    def _takes(self, name: str, node: NodeProto, place: int, side: Literal["inputs", "outputs"]) -> bool:
        """Whether an operator's definition lets one of its inputs or outputs be the type; functions of ours let all."""
        if node.domain == OURS:
            return True
        formals = getattr(onnx.defs.get_schema(node.op_type, self.opset), side)
        return name in formals[min(place, len(formals) - 1)].types

    def _constant(self, name: str, kind: int) -> str:
        """The name of a constant, or of a weight in integers, whose type is `kind` if it is a float."""
        if name in self.weights:
            return self._weight(self.weights[name], kind)
        tensor = self.constants[name]
        if tensor.data_type not in FLOATS:
            self.made[name] = tensor
            return name
        typed = f"{name}_half" if kind == TensorProto.FLOAT16 else name
        if typed not in self.made:
            self.made[typed] = _in_type(tensor, kind, typed)
        return typed

    def _weight(self, node: NodeProto, kind: int) -> str:
        inputs = [self._constant(name, kind) for name in node.input]
        output = f"{node.output[0]}_half" if kind == TensorProto.FLOAT16 else node.output[0]
        if output not in self.made:
            typed = NodeProto()
            typed.CopyFrom(node)
            typed.name = output
            typed.input[:], typed.output[:] = inputs, [output]
            self.made[output] = typed
        return output


def _in_type(tensor: TensorProto, kind: int, name: str) -> TensorProto:
    values = numpy_helper.to_array(tensor)
    with np.errstate(over="ignore"):
        typed = values.astype(helper.tensor_dtype_to_np_dtype(kind))
    if np.isfinite(values).all() and not np.isfinite(typed).all():
        raise InternalError(f"constant {name} reaches {np.abs(values).max():g}; its node must be an FP32 island")
    return numpy_helper.from_array(typed, name)
