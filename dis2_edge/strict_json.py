"""JSON from outside, read strictly: no key twice, no NaN, no endless number, no text that hides what it says."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator
from typing import Any

_LONGEST_NUMBER = 40
_HIDING = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
"""Unicode's control, format (direction marks, zero widths), surrogate and private characters, and line ends."""


def parse(text: bytes) -> Any:
    """The value of UTF-8 JSON `text`; a ValueError, or a RecursionError, says why there is none."""
    value = json.loads(
        text.decode("utf-8"),
        object_pairs_hook=_once,
        parse_constant=_no_constant,
        parse_int=lambda digits: int(_bounded(digits)),
        parse_float=lambda digits: float(_bounded(digits)),
    )
    for said in _texts(value):
        check_plain(said)
    return value


def check_plain(text: str) -> str:
    """`text` itself if every character of it is one to be seen; else a ValueError that names the first that is not."""
    for character in text:
        if unicodedata.category(character) in _HIDING:
            name = unicodedata.name(character, "a control character")
            raise ValueError(f"hidden text in {text[:60]!a}: {name}, U+{ord(character):04X}")
    return text


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} stands twice")
    return table


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _bounded(digits: str) -> str:
    if len(digits) > _LONGEST_NUMBER:
        raise ValueError(f"a number of {len(digits)} digits")
    return digits


def _texts(value: Any) -> Iterator[str]:
    """Every string of a JSON value, keys among them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
