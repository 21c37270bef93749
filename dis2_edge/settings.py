"""Turn tables of a TOML or JSON file into frozen dataclasses; an unknown key names its nearest neighbour."""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from dis2_edge.errors import RecipeError, UserError

T = TypeVar("T")


def from_table(
    cls: type[T], table: Mapping[str, Any], *, where: str, error: type[UserError] = RecipeError, **fixed: Any
) -> T:
    """Build the dataclass `cls` from `table`; `where` names the file and section in messages.

    `fixed` gives fields that do not stand in the table. Lists become tuples. Raises `error` on an unknown key (with
    the nearest known one), a missing one, or a value of the wrong type.
    """
    if not isinstance(table, Mapping):
        raise error(f"{where} is {type(table).__name__}", expected="a table of keys")
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}  # type: ignore[arg-type]
    hints = typing.get_type_hints(cls)
    for key in table:
        if key not in fields or key in fixed:
            raise error(f"{where}: unknown key {key!r}", mend=nearest(key, set(fields) - set(fixed)))
    values = {key: coerce(value, hints[key], f"{where}: {key}", error) for key, value in table.items()}
    missing = [
        name
        for name, field in fields.items()
        if field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
        and name not in values
        and name not in fixed
    ]
    if missing:
        raise error(f"{where}: missing {', '.join(missing)}", mend="add it to the file")
    return cls(**values, **fixed)


def nearest(word: str, known: typing.Iterable[str]) -> str:
    """A mend for an unknown `word`: the nearest known one, or the list of all."""
    known = sorted(known)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"


def coerce(value: Any, hint: Any, where: str, error: type[UserError] = RecipeError) -> Any:
    """Check `value` against the annotation `hint`; a list becomes a tuple, an integer may stand for a float."""
    origin = typing.get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        options = typing.get_args(hint)
        if value is None and type(None) in options:
            return None
        return coerce(value, next(option for option in options if option is not type(None)), where, error)
    if origin is typing.Literal:
        if value not in typing.get_args(hint):
            raise error(f"{where} is {value!r}", expected=" or ".join(map(repr, typing.get_args(hint))))
        return value
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise error(f"{where} is {value!r}", expected="a list")
        kinds = typing.get_args(hint)
        if len(kinds) == 2 and kinds[1] is Ellipsis:
            return tuple(coerce(item, kinds[0], where, error) for item in value)
        if len(kinds) != len(value):
            raise error(f"{where} has {len(value)} values", expected=f"{len(kinds)}")
        return tuple(coerce(item, kind, where, error) for item, kind in zip(value, kinds, strict=True))
    if origin is dict:
        if not isinstance(value, Mapping):
            raise error(f"{where} is {value!r}", expected="a table")
        kind = typing.get_args(hint)[1]
        return {str(key): coerce(item, kind, f"{where}.{key}", error) for key, item in value.items()}
    if dataclasses.is_dataclass(hint):
        return value if isinstance(value, hint) else from_table(hint, value, where=where, error=error)  # type: ignore[arg-type]
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if hint is Any or (isinstance(value, hint) and not (isinstance(value, bool) and hint is not bool)):
        return value
    raise error(f"{where} is {value!r}", expected=f"a value of type {hint.__name__}")
