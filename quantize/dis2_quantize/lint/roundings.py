"""Rules of the `trt` dialect about Q and DQ: symmetric int8, where scales may differ, and what stays in floats."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx

from dis2_quantize.lint.finding import Fault
from dis2_quantize.lint.subject import Subject, label
from dis2_quantize.reading.foreign import attribute
from dis2_quantize.reading.wiring import is_dequantize, is_quantize

LEAST_CHANNELS = 16
"""Input channels below which an integer convolution is slower than one in FP16."""
FLOATS_ONLY = frozenset(
    (
        "Softmax",
        "LogSoftmax",
        "LayerNormalization",
        "InstanceNormalization",
        "GroupNormalization",
        "Gelu",
        "Erf",
        "Attention",
        "MultiHeadAttention",
    )
)
"""Operators that lose accuracy or time in integers."""
NO_INT8 = frozenset(("Where",))
"""Operators that only move numbers, but of whose TensorRT layer there is no INT8 form."""
CONVS = {"Conv": 0, "ConvTranspose": 1}
"""Convolutions, and the axis of their weights along which scales differ."""


def zero_point(subject: Subject) -> Iterator[Fault]:
    """Zero-points of Q and DQ, of weights too."""
    for node in _roundings(subject):
        if len(node.input) < 3 or not node.input[2]:
            continue
        fact = subject.fact(node.input[2])
        if fact is None or fact.value is None:
            yield Fault(label(node), "a zero-point that is not known when the file is read")
        elif np.any(fact.value):
            yield Fault(label(node), f"zero-point {np.asarray(fact.value).reshape(-1)[np.argmax(fact.value != 0)]}")


def symmetric_int8(subject: Subject) -> Iterator[Fault]:
    """Integer types of Q and DQ."""
    for node in _roundings(subject):
        fact = subject.fact(node.output[0] if is_quantize(node) else node.input[0])
        if fact is not None and fact.dtype != onnx.TensorProto.INT8:
            kind = onnx.helper.tensor_dtype_to_string(fact.dtype).rpartition(".")[2].lower()
            yield Fault(label(node), f"{node.op_type} of {kind}")


def weight_axis(subject: Subject) -> Iterator[Fault]:
    """The axis of a convolution's weight scales."""
    for conv, weight, scales in _weights(subject):
        wanted = CONVS[conv.op_type]
        shape = subject.facts[weight.input[0]].shape
        axis = int(attribute(weight, "axis", 1))
        axis += len(shape) * (axis < 0)
        if scales > 1 and (axis != wanted or scales != shape[wanted]):
            yield Fault(label(weight), f"{scales} scales along axis {axis} of the weights of {label(conv)}")


def weight_granularity(subject: Subject) -> Iterator[Fault]:
    """How many scales a convolution's weights have."""
    for conv, weight, scales in _weights(subject):
        if scales == 1 < subject.facts[weight.input[0]].shape[CONVS[conv.op_type]]:
            yield Fault(label(weight), f"one scale for all weights of {label(conv)}")


def activation_scale(subject: Subject) -> Iterator[Fault]:
    """How many scales an activation has."""
    for node in _roundings(subject):
        scale = subject.fact(node.input[1])
        if not subject.is_fixed(node.input[0]) and scale is not None and scale.size != 1:
            yield Fault(label(node), f"{scale.size} scales for an activation")


def concat_scale(subject: Subject) -> Iterator[Fault]:
    """Scales of what is concatenated."""
    for node in subject.wiring.nodes:
        if node.op_type != "Concat":
            continue
        makers = [subject.wiring.dequantizer(name) for name in subject.changing(node)]
        scales = {_scale(subject, maker) for maker in makers if maker is not None}
        rounded = bool(subject.wiring.quantizers(node.output[0]))
        if len(scales) > 1:
            yield Fault(label(node), f"inputs with the scales {', '.join(sorted(scales))}")
        elif scales and rounded and None in makers:
            yield Fault(label(node), "an input in floats beside an integer one, and a rounded output")


def residual(subject: Subject) -> Iterator[Fault]:
    """What is added to the answer of an integer convolution."""
    for node in subject.wiring.nodes:
        names = subject.changing(node)
        if node.op_type != "Add" or len(names) != 2:
            continue
        convs = [_is_integer_conv(subject, subject.wiring.maker(name)) for name in names]
        rounded = [subject.wiring.dequantizer(name) is not None for name in names]
        if any(convs) and not all(conv or q for conv, q in zip(convs, rounded, strict=True)):
            float_one = names[0] if convs[1] else names[1]
            yield Fault(label(node), f"{float_one} is in floats")


def floats_only(subject: Subject) -> Iterator[Fault]:
    """Roundings around softmax, norms, GELU and attention."""
    for node in subject.wiring.nodes:
        if node.op_type not in FLOATS_ONLY:
            continue
        rounded = any(subject.wiring.quantizers(name) for name in node.output)
        read = any(subject.wiring.dequantizer(name) is not None for name in subject.changing(node))
        if rounded and (read or "Softmax" in node.op_type):
            yield Fault(label(node), f"{node.op_type} between roundings" if read else f"{node.op_type} is rounded")


def no_int8(subject: Subject) -> Iterator[Fault]:
    """Roundings around what TensorRT moves in floats alone."""
    for node in subject.wiring.nodes:
        read = [subject.wiring.dequantizer(name) is not None for name in subject.changing(node)]
        if node.op_type in NO_INT8 and any(read) and subject.wiring.quantizers(node.output[0]):
            yield Fault(label(node), f"{node.op_type} between roundings")


def lone_quantize(subject: Subject) -> Iterator[Fault]:
    """Who reads what a QuantizeLinear makes."""
    for node in subject.wiring.nodes:
        if not is_quantize(node) or subject.is_fixed(node.output[0]):
            continue
        others = [reader for reader in subject.wiring.readers(node.output[0]) if not is_dequantize(reader)]
        if others:
            yield Fault(label(node), f"read by {others[0].op_type} {label(others[0])}")
        elif not subject.wiring.readers(node.output[0]):
            yield Fault(label(node), "read by no DequantizeLinear")


def few_channels(subject: Subject) -> Iterator[Fault]:
    """Input channels of integer convolutions."""
    for node in subject.wiring.nodes:
        fact = subject.fact(node.input[0]) if node.op_type in CONVS else None
        channels = fact.shape[1] if fact is not None and len(fact.shape) > 1 else LEAST_CHANNELS
        if channels < LEAST_CHANNELS and _is_integer_conv(subject, node):
            yield Fault(label(node), f"{node.op_type} in INT8 over {channels} input channels")


def _roundings(subject: Subject) -> Iterator[onnx.NodeProto]:
    return (node for node in subject.wiring.nodes if is_quantize(node) or is_dequantize(node))


def _weights(subject: Subject) -> Iterator[tuple[onnx.NodeProto, onnx.NodeProto, int]]:
    """Each convolution with rounded weights, their DequantizeLinear and how many scales it has."""
    for conv in subject.wiring.nodes:
        weight = subject.wiring.dequantizer(conv.input[1]) if conv.op_type in CONVS else None
        values, scales = (None, None) if weight is None else map(subject.fact, weight.input[:2])
        if weight is not None and values is not None and scales is not None and len(values.shape) > 1:
            yield conv, weight, scales.size


def _scale(subject: Subject, node: onnx.NodeProto) -> str:
    fact = subject.fact(node.input[1])
    value = None if fact is None or fact.value is None else fact.value.reshape(-1)
    return f"{value[0]:.6g}" if value is not None and len(value) == 1 else node.input[1]


def _is_integer_conv(subject: Subject, node: onnx.NodeProto | None) -> bool:
    if node is None or node.op_type not in CONVS:
        return False
    return all(subject.wiring.dequantizer(name) is not None for name in node.input[:2])
