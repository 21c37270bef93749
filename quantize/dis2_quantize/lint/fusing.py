"""Rules of the `ort` dialect: ONNX Runtime loads the file, and its integer chains are whole after fusing."""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from dis2_quantize.lint.finding import Fault
from dis2_quantize.lint.subject import Fused, Subject, label
from dis2_quantize.reading.wiring import Wiring, is_dequantize, is_quantize

CONVS = frozenset(("Conv", "FusedConv", "NhwcFusedConv", "ConvTranspose"))
"""Convolutions in floats, as ONNX Runtime calls them before and after fusing."""
INTEGER = frozenset(
    (
        "Add",
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
        "Gather",
        "Pad",
    )
)
"""Operators that need not leave the integers between two integer convolutions."""


def loads(subject: Subject) -> Iterator[Fault]:
    """Whether ONNX Runtime takes the file."""
    if subject.fused.wiring is None:
        yield Fault("", subject.fused.refusal[:200])


def fuses(subject: Subject) -> Iterator[Fault]:
    """Convolutions that stand between roundings after ONNX Runtime's extended fusing."""
    yield from _left(subject.fused, CONVS)


def floats_between(subject: Subject) -> Iterator[Fault]:
    """Other single operators that stand between roundings after fusing."""
    yield from _left(subject.fused, INTEGER)


def rounded_for_nothing(subject: Subject) -> Iterator[Fault]:
    """Convolutions whose operands are rounded and whose answer is not."""
    for node in subject.wiring.nodes:
        if node.op_type not in CONVS or not all(subject.wiring.dequantizer(name) for name in node.input[:2]):
            continue
        if not _is_rounded(node, subject.wiring):
            yield Fault(label(node), f"{node.op_type} of rounded operands, but its answer is not rounded")


def _left(fused: Fused, kinds: frozenset[str]) -> Iterator[Fault]:
    if fused.wiring is None:
        return
    for node in fused.wiring.nodes:
        if node.op_type not in kinds:
            continue
        changing = [name for name in node.input if name and name not in fused.fixed]
        weightless = changing[:1] if node.op_type in CONVS else changing
        read = [fused.wiring.dequantizer(name) is not None for name in weightless]
        if read and all(read) and _is_rounded(node, fused.wiring):
            yield Fault(label(node), f"{node.op_type} stays in floats between two roundings")


def _is_rounded(node: onnx.NodeProto, wiring: Wiring) -> bool:
    """Whether all that `node` makes is rounded, directly or behind an activation."""
    readers = [reader for name in node.output for reader in wiring.readers(name) if not is_dequantize(reader)]
    if len(readers) == 1 and readers[0].op_type in ("Relu", "Clip", "LeakyRelu"):
        return _is_rounded(readers[0], wiring)
    return bool(readers) and all(map(is_quantize, readers))
