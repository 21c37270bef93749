"""dis2_edge.settings: tables to dataclasses; wrong keys and types are told with where, what and how to mend."""

from dataclasses import dataclass
from typing import Any, Literal

import pytest

from dis2_edge.errors import BundleError, RecipeError
from dis2_edge.settings import coerce, from_table, nearest


@dataclass(frozen=True)
class Inner:
    height_m: float


@dataclass(frozen=True)
class Outer:
    name: str
    kind: Literal["optical", "radar"] = "optical"
    sizes: tuple[int, ...] = ()
    pair: tuple[int, int] = (0, 0)
    share: float | None = None
    on: bool = False
    inner: Inner = Inner(1.0)
    notes: dict[str, str] | None = None


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"nme": "x"}, "a.toml: unknown key 'nme'; did you mean 'name'?"),
        ({"name": "x", "zzzzzz": 1}, "a.toml: unknown key 'zzzzzz'; known: inner, kind, name"),
        ({}, "a.toml: missing name; add it to the file"),
        ({"name": 3}, "a.toml: name is 3; expected a value of type str"),
        ({"name": "x", "kind": "radio"}, "a.toml: kind is 'radio'; expected 'optical' or 'radar'"),
        ({"name": "x", "sizes": 3}, "a.toml: sizes is 3; expected a list"),
        ({"name": "x", "sizes": ["3"]}, "a.toml: sizes is '3'; expected a value of type int"),
        ({"name": "x", "pair": [1]}, "a.toml: pair has 1 values; expected 2"),
        ({"name": "x", "share": "half"}, "a.toml: share is 'half'; expected a value of type float"),
        ({"name": "x", "share": True}, "a.toml: share is True; expected a value of type float"),
        ({"name": "x", "on": 1}, "a.toml: on is 1; expected a value of type bool"),
        ({"name": "x", "sizes": [True]}, "a.toml: sizes is True; expected a value of type int"),
        ({"name": "x", "inner": {"heigth_m": 1}}, "a.toml: inner: unknown key 'heigth_m'; did you mean 'height_m'?"),
        ({"name": "x", "inner": 3}, "a.toml: inner is int; expected a table of keys"),
        ({"name": "x", "notes": {"a": 1}}, "a.toml: notes.a is 1; expected a value of type str"),
    ],
)
def test_faults_say_where_what_and_how_to_mend(table: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        from_table(Outer, table, where="a.toml")
    assert str(caught.value).startswith(message)


def test_the_callers_error_is_raised() -> None:
    with pytest.raises(BundleError):
        from_table(Outer, [], where="manifest", error=BundleError)  # type: ignore[arg-type]


def test_a_fixed_field_may_not_stand_in_the_table() -> None:
    assert from_table(Outer, {}, where="x", name="fixed").name == "fixed"
    with pytest.raises(RecipeError, match="unknown key 'name'"):
        from_table(Outer, {"name": "x"}, where="x", name="fixed")


def test_values_take_the_types_of_their_fields() -> None:
    table = {"name": "x", "sizes": [1, 2], "share": 1, "inner": {"height_m": 2}, "notes": {"a": "b"}}
    assert from_table(Outer, table, where="x") == Outer(
        "x", sizes=(1, 2), share=1.0, inner=Inner(2.0), notes={"a": "b"}
    )
    assert isinstance(coerce(1, float, "x"), float)


def test_nearest_lists_all_when_nothing_is_near() -> None:
    assert nearest("rgbb", ["rgb", "ndsm"]) == "did you mean 'rgb'?"
    assert nearest("xyz", ["rgb", "sar"]) == "known: rgb, sar"
