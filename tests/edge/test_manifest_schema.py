"""manifest.schema.json says what the reader takes: drawn from the same dataclasses, and tried on every key there is."""

from __future__ import annotations

import copy
import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from dis2_edge.errors import BundleError
from dis2_edge.manifest import FORMAT, parse


def load(name: str) -> Any:
    """A module beside this file, which pytest's import mode does not put on the path."""
    spec = importlib.util.spec_from_file_location(f"edge_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


schemas, samples = load("schema_of"), load("test_bundle")
Path_ = tuple[Any, ...]


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = json.loads(schemas.FILE.read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A manifest as it lies in a sealed bundle."""
    made = samples.fill(tmp_path_factory.mktemp("bundle"))
    found = json.loads((made.path / "manifest.json").read_text("utf-8"))
    assert isinstance(found, dict)
    return found


def reads(table: Any) -> bool:
    """Whether the reader takes it."""
    try:
        parse(json.dumps(table).encode())
    except BundleError:
        return False
    return True


def places(value: Any, at: Path_ = ()) -> Iterator[Path_]:
    """The path of every value of a table."""
    if at:
        yield at
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in inner:
        yield from places(below, (*at, key))


def changed(table: Any, at: Path_, value: Any) -> Any:
    """A copy with `value` at a path; without it where `value` is an Ellipsis."""
    made = copy.deepcopy(table)
    room = made
    for key in at[:-1]:
        room = room[key]
    if value is ...:
        del room[at[-1]]
    else:
        room[at[-1]] = value
    return made


def test_the_file_is_drawn_from_the_dataclasses() -> None:
    found = json.loads(schemas.FILE.read_text("utf-8"))
    assert found == schemas.schema(), "write it anew: python -m tests.edge.schema_of"
    assert found["properties"]["format"]["const"] == FORMAT
    assert found["$defs"]["ModelRow"]["properties"]["precision"]["enum"] == ["fp32", "fp16", "int8"]


def test_a_real_manifest_is_valid(validator: jsonschema.Draft202012Validator, table: dict[str, Any]) -> None:
    validator.validate(table)
    assert reads(table)


def test_a_value_of_another_type_is_refused_by_both(
    validator: jsonschema.Draft202012Validator, table: dict[str, Any]
) -> None:
    every = list(places(table))
    assert len(every) > 150
    for at in every:
        bad = changed(table, at, {"no": ["such", "value"]})
        assert not validator.is_valid(bad), at
        assert not reads(bad), at


def test_a_key_left_out_is_judged_alike(validator: jsonschema.Draft202012Validator, table: dict[str, Any]) -> None:
    keys = [at for at in places(table) if isinstance(at[-1], str) and at[0] not in ("files", "provenance")]
    verdicts = set()
    for at in keys:
        without = changed(table, at, ...)
        assert validator.is_valid(without) == reads(without), at
        verdicts.add(reads(without))
    assert verdicts == {True, False}


def test_an_unknown_key_is_refused_by_both_wherever_it_stands(
    validator: jsonschema.Draft202012Validator, table: dict[str, Any]
) -> None:
    tables = [(), *places(table)]
    for at in tables:
        room = table
        for key in at:
            room = room[key]
        if isinstance(room, dict) and at[:1] != ("provenance",):
            bad = changed(table, (*at, "polcy"), 1)
            assert not validator.is_valid(bad), at
            assert not reads(bad), at


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (("format",), 1),
        (("models",), []),
        (("models", 0, "precision"), "int4"),
        (("models", 0, "file"), "../x"),
        (("models", 0, "golden_agreement"), 1.5),
        (("files", "card.md", "sha256"), "AB" * 32),
        (("files", "card.md", "bytes"), -1),
        (("files", "/etc/x"), {"sha256": "0" * 64, "bytes": 1}),
        (("task", "grid"), [4]),
        (("task", "sensors", 0, "name"), "Rgb"),
        (("task", "colours", 0), "red"),
    ],
)
def test_a_bad_value_is_refused_by_both(
    validator: jsonschema.Draft202012Validator, table: dict[str, Any], at: Path_, value: Any
) -> None:
    bad = changed(table, at, value)
    assert not validator.is_valid(bad)
    assert not reads(bad)
