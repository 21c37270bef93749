"""The two forms of a `trt` model file: `function`, as written, with bodies for our operators, and `plugin`, without.

TensorRT before 10.7 prefers a body to a plug-in of that name. So where plug-ins are to compute, the board takes
`ModelProto.functions` out of the bytes, and nothing else: no second file travels, and neither the onnx package nor
protobuf is needed. A message of protobuf is a row of fields, each a number, a kind and a value; only this row is read,
and those of the functions. What lies within the graph is left to the engine, which may read it by `fields` too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from dis2_edge.errors import EngineError

NUMBER, BYTES = 0, 2
"""Kinds of values that a model and its functions have: a varint, and bytes with their length before them."""
MODEL = {
    1: NUMBER,
    2: BYTES,
    3: BYTES,
    4: BYTES,
    5: NUMBER,
    6: BYTES,
    7: BYTES,
    8: BYTES,
    14: BYTES,
    20: BYTES,
    25: BYTES,
}
"""Fields of a ModelProto up to IR version 10, with their kinds."""
FUNCTION = {1: BYTES, 4: BYTES, 5: BYTES, 6: BYTES, 7: BYTES, 8: BYTES, 9: BYTES, 10: BYTES, 11: BYTES, 12: BYTES}
FUNCTION |= {13: BYTES, 14: BYTES}
"""Fields of a FunctionProto, likewise."""
_GRAPH, _OPSETS, _FUNCTIONS, _REPEATED = 7, 8, 25, (8, 14, 20, 25)
_NAME, _DOMAIN = 1, 10
_FIXED = {1: 8, 5: 4}
"""Bytes of the kinds that have no length of their own: numbers of 64 and 32 bits."""
_LONGEST, _LARGEST = 10, 2**64


class Field(NamedTuple):
    """One field of a message."""

    number: int
    """Which."""
    kind: int
    """How its value lies there."""
    start: int
    """Where it begins in the message, in bytes."""
    end: int
    """Where the next one begins."""
    value: memoryview
    """What it holds, not copied; of a varint nothing."""


def without_functions(model: bytes) -> bytes:
    """The bytes of `model` (an ONNX file) less its functions; EngineError where they are no whole model."""
    return b"".join(model[field.start : field.end] for field in _model(model) if field.number != _FUNCTIONS)


def functions_in(model: bytes) -> tuple[str, ...]:
    """The functions of `model` as `domain::name`, in the order of the file; EngineError as above."""
    return tuple(_named(field.value) for field in _model(model) if field.number == _FUNCTIONS)


def fields(message: memoryview, known: Mapping[int, int] | None = None) -> Iterator[Field]:
    """The fields of a message, which hold all of its bytes: only those `known`, by number and kind, or any.

    EngineError where the bytes are something else.
    """
    place = 0
    while place < len(message):
        start = place
        tag, place = _varint(message, place)
        number, kind = tag >> 3, tag & 7
        if (kind not in (NUMBER, BYTES, *_FIXED)) if known is None else (known.get(number) != kind):
            raise _refusal(f"field {number} of kind {kind} at byte {start}")
        size = _FIXED.get(kind, 0)
        if kind in (NUMBER, BYTES):
            size, place = _varint(message, place)
        end = place if kind == NUMBER else place + size
        if end > len(message):
            raise _refusal(f"it ends within field {number}, which begins at byte {start}")
        yield Field(number, kind, start, end, message[place:end])
        place = end


def _model(model: bytes) -> list[Field]:
    """The fields of a model, each once but for those that may repeat; functions are looked into."""
    row = list(fields(memoryview(model), MODEL))
    counts = Counter(field.number for field in row)
    absent = [number for number in (1, _GRAPH, _OPSETS) if not counts[number]]
    double = [number for number, count in counts.items() if count > 1 and number not in _REPEATED]
    if absent or double:
        raise _refusal(f"field {(absent or double)[0]} is {'absent' if absent else 'there twice'}")
    for field in row:
        if field.number == _FUNCTIONS:
            _named(field.value)
    return row


def _named(function: memoryview) -> str:
    """`domain::name` of a function."""
    texts = {field.number: bytes(field.value) for field in fields(function, FUNCTION)}
    if not texts.get(_NAME):
        raise _refusal("a function has no name")
    try:
        return f"{texts.get(_DOMAIN, b'').decode()}::{texts[_NAME].decode()}"
    except UnicodeDecodeError as error:
        raise _refusal("a function's name is no text") from error


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """The number at `place`, and the place behind it: seven bits a byte, the lowest first."""
    value = 0
    for index, byte in enumerate(message[place : place + _LONGEST]):
        value |= (byte & 127) << 7 * index
        if byte < 128 and value < _LARGEST:
            return value, place + index + 1
    raise _refusal(f"no whole number at byte {place}")


def _refusal(found: str) -> EngineError:
    mend = "check the bundle with: dis2-edge bundle verify"
    return EngineError(f"the model is damaged: {found}", expected="the bytes of one whole ONNX file", mend=mend)
