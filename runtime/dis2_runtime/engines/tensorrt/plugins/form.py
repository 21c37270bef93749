"""The form `plugin` of a model file, made on the board without the onnx package: bodies out, namespaces in.

Up to 10.9 the parser looks for a plug-in by the node's attribute `plugin_namespace` alone, later also by the node's
domain: so the attribute is added here, to the nodes of our domain. The file in the bundle says nothing of TensorRT.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from dis2_edge.errors import EngineError
from dis2_runtime.engines.model_form import functions_in, without_functions
from dis2_runtime.engines.tensorrt.plugins.operators import DOMAIN

__all__ = ["own_operators", "plugin_form"]

# Numbers of the fields of ONNX's messages.
_GRAPH = 7
_NODE = 1
_ATTRIBUTE, _DOMAIN = 5, 7
_ATTRIBUTE_NAME, _ATTRIBUTE_STRING, _ATTRIBUTE_TYPE = 1, 4, 20
_STRING = 3
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

Field = tuple[int, bytes, bytes]
"""Number of a field, the bytes of it whole, and, where it is bytes, what it holds."""


def plugin_form(model: bytes) -> bytes:
    """`model` (a serialised ModelProto) with no functions, its nodes of our domain marked for our plug-ins."""
    return _rebuilt(without_functions(model), _GRAPH, lambda graph: _rebuilt(graph, _NODE, _marked))


def own_operators(model: bytes) -> frozenset[str]:
    """The operators of our domain that `model` has bodies for."""
    named = (name.split("::", 1) for name in functions_in(model))
    return frozenset(name for domain, name in named if domain == DOMAIN)


def _marked(node: bytes) -> bytes:
    if _text(node, _DOMAIN) != DOMAIN:
        return node
    name, value = _field(_ATTRIBUTE_NAME, b"plugin_namespace"), _field(_ATTRIBUTE_STRING, DOMAIN.encode())
    kind = _varint(_ATTRIBUTE_TYPE << 3 | _VARINT) + _varint(_STRING)
    return node + _field(_ATTRIBUTE, name + value + kind)


def _rebuilt(message: bytes, number: int, change: Callable[[bytes], bytes]) -> bytes:
    """`message` with every field `number` changed."""
    parts = (_field(number, change(held)) if found == number else whole for found, whole, held in _fields(message))
    return b"".join(parts)


def _text(message: bytes, number: int) -> str:
    return next((held.decode("utf-8", "replace") for found, _, held in _fields(message) if found == number), "")


def _fields(message: bytes) -> Iterator[Field]:
    """The fields of a protobuf message in order; EngineError where it is none."""
    place = 0
    while place < len(message):
        start = place
        tag, place = _read(message, place)
        kind, size = tag & 7, 0
        if kind == _VARINT:
            _, place = _read(message, place)
        elif kind == _BYTES:
            size, place = _read(message, place)
        elif kind in (_FIXED32, _FIXED64):
            size = 4 if kind == _FIXED32 else 8
        else:
            raise EngineError("the model is no ONNX file", mend="check the bundle with: dis2-edge bundle verify")
        if place + size > len(message):
            raise EngineError("the model ends too early", mend="check the bundle with: dis2-edge bundle verify")
        held = message[place : place + size]
        place += size
        yield tag >> 3, message[start:place], held if kind == _BYTES else b""


def _read(message: bytes, place: int) -> tuple[int, int]:
    """A varint and the place behind it."""
    value = shift = 0
    while place < len(message) and shift < 64:
        byte = message[place]
        value, place, shift = value | (byte & 127) << shift, place + 1, shift + 7
        if byte < 128:
            return value, place
    raise EngineError("the model ends too early", mend="check the bundle with: dis2-edge bundle verify")


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _field(number: int, held: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(held)) + held
