"""What each layer of a finished model file costs, whichever dialect it is written in.

A layer is an operator with what an engine fuses into it: the roundings at its inputs and output, and the activation
behind it. So Q/DQ are no layers, and a tensor between them is counted in the integers that are stored. Arithmetic on
shapes costs nothing: every engine computes it once, when it loads the file. The two attentions that a file holds as
functions are a layer each, as a kernel computes them: no score is written to memory. So is a layer norm, spelt out or
not.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import onnx

from dis2_boards.prediction.roofline import VIEWS
from dis2_edge.costs import Format, LayerCost
from dis2_edge.errors import CheckpointError
from dis2_quantize.reading.facts import Facts, gather
from dis2_quantize.reading.foreign import ATTENTIONS, OURS, Shape
from dis2_quantize.reading.moved import take_moved_as_integers
from dis2_quantize.reading.operations import WEIGHTS, is_weighted, operations
from dis2_quantize.reading.spelt import NORM, norm_of
from dis2_quantize.reading.wiring import Wiring, is_dequantize, is_quantize

ACTIVATIONS = frozenset(["Relu", "Clip", "LeakyRelu", "HardSwish", "Sigmoid", "Tanh"])
"""Operators that engines compute on the way out of the one before them."""
JOINTS = frozenset(("Add", "Sum"))
"""Operators that take an activation on the way out, as weighted ones do."""
INTEGER = frozenset(
    [
        "Conv",
        "ConvTranspose",
        "Gemm",
        "MatMul",
        "Add",
        "Mul",
        "Concat",
        "Resize",
        "MaxPool",
        "AveragePool",
        "GlobalAveragePool",
        "Relu",
        "Transpose",
        "Reshape",
        "Slice",
        "Split",
        "Squeeze",
        "Unsqueeze",
        "Flatten",
        "Pad",
        "Gather",
        "DepthToSpace",
        "SpaceToDepth",
        "Identity",
        "Expand",
        "Tile",
    ]
)
"""Operators that engines compute in integers where they stand between Q and DQ; the rest stays in floats."""
_BYTE_TYPES = (onnx.TensorProto.INT8, onnx.TensorProto.UINT8)


def layer_costs(model: onnx.ModelProto) -> tuple[LayerCost, ...]:
    """The layers of `model` in the order of computation; CheckpointError names a node whose shapes cannot be told."""
    facts = gather(model, [(OURS, name) for name in ATTENTIONS])
    if facts.gaps:
        node, reason = facts.gaps[0]
        found = f"node {node.name or node.op_type!r}: {reason}"
        raise CheckpointError(found, expected="fixed shapes and operators of ONNX or ONNX Runtime")
    wiring = Wiring(facts.model.graph)
    take_moved_as_integers(facts, wiring)
    layers = list(_layers(facts, wiring))
    costs = [_cost(layer, facts, wiring) for layer in layers]
    alive = _alive(layers, facts, wiring)
    return tuple(dataclasses.replace(cost, alive=held) for cost, held in zip(costs, alive, strict=True))


@dataclass
class _Layer:
    """Nodes that an engine computes as one: the operator first, then what is fused behind it."""

    nodes: list[onnx.NodeProto]

    @property
    def head(self) -> onnx.NodeProto:
        return self.nodes[0]


def _layers(facts: Facts, wiring: Wiring) -> Iterator[_Layer]:
    layer_of: dict[str, _Layer] = {}
    layers = []
    for node in wiring.nodes:
        if _is_free(node, facts, wiring):
            continue
        before = layer_of.get(node.input[0]) if node.input else None
        if before is not None and _fuses(node, before, wiring):
            before.nodes.append(node)
            layer = before
        else:
            layer = _Layer([node])
            layers.append(layer)
        layer_of |= dict.fromkeys(filter(None, node.output), layer)
    yield from layers


def _is_free(node: onnx.NodeProto, facts: Facts, wiring: Wiring) -> bool:
    """Whether `node` is computed before the first input comes, or by its readers on the way in."""
    if all(facts[name].fixed for name in node.output if name):
        return True
    return is_dequantize(node) and node.output[0] not in wiring.outputs


def _fuses(node: onnx.NodeProto, before: _Layer, wiring: Wiring) -> bool:
    """Whether `node` is computed on the way out of the layer `before`."""
    if is_quantize(node) or (norm_of(node) and norm_of(node) == norm_of(before.head)):
        return True
    alone = len(wiring.readers(node.input[0])) == 1 and node.input[0] not in wiring.outputs
    takes = is_weighted(before.head) or before.head.op_type in JOINTS
    return node.op_type in ACTIVATIONS and takes and alone and not is_quantize(before.nodes[-1])


def _cost(layer: _Layer, facts: Facts, wiring: Wiring) -> LayerCost:
    work = [node for node in layer.nodes if node is layer.head or not is_quantize(node)]
    return LayerCost(
        name=norm_of(layer.head) or layer.head.name or layer.head.output[0],
        kind=NORM if norm_of(layer.head) else layer.head.op_type,
        format=_format(layer, facts, wiring),
        operations=sum(operations(node, *_shapes(node, facts)) for node in work),
        bytes=sum(facts[name].bytes for name in _touched(layer, wiring)),
        weights=sum(facts[name].bytes for name in _touched(layer, wiring) if facts[name].fixed),
    )


def _alive(layers: Sequence[_Layer], facts: Facts, wiring: Wiring) -> list[int]:
    """Bytes of activations that are held while each of `layers` computes.

    An activation is held from the layer that makes it, an input from the start, to the last layer that reads it, an
    answer of the file to the end. What is the same bytes under another shape is held once.
    """
    home: dict[str, str] = {}
    spans: dict[str, tuple[int, int]] = {}
    for place, layer in enumerate(layers):
        if layer.head.op_type in VIEWS:
            home[layer.head.output[0]] = home.get(layer.head.input[0], layer.head.input[0])
        for name in (home.get(name, name) for name in _touched(layer, wiring) if not facts[name].fixed):
            start = place if wiring.maker(name) else 0
            spans[name] = (spans.get(name, (start, place))[0], place)
    answers = {home.get(name, name) for name in wiring.outputs}
    change = [0] * (len(layers) + 1)
    for name, (first, last) in spans.items():
        change[first] += facts[name].bytes
        change[len(layers) if name in answers else last + 1] -= facts[name].bytes
    return list(itertools.accumulate(change[:-1]))


def _shapes(node: onnx.NodeProto, facts: Facts) -> tuple[list[Shape | None], list[Shape]]:
    """The shapes of a node's inputs and outputs; those of an integer layer come through its roundings unchanged."""
    inputs = [facts[name].shape if name else None for name in node.input]
    return inputs, [facts[name].shape for name in node.output if name and name in facts]


def _touched(layer: _Layer, wiring: Wiring) -> set[str]:
    """Every tensor that the layer reads or writes, as it is stored."""
    made = {name for node in layer.nodes for name in node.output if name}
    read = {_stored(name, wiring) for node in layer.nodes for name in node.input if name and name not in made}
    inside = {id(node) for node in layer.nodes}
    kept = {name for name in made if name in wiring.outputs or any(id(r) not in inside for r in wiring.readers(name))}
    return read | kept


def _stored(name: str, wiring: Wiring) -> str:
    """The integers behind a dequantised tensor, else the tensor itself."""
    maker = wiring.dequantizer(name)
    return name if maker is None else maker.input[0]


def _format(layer: _Layer, facts: Facts, wiring: Wiring) -> Format:
    read = [_stored(name, wiring) for name in _changing(layer.head, facts)]
    types = {facts[name].dtype for name in (*read, *layer.head.output) if name}
    if _is_integer(layer, facts, wiring) or not types - set(_BYTE_TYPES) or _is_native(layer.head):
        return "int8"
    return "fp16" if onnx.TensorProto.FLOAT16 in types and onnx.TensorProto.FLOAT not in types else "fp32"


def _is_integer(layer: _Layer, facts: Facts, wiring: Wiring) -> bool:
    """Whether an engine computes `layer` in integers: its operands are dequantised, and its result is rounded again.

    In FP16, which only TensorRT's dialect has, and for matrix products the result may stay a float.
    """
    operands = layer.head.input[:2] if is_weighted(layer.head) else _changing(layer.head, facts)
    if layer.head.op_type not in INTEGER or not operands:
        return False
    if any(wiring.dequantizer(name) is None for name in operands):
        return False
    rounded = any(is_quantize(node) for node in layer.nodes)
    half = facts[layer.head.output[0]].dtype == onnx.TensorProto.FLOAT16
    return rounded or (is_weighted(layer.head) and (half or layer.head.op_type in ("MatMul", "Gemm")))


def _changing(node: onnx.NodeProto, facts: Facts) -> list[str]:
    return [name for name in node.input if name and not facts[name].fixed]


def _is_native(node: onnx.NodeProto) -> bool:
    """Whether `node` is an operator that takes integers itself, with scales among its inputs."""
    kind = node.op_type
    return kind.startswith("QLinear") or (kind in WEIGHTS and ("Integer" in kind or kind == "QGemm"))
