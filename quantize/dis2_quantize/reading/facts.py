"""Every tensor's type, shape and, where it is fixed, value: ONNX's own inference one node at a time, and what it lacks.

ONNX's inference over a whole graph stops at the first foreign operator, and leaves the arithmetic on shapes that an
exporter writes as layers. Here a foreign operator is answered by `foreign`, a function of the file is written out
first, and what depends on no input is computed as far as shapes need it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import inliner, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from dis2_quantize.reading import foreign
from dis2_quantize.reading.foreign import NoAnswerError, Shape
from dis2_quantize.reading.wiring import is_quantize

SMALL = 4096
"""Values above which a fixed tensor is not computed: shapes and axes have few, weights need no value here."""
OWN = ("", "ai.onnx")
"""Names of ONNX's own domain."""
NOT_FIXED, NO_INPUT = "the shape of its output is not fixed", "nothing is known of its input"
"""Reasons of gaps that are not the node's own fault."""
_REFUSALS = (
    onnx.defs.SchemaError,
    onnx.checker.ValidationError,
    shape_inference.InferenceError,
    RuntimeError,
    ValueError,
    TypeError,
)
"""What ONNX raises at a node that is none of its own, or not as it should be."""


@dataclass(frozen=True)
class Fact:
    """What is known of one tensor."""

    dtype: int
    """Number of its type in onnx.TensorProto."""
    shape: Shape
    """Every dimension, fixed."""
    fixed: bool = False
    """Whether it is the same for every input."""
    value: npt.NDArray[Any] | None = None
    """Its value, where it is fixed and small."""

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """Bytes in memory."""
        return self.size * max(1, np.dtype(onnx.helper.tensor_dtype_to_np_dtype(self.dtype)).itemsize)


@dataclass
class Facts:
    """A graph, and all that is known of its tensors."""

    model: onnx.ModelProto
    """The file, with functions of its own written out."""
    tensors: dict[str, Fact] = field(default_factory=dict)
    """By name; a tensor of which nothing is known is absent."""
    gaps: list[tuple[onnx.NodeProto, str]] = field(default_factory=list)
    """Nodes whose outputs could not be told, with the reason, in the order of computation."""

    def __contains__(self, name: str) -> bool:
        return name in self.tensors

    def __getitem__(self, name: str) -> Fact:
        return self.tensors[name]


def gather(model: onnx.ModelProto, whole: Collection[tuple[str, str]] = ()) -> Facts:
    """The facts of `model`, in the order of computation; what cannot be told is left as a gap.

    Its functions are written out, but for those `whole`, by domain and name: calls of these stay one node.
    """
    facts = Facts(inliner.inline_selected_functions(model, list(whole), exclude=True) if model.functions else model)
    for tensor in facts.model.graph.initializer:
        facts.tensors[tensor.name] = _of_tensor(tensor)
    for value in facts.model.graph.input:
        shape = _declared(value.type)
        if value.name not in facts and shape is not None:
            facts.tensors[value.name] = Fact(value.type.tensor_type.elem_type, shape)
    for node in facts.model.graph.node:
        try:
            facts.tensors.update(_outputs(node, facts))
        except NoAnswerError as reason:
            facts.gaps.append((node, str(reason)))
    return facts


def constant_of(node: onnx.NodeProto) -> onnx.TensorProto | None:
    """The tensor that a Constant node holds, if it is one and holds one."""
    if node.op_type != "Constant" or node.domain not in OWN:
        return None
    return next((attribute.t for attribute in node.attribute if attribute.name == "value"), None)


def _outputs(node: onnx.NodeProto, facts: Facts) -> dict[str, Fact]:
    tensor = constant_of(node)
    if tensor is not None:
        return {node.output[0]: _of_tensor(tensor)}
    lost = [name for name in node.input if name and name not in facts]
    if lost:
        raise NoAnswerError(f"{NO_INPUT} {lost[0]}")
    inputs = {name: facts[name] for name in node.input if name}
    if (node.op_type == "Shape" and node.domain in OWN) or all(fact.value is not None for fact in inputs.values()):
        computed = _computed(node, inputs, facts.model)
        if computed:
            return computed
    fixed = bool(inputs) and all(fact.fixed for fact in inputs.values())
    inferred = _inferred(node, inputs, facts.model)
    return {name: Fact(dtype, shape, fixed) for name, (dtype, shape) in inferred.items()}


def _inferred(node: onnx.NodeProto, inputs: Mapping[str, Fact], model: onnx.ModelProto) -> dict[str, tuple[int, Shape]]:
    def infer(asked: onnx.NodeProto, shapes: Sequence[tuple[int, Shape]]) -> list[tuple[int, Shape]]:
        made = {name: Fact(*typed) for name, typed in zip(asked.input, shapes, strict=True) if name}
        answer = _by_onnx(asked, made, model)
        return [answer[name] for name in asked.output if name]

    if node.domain in OWN:
        return _by_onnx(node, inputs, model)
    typed = [(inputs[name].dtype, inputs[name].shape) if name else None for name in node.input]
    answers = foreign.outputs(node, typed, infer)
    return {name: answer for name, answer in zip(node.output, answers, strict=False) if name}


def _by_onnx(node: onnx.NodeProto, inputs: Mapping[str, Fact], model: onnx.ModelProto) -> dict[str, tuple[int, Shape]]:
    """Type and shape of each output of a standard node, by ONNX's own inference."""
    opsets = [entry for entry in model.opset_import if entry.domain in OWN]
    version = opsets[0].version if opsets else 1
    types = {name: onnx.helper.make_tensor_type_proto(fact.dtype, fact.shape) for name, fact in inputs.items()}
    data = {name: numpy_helper.from_array(fact.value) for name, fact in inputs.items() if fact.value is not None}
    try:
        schema = onnx.defs.get_schema(node.op_type, version, "")
        found = shape_inference.infer_node_outputs(
            schema, node, types, data, opset_imports=opsets, ir_version=model.ir_version
        )
    except _REFUSALS as cause:
        raise NoAnswerError(str(cause).strip().split("\n")[0]) from cause
    shapes = {name: _declared(kind) for name, kind in found.items() if name}
    gaps = [name for name, shape in shapes.items() if shape is None]
    if gaps or not shapes:
        raise NoAnswerError(NOT_FIXED)
    return {name: (found[name].tensor_type.elem_type, shape) for name, shape in shapes.items() if shape is not None}


def _computed(node: onnx.NodeProto, inputs: Mapping[str, Fact], model: onnx.ModelProto) -> dict[str, Fact]:
    """The outputs of a node that depends on no input, computed; empty where they are large or it cannot be done."""
    feeds = {name: _value_or_zeros(fact) for name, fact in inputs.items()}
    opsets = [entry for entry in model.opset_import if entry.domain in OWN]
    if node.domain not in OWN or is_quantize(node) or any(attribute.HasField("g") for attribute in node.attribute):
        return {}
    names = [name for name in node.output if name]
    try:
        function = onnx.helper.make_function("fixed", "fixed", list(feeds), names, [node], opsets)
        with np.errstate(all="ignore"):
            answers: Any = ReferenceEvaluator(function).run(None, feeds, attributes={})
        values = [np.asarray(value) for value in answers]
        types = [onnx.helper.np_dtype_to_tensor_dtype(value.dtype) for value in values]
    except Exception:
        # Whatever the reference cannot compute is only inferred: nothing is lost but a value.
        return {}
    if any(value.size > SMALL for value in values):
        return {}
    return {n: Fact(t, v.shape, True, v) for n, t, v in zip(names, types, values, strict=True)}


def _value_or_zeros(fact: Fact) -> npt.NDArray[Any]:
    """The value, or for Shape, which reads none, a stand-in that takes no memory."""
    if fact.value is not None:
        return fact.value
    return np.broadcast_to(np.zeros((), onnx.helper.tensor_dtype_to_np_dtype(fact.dtype)), fact.shape)


def _of_tensor(tensor: onnx.TensorProto) -> Fact:
    shape = tuple(tensor.dims)
    small = math.prod(shape) <= SMALL and not tensor.external_data
    return Fact(tensor.data_type, shape, True, numpy_helper.to_array(tensor) if small else None)


def _declared(kind: onnx.TypeProto) -> Shape | None:
    """The shape in a type, if it is a tensor's and every dimension is fixed."""
    if not kind.HasField("tensor_type") or not kind.tensor_type.HasField("shape"):
        return None
    dims = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in kind.tensor_type.shape.dim]
    return tuple(dims) if all(dim >= 0 for dim in dims) else None
