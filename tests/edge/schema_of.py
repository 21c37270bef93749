"""The JSON Schema of manifest.json, drawn from the dataclasses that read it; their own docstrings describe the keys.

After a change of the manifest: `python -m tests.edge.schema_of` writes dis2_edge/manifest.schema.json anew.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
import types
import typing
from pathlib import Path
from typing import Any

from dis2_edge import manifest
from dis2_edge.files import write_json
from dis2_edge.manifest import FORMAT, Manifest

FILE = Path(manifest.__file__).with_name("manifest.schema.json")
PATH = r"^[A-Za-z0-9_+-][A-Za-z0-9._+-]*(/[A-Za-z0-9_+-][A-Za-z0-9._+-]*){0,7}$"
PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean"}
NARROWER: dict[str, dict[str, Any]] = {
    "FileRow.sha256": {"pattern": "^[0-9a-f]{64}$"},
    "FileRow.bytes": {"minimum": 0},
    "Golden.file": {"pattern": PATH},
    "ModelRow.file": {"pattern": PATH},
    "ModelRow.golden_agreement": {"minimum": 0, "maximum": 1},
    "ModelRow.golden_error": {"minimum": 0, "maximum": 1},
    "Manifest.models": {"minItems": 1},
    "Manifest.files": {"propertyNames": {"pattern": PATH, "maxLength": 240}, "maxProperties": 4096},
    "Manifest.format": {"const": FORMAT},
    "Sensor.name": {"pattern": "^[a-z][a-z0-9_]*$"},
    "Sensor.channels": {"minimum": 1},
    "Task.sensors": {"minItems": 1},
    "Task.classes": {"minItems": 1},
    "Task.colours": {"items": {"type": "string", "pattern": "^#[0-9a-fA-F]{6}$"}},
}
"""What the dataclasses check beyond types, as far as a schema can say it."""


def schema() -> dict[str, Any]:
    """The whole schema: one definition a dataclass."""
    definitions: dict[str, Any] = {}
    whole = _object(Manifest, definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"manifest.json of a dis2-edge bundle, format {FORMAT}",
        **whole,
        "required": sorted({*whole["required"], "format"}),
        "$defs": definitions,
    }


def _object(cls: type, definitions: dict[str, Any]) -> dict[str, Any]:
    told, hints = _docstrings(cls), typing.get_type_hints(cls)
    fields = dataclasses.fields(cls)
    required = [f.name for f in fields if f.default is f.default_factory is dataclasses.MISSING]
    properties = {
        field.name: {
            "description": told[field.name],
            **_of(hints[field.name], definitions),
            **NARROWER.get(f"{cls.__name__}.{field.name}", {}),
        }
        for field in fields
    }
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _of(hint: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    origin, kinds = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return {"anyOf": [_of(kind, definitions) for kind in kinds if kind is not type(None)] + [{"type": "null"}]}
    if origin is typing.Literal:
        return {"enum": list(kinds)}
    if origin is tuple and kinds[-1] is Ellipsis:
        return {"type": "array", "items": _of(kinds[0], definitions)}
    if origin is tuple:
        return {"type": "array", "items": _of(kinds[0], definitions), "minItems": len(kinds), "maxItems": len(kinds)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _of(kinds[1], definitions)}
    if dataclasses.is_dataclass(hint):
        assert isinstance(hint, type)
        definitions[hint.__name__] = {}  # its place, so that one that holds itself would end
        definitions[hint.__name__] = _object(hint, definitions)
        return {"$ref": f"#/$defs/{hint.__name__}"}
    return {"type": PLAIN[hint]}


def _docstrings(cls: type) -> dict[str, str]:
    """The text below each field."""
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(body, ast.ClassDef)
    found, last = {}, ""
    for node in body.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            last = node.target.id
        elif last and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            found[last], last = " ".join(str(node.value.value).split()), ""
    return found


if __name__ == "__main__":
    write_json(FILE, schema())
