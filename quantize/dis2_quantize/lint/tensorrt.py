"""Rules of the `trt` dialect about operators and types: what the parser takes, and what strong typing demands."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import onnx

from dis2_edge.errors import BoardError
from dis2_edge.files import read_toml
from dis2_quantize.lint.finding import Fault
from dis2_quantize.lint.subject import Subject, label
from dis2_quantize.reading.facts import OWN

_TAKEN = {
    "frame": {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.UINT8},
    "tensor": {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16},
}
"""Input types by io: TensorRT knows uint8 at the door only, and no other unsigned integer."""
_ANY_INTEGER = frozenset(("Cast", "Shape", "Gather", "Identity", "Reshape", "Squeeze", "Unsqueeze", "Slice"))
"""Operators whose int64 inputs are no surprise: they move indices, or end them."""


def operator(subject: Subject) -> Iterator[Fault]:
    """Operators of ONNX's own domain, functions written out."""
    known = [(row, known_to(row.tensorrt)) for row in subject.board.software]
    for node in subject.wiring.nodes:
        lacking = [f"{row.tensorrt} ({row.name})" for row, names in known if node.op_type not in names]
        if node.domain in OWN and lacking:
            yield Fault(label(node), f"{node.op_type} is unknown to TensorRT {' and '.join(lacking)}")


def known_to(version: str) -> frozenset[str]:
    """The operators that the parser of a TensorRT version takes; BoardError for one older than the table."""
    table = {_number(since): names for since, names in _table().items()}
    if _number(version) < min(table):
        oldest = ".".join(map(str, min(table)))
        raise BoardError(f"no table of operators for TensorRT {version}", expected=f"{oldest} or newer")
    return frozenset(name for since, names in table.items() if since <= _number(version) for name in names)


def mixed_types(subject: Subject) -> Iterator[Fault]:
    """Real types that meet in one operator."""
    for node in subject.wiring.nodes:
        met = subject.real_types(node)
        if len(met) > 1:
            yield Fault(label(node), f"{node.op_type} of {' and '.join(met)}")


def double(subject: Subject) -> Iterator[Fault]:
    """Tensors of 64-bit reals."""
    for name, fact in subject.facts.tensors.items():
        if fact.dtype == onnx.TensorProto.DOUBLE:
            maker = subject.wiring.maker(name)
            yield Fault(label(maker) if maker is not None else name, "makes a double" if maker else "is a double")


def int64(subject: Subject) -> Iterator[Fault]:
    """Arithmetic on 64-bit integers that depends on the input."""
    for node in subject.wiring.nodes:
        facts = [subject.fact(name) for name in subject.changing(node)]
        if node.op_type not in _ANY_INTEGER and any(f and f.dtype == onnx.TensorProto.INT64 for f in facts):
            yield Fault(label(node), f"{node.op_type} of int64")


def input_types(subject: Subject) -> Iterator[Fault]:
    """Types at the door."""
    taken = _TAKEN[subject.board.io]
    for value in subject.inputs:
        kind = value.type.tensor_type.elem_type
        if kind not in taken:
            yield Fault(value.name, f"input of type {_named(kind)} in a file of io {subject.board.io}")


def _named(kind: int) -> str:
    names = onnx.TensorProto.DataType.items()
    return next((name.lower() for name, number in names if number == kind), str(kind))


@cache
def _table() -> dict[str, list[str]]:
    return read_toml(Path(__file__).parent / "operators.toml", BoardError)


def _number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))
