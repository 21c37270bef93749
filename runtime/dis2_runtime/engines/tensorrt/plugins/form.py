"""The form `plugin` of a model file, made on the board without the onnx package: bodies out, namespaces in.

Up to 10.9 the parser looks for a plug-in by the node's attribute `plugin_namespace` alone, later also by the node's
domain: so the attribute is added here, to the nodes of our domain. The file in the bundle says nothing of TensorRT.
"""

from __future__ import annotations

from collections.abc import Callable

from dis2_runtime.engines.model_form import BYTES, NUMBER, fields, functions_in, without_functions
from dis2_runtime.engines.tensorrt.plugins.operators import DOMAIN

__all__ = ["own_operators", "plugin_form"]

# Numbers of the fields of ONNX's messages.
_GRAPH = 7
_NODE = 1
_ATTRIBUTE, _DOMAIN = 5, 7
_ATTRIBUTE_NAME, _ATTRIBUTE_STRING, _ATTRIBUTE_TYPE = 1, 4, 20
_STRING = 3


def plugin_form(model: bytes) -> bytes:
    """`model` (a serialised ModelProto) with no functions, its nodes of our domain marked for our plug-ins."""
    bare = memoryview(without_functions(model))
    return _rebuilt(bare, _GRAPH, lambda graph: _rebuilt(graph, _NODE, _marked))


def own_operators(model: bytes) -> frozenset[str]:
    """The operators of our domain that `model` has bodies for."""
    named = (name.split("::", 1) for name in functions_in(model))
    return frozenset(name for domain, name in named if domain == DOMAIN)


def _marked(node: memoryview) -> bytes | memoryview:
    if _text(node, _DOMAIN) != DOMAIN:
        return node
    name, value = _field(_ATTRIBUTE_NAME, b"plugin_namespace"), _field(_ATTRIBUTE_STRING, DOMAIN.encode())
    kind = _varint(_ATTRIBUTE_TYPE << 3 | NUMBER) + _varint(_STRING)
    return bytes(node) + _field(_ATTRIBUTE, name + value + kind)


def _rebuilt(message: memoryview, number: int, change: Callable[[memoryview], bytes | memoryview]) -> bytes:
    """`message` with every field `number` changed."""
    return b"".join(
        _field(number, change(one.value)) if (one.number, one.kind) == (number, BYTES) else message[one.start : one.end]
        for one in fields(message)
    )


def _text(message: memoryview, number: int) -> str:
    return next((str(one.value, "utf-8", "replace") for one in fields(message) if one.number == number), "")


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _field(number: int, value: bytes | memoryview) -> bytes:
    return b"".join((_varint(number << 3 | BYTES), _varint(len(value)), value))
