"""What TensorRT's bindings offer, as JSON: classes with methods and their signatures, properties, enums.

Run with the bindings on PYTHONPATH: `describe_tensorrt.py FILE`. Bound functions tell their parameters in the first
line of their docstring only, or in one line for each overload.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import tensorrt

_OPEN, _CLOSE = "([{<", ")]}>"


def main(target: Path) -> None:
    """Write the description to `target`."""
    members = {name: getattr(tensorrt, name) for name in dir(tensorrt) if not name.startswith("_")}
    table = {
        "version": tensorrt.__version__,
        "classes": {name: _class(found) for name, found in members.items() if isinstance(found, type)},
        "functions": {
            name: overloads(name, found.__doc__ or "")
            for name, found in members.items()
            if callable(found) and not isinstance(found, type)
        },
        "others": sorted(name for name, found in members.items() if not callable(found)),
    }
    target.write_text(json.dumps(table, indent=1, sort_keys=True))


def overloads(name: str, doc: str) -> list[list[list[Any]]]:
    """Each signature in `doc` as [parameter, whether it may be left out], without self."""
    found = re.findall(rf"^(?:\d+\. )?{re.escape(name)}\((.*)\) ->", doc, re.MULTILINE)
    return [[_parameter(text) for text in _split(inner) if not re.match(r"\s*self\s*:", text)] for inner in found]


def _class(found: type) -> dict[str, Any]:
    values = getattr(found, "__members__", None)
    table: dict[str, Any] = {"bases": [base.__name__ for base in found.__mro__[1:-1]]}
    if values is not None:
        return {**table, "enum": {name: int(value) for name, value in values.items()}}
    members = {name: getattr(found, name, None) for name in dir(found) if not name.startswith("_")}
    table["init"] = overloads("__init__", found.__init__.__doc__ or "")
    table["methods"] = {name: overloads(name, it.__doc__ or "") for name, it in members.items() if _is_method(it)}
    table["properties"] = {name: it.fset is not None for name, it in members.items() if isinstance(it, property)}
    table["nested"] = {name: _class(it) for name, it in members.items() if isinstance(it, type)}
    taken = {*table["methods"], *table["properties"], *table["nested"]}
    table["constants"] = sorted(name for name in members if name not in taken)
    return table


def _is_method(found: Any) -> bool:
    return callable(found) and not isinstance(found, type)


def _split(inner: str) -> list[str]:
    """Parameters between commas that stand in no brackets."""
    parts, depth, last = [], 0, 0
    for place, letter in enumerate(inner):
        depth += (letter in _OPEN) - (letter in _CLOSE and inner[place - 1 : place] != "-")
        if letter == "," and depth == 0:
            parts.append(inner[last:place])
            last = place + 1
    return [part for part in [*parts, inner[last:]] if part.strip()]


def _parameter(text: str) -> list[Any]:
    name = text.split(":")[0].split("=")[0].strip()
    return [name, "=" in re.sub(r"<[^<>]*>", "<>", text)]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
