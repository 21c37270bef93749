"""What only moves numbers between a DequantizeLinear and a QuantizeLinear: an engine moves the integers instead."""

from __future__ import annotations

import dataclasses

import onnx

from dis2_quantize.reading.facts import Facts
from dis2_quantize.reading.operations import MOVES
from dis2_quantize.reading.wiring import Wiring, is_quantize

_CHANGES_TYPE = frozenset(("Cast", "CastLike"))


def take_moved_as_integers(facts: Facts, wiring: Wiring) -> None:
    """Give int8 as the type of every tensor between two roundings that is made by moving alone.

    A run of operators that move numbers commutes with rounding to one scale, so that engines round before it.
    """
    moved: dict[str, onnx.NodeProto] = {}
    for node in wiring.nodes:
        changing = [name for name in node.input if name and not facts[name].fixed]
        held = all(name in moved or wiring.dequantizer(name) is not None for name in changing)
        if changing and held and node.op_type in MOVES - _CHANGES_TYPE:
            moved[node.output[0]] = node
    for name in reversed(list(moved)):
        readers = wiring.readers(name)
        if not readers or not all(is_quantize(reader) or reader.output[0] in moved for reader in readers):
            del moved[name]
    for name in moved:
        facts.tensors[name] = dataclasses.replace(facts[name], dtype=onnx.TensorProto.INT8)
