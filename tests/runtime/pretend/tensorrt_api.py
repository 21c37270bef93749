"""What one version of TensorRT's bindings offers, and a guard: what it does not offer, a fake neither has nor takes.

Names, signatures and enums come from the real bindings, by way of api.json.
"""

from __future__ import annotations

import enum
import functools
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.runtime.pretend.make_tensorrt import API, MEND, VERSIONS, is_made, place

ALL = tuple(VERSIONS)


class Api:
    """The table of one version."""

    def __init__(self, version: str) -> None:
        if not is_made(version):
            pytest.skip(MEND)
        self.table = json.loads((place(version) / API).read_text())
        self.version = version

    @property
    def classes(self) -> dict[str, Any]:
        found: dict[str, Any] = self.table["classes"]
        return found

    def enum(self, *path: str) -> type[enum.Enum]:
        """An enum as pybind makes them: members that turn into ints, and compare with their like only."""
        table = self.classes[path[0]]
        for name in path[1:]:
            table = table["nested"][name]
        return _Number(path[-1], table["enum"])  # type: ignore[return-value]

    def guarded(self, fake: type, name: str) -> type:
        """`fake`, every method of which checks its arguments against the real ones; what the real has not is taken out.

        A public attribute that no version's class has is a fault of the fake itself.
        """
        table = self.classes[name]
        members: dict[str, Any] = {}
        for attribute in (each for each in dir(fake) if not each.startswith("_")):
            if attribute in table["methods"]:
                members[attribute] = checked(getattr(fake, attribute), table["methods"][attribute])
            elif attribute not in table["properties"]:
                members[attribute] = _Absent(f"TensorRT {self.version} has no {name}.{attribute}")
        settable = {each for each, writable in table["properties"].items() if writable}
        members["__setattr__"] = _setter(name, settable)
        if table["init"]:  # without one, only TensorRT itself makes such objects
            members["__init__"] = checked(fake.__init__, table["init"])  # type: ignore[misc]
        return type(name, (fake,), members)

    def base(self, name: str, *bases: type) -> type:
        """A class to derive from, as a plug-in or a logger does: overrides must exist, and take what is handed over."""
        table = self.classes[name]

        def started(self: Any, *rest: Any) -> None:
            self.__dict__.setdefault("_started", set()).add(name)

        def derived(cls: type, **_: Any) -> None:
            for attribute, found in vars(cls).items():
                methods = _overrides(cls, self)
                if callable(found) and not attribute.startswith("_") and attribute not in methods:
                    raise TypeError(f"TensorRT {self.version} never calls {cls.__name__}.{attribute}")
                if attribute in table["methods"]:
                    _takes(found, table["methods"][attribute], f"{cls.__name__}.{attribute}")

        made = type(name, bases, {"__init__": started, "__init_subclass__": classmethod(derived)})
        return made


def checked(function: Callable[..., Any], overloads: list[list[list[Any]]]) -> Callable[..., Any]:
    """`function`, which refuses arguments that fit no overload: pybind says TypeError."""

    @functools.wraps(function)
    def call(self: Any, *args: Any, **named: Any) -> Any:
        if not any(fits(overload, args, named) for overload in overloads):
            raise TypeError(f"{function.__qualname__}: incompatible function arguments {args} {sorted(named)}")
        return function(self, *args, **named)

    return call


def fits(overload: list[list[Any]], args: tuple[Any, ...], named: dict[str, Any]) -> bool:
    """Whether a call can be bound to a signature."""
    names = [name for name, _ in overload]
    if len(args) > len(names) or not set(named) <= set(names[len(args) :]):
        return False
    given = {*names[: len(args)], *named}
    return all(optional or name in given for name, optional in overload)


def _setter(name: str, settable: set[str]) -> Callable[[Any, str, Any], None]:
    def set_checked(self: Any, attribute: str, value: Any) -> None:
        if not attribute.startswith("_") and attribute not in settable:
            raise AttributeError(f"{name}.{attribute} cannot be set")
        object.__setattr__(self, attribute, value)

    return set_checked


def _overrides(cls: type, api: Api) -> set[str]:
    """Every method of TensorRT's bases of `cls`."""
    known: set[str] = set()
    for base in cls.__mro__[1:]:
        known |= set(api.classes.get(base.__name__, {}).get("methods", ()))
        known |= set(api.classes.get(base.__name__, {}).get("properties", ()))
    return known


def _takes(function: Callable[..., Any], overloads: list[list[list[Any]]], name: str) -> None:
    """TypeError where an override cannot be called with what TensorRT hands over, by position."""
    code = function.__code__  # type: ignore[attr-defined]
    counts = {len(overload) for overload in overloads}
    if code.co_argcount - 1 not in counts:
        raise TypeError(f"{name} takes {code.co_argcount - 1} arguments; TensorRT gives {sorted(counts)}")


class _Absent:
    """An attribute that is not there in this version."""

    def __init__(self, message: str) -> None:
        self._message = message

    def __get__(self, instance: Any, owner: type) -> Any:
        raise AttributeError(self._message)


class _Number(enum.Enum):
    def __int__(self) -> int:
        return int(self.value)

    __index__ = __int__
