"""What the keys of a request may hold: small checks, each of which returns the value or raises ValueError."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dis2_boards.agent.fault import RefusedError

Check = Callable[[Any], Any]
_NONE_GIVEN = object()


@dataclass(frozen=True)
class Key:
    """One key of a request."""

    check: Check
    """Returns the value, or raises ValueError with what was expected."""
    default: Any = _NONE_GIVEN
    """What stands in for it; without one the key must be given."""


def checked(verb: str, keys: dict[str, Key], ask: dict[str, Any]) -> dict[str, Any]:
    """The values of a request, by key; RefusedError names the first that does not fit."""
    for name in sorted(set(ask) - set(keys) - {"ask"}):
        raise RefusedError(f"{verb} knows no {name[:80]!r}", expected=", ".join(keys) or "no key")
    values = {}
    for name, key in keys.items():
        if name not in ask:
            if key.default is _NONE_GIVEN:
                raise RefusedError(f"{verb} lacks {name!r}")
            values[name] = key.default
            continue
        try:
            values[name] = key.check(ask[name])
        except ValueError as error:
            raise RefusedError(f"{verb}: {name} is {str(ask[name])[:80]!r}", expected=str(error)) from error
    return values


def text(pattern: str = r"[^\x00-\x1f]*", limit: int = 1000) -> Check:
    """A string that fits `pattern` whole."""
    form = re.compile(pattern)

    def check(value: Any) -> str:
        if not isinstance(value, str) or len(value) > limit or not form.fullmatch(value):
            raise ValueError(f"text of the form {pattern}, at most {limit} letters")
        return value

    return check


def whole(low: int, high: int) -> Check:
    """A whole number from `low` to `high`."""

    def check(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return value

    return check


def number(low: float, high: float) -> Check:
    """A finite number from `low` to `high`."""

    def check(value: Any) -> float:
        fits = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not fits or not math.isfinite(value) or not low <= value <= high:
            raise ValueError(f"a number from {low:g} to {high:g}")
        return float(value)

    return check


def truth(value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def maybe(check: Check) -> Check:
    """What `check` takes, or null."""
    return lambda value: None if value is None else check(value)


def listed(check: Check, limit: int = 20_000) -> Check:
    """A list of what `check` takes."""

    def all_of(value: Any) -> list[Any]:
        if not isinstance(value, list) or len(value) > limit:
            raise ValueError(f"a list of at most {limit}")
        return [check(one) for one in value]

    return all_of


def row(*checks: Check) -> Check:
    """A list of as many values as there are checks, each as its check takes it."""

    def each(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list) or len(value) != len(checks):
            raise ValueError(f"a list of {len(checks)}")
        return tuple(check(one) for check, one in zip(checks, value, strict=True))

    return each


def table(name: Check, check: Check, limit: int = 20_000) -> Check:
    """A table whose names and values are as the checks take them."""

    def all_of(value: Any) -> dict[Any, Any]:
        if not isinstance(value, dict) or len(value) > limit:
            raise ValueError(f"a table of at most {limit}")
        return {name(key): check(one) for key, one in value.items()}

    return all_of


IDENTITY = text(r"[0-9a-f]{12}", 12)
HASH = text(r"[0-9a-f]{64}", 64)
SIZE = whole(0, 1 << 40)
