"""The fastest precision within the accuracy budget flies, and the reason says what it was weighed against."""

from __future__ import annotations

import dataclasses

import pytest
from proven_bundle import TASK
from tiny_bundle import make_bundle

from dis2_edge.bundle import Bundle
from dis2_edge.timing import summarise
from dis2_runtime.selftest.choosing import choose
from dis2_runtime.selftest.rows import Row

FULL, RGB, NDSM = TASK.scenarios


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("made") / "bundle", TASK)


def rows(precision: str, ms: float, correct: int = 0, why: str = "", scenarios: tuple[str, ...] = TASK.scenarios):
    """Rows of one precision; with `correct` of 1,000 pixels right on tiles."""
    table = ((correct, 1000 - correct, 0), (1000 - correct, correct, 0)) if correct else ()
    return [
        Row(name, precision, "ort", "onnxruntime", why, 1.0, 0.0, summarise([ms]), table, 1)  # type: ignore[arg-type]
        for name in scenarios
    ]


def chosen(bundle: Bundle, *found: list[Row], max_drop: float = 0.5):
    return choose(bundle, "onnxruntime", [row for part in found for row in part], max_drop)


def listed(bundle: Bundle, **miou: float | None) -> Bundle:
    """The bundle whose manifest says so of each precision."""
    models = tuple(dataclasses.replace(row, miou=miou[row.precision]) for row in bundle.manifest.models)
    return dataclasses.replace(bundle, manifest=dataclasses.replace(bundle.manifest, models=models))


@pytest.mark.parametrize(("int8", "fp32", "winner"), [(2.0, 3.0, "int8"), (3.0, 2.0, "fp32"), (2.0, 2.0, "int8")])
def test_the_faster_flies_where_both_are_as_good(bundle: Bundle, int8: float, fp32: float, winner: str) -> None:
    choice = chosen(bundle, rows("int8", int8), rows("fp32", fp32))
    assert choice.precision == winner
    assert "ms a tick" in choice.why


@pytest.mark.parametrize(("drop", "winner"), [(0.004, "int8"), (0.005, "int8"), (0.006, "fp32")])
def test_the_manifests_drop_counts_without_tiles(bundle: Bundle, drop: float, winner: str) -> None:
    held = listed(bundle, fp32=0.8, int8=0.8 - drop)
    choice = chosen(held, rows("int8", 1.0), rows("fp32", 2.0))
    assert choice.precision == winner
    if winner == "fp32":
        assert "int8 loses 0.60 points, more than 0.5" in choice.why


def test_what_the_tiles_say_wins_over_the_manifest(bundle: Bundle) -> None:
    held = listed(bundle, fp32=0.8, int8=0.8)
    assert chosen(held, rows("int8", 1.0, 900), rows("fp32", 2.0, 950)).precision == "fp32"
    assert chosen(held, rows("int8", 1.0, 900), rows("fp32", 2.0, 950), max_drop=30).precision == "int8"


def test_one_scenario_beyond_the_budget_is_enough(bundle: Bundle) -> None:
    exact = rows("fp32", 2.0, 900)
    small = rows("int8", 1.0, 900, scenarios=(FULL, RGB)) + rows("int8", 1.0, 890, scenarios=(NDSM,))
    assert chosen(bundle, small, exact).precision == "fp32"


def test_what_was_never_measured_flies_only_as_the_most_exact(bundle: Bundle) -> None:
    for miou in ({"fp32": None, "int8": None}, {"fp32": 0.8, "int8": None}, {"fp32": None, "int8": 0.8}):
        choice = chosen(listed(bundle, **miou), rows("int8", 1.0), rows("fp32", 2.0))
        assert choice.precision == "fp32"
        assert "int8 was never measured on labels" in choice.why
    assert chosen(listed(bundle, fp32=None, int8=None), rows("int8", 1.0)).precision == "int8"


def test_a_precision_with_one_scenario_unproven_or_lacking_does_not_fly(bundle: Bundle) -> None:
    broken = rows("int8", 1.0, scenarios=(FULL, RGB)) + rows("int8", 1.0, why="misses", scenarios=(NDSM,))
    choice = chosen(bundle, broken, rows("fp32", 2.0))
    assert choice.precision == "fp32"
    assert "onnxruntime int8: misses" in choice.why
    assert chosen(bundle, rows("int8", 1.0, scenarios=(FULL, RGB)), rows("fp32", 2.0)).precision == "fp32"


def test_where_each_is_best_somewhere_and_beyond_the_budget_elsewhere_none_flies(bundle: Bundle) -> None:
    first = rows("int8", 1.0, 900, scenarios=(FULL, RGB)) + rows("int8", 1.0, 800, scenarios=(NDSM,))
    second = rows("fp32", 1.0, 800, scenarios=(FULL, RGB)) + rows("fp32", 1.0, 900, scenarios=(NDSM,))
    choice = chosen(bundle, first, second)
    assert choice.precision is None
    assert "no precision is within 0.5 points" in choice.why
