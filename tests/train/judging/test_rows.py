"""Rows: how runs find together, what they are called, and what tables and page say of them."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from simulated import evaluation

from dis2_edge.errors import UserError
from dis2_train.judging.comparison import compare
from dis2_train.judging.forest import forest
from dis2_train.judging.grouping import named_groups, rows_of
from dis2_train.judging.page import render, sentences, to_table
from dis2_train.judging.tables import further, overview

TRUTHS = np.array([50, 90, 120, 160, 30, 70])


def run(label, *, recipe="r", seed=0, rate=0.9, names=("a+b", "a", "b")):
    rates = {name: np.full(6, rate - 0.05 * place) for place, name in enumerate(names)}
    return dataclasses.replace(evaluation(rates, TRUTHS, label=label, seed=seed), recipe=recipe)


def rows(*runs, groups=()):
    return rows_of([(Path(one.label), one) for one in runs], named_groups(groups))


def test_equal_recipes_are_one_row_called_after_what_their_names_share():
    found = rows(run("ombria-s0"), run("other", recipe="q"), run("ombria-s1", seed=1))
    assert {name: [one.seed for one in members] for name, members in found.items()} == {"ombria": [0, 1], "other": [0]}
    assert list(rows(run("net_seed1", seed=1), run("net_seed22", seed=22))) == ["net"]
    assert list(rows(run("x", seed=1), run("y", seed=2))) == ["net"]  # nothing shared: the network's name


def test_the_same_seed_twice_or_an_unknown_recipe_makes_no_seeds():
    assert list(rows(run("one"), run("two"))) == ["one", "two"]
    assert list(rows(run("one", recipe=""), run("two", recipe="", seed=1))) == ["one", "two"]
    assert list(rows(run("one", seed=None), run("two", seed=None))) == ["one", "two"]


def test_equal_names_are_told_apart():
    runs = [(Path(f"{folder}/net"), run("net", recipe=folder)) for folder in ("x", "y", "z")]
    assert list(rows_of(runs, {})) == ["net", "y/net", "z/net"]


def test_a_named_row_takes_its_runs_from_the_others():
    found = rows(run("a0"), run("a1", seed=1), run("b0", recipe="q"), groups=["mine=a1,b0"])
    assert {name: [one.label for one in members] for name, members in found.items()} == {
        "a0": ["a0"],
        "mine": ["a1", "b0"],
    }


@given(some.lists(some.tuples(some.sampled_from("pqr"), some.integers(0, 2)), min_size=1, max_size=9))
def test_every_run_stands_in_exactly_one_row_and_no_row_has_a_seed_twice(made):
    runs = [run(f"run{place}-{recipe}", recipe=recipe, seed=seed) for place, (recipe, seed) in enumerate(made)]
    found = rows(*runs)
    assert sorted(one.label for members in found.values() for one in members) == sorted(one.label for one in runs)
    for members in found.values():
        assert len({one.recipe for one in members}) == 1
        assert len({one.seed for one in members}) == len(members)


@pytest.mark.parametrize("word", ["name", "=x", "name=", "name=,"])
def test_a_group_is_a_name_and_runs(word):
    with pytest.raises(UserError, match="expected NAME=RUN,RUN"):
        named_groups([word])


def test_a_run_that_a_group_names_twice_is_one_member():
    assert named_groups(["a = x, y,x/"]) == {"a": [Path("x"), Path("y")]}


def test_marks_stand_where_the_interval_leaves_out_nothing(capsys):
    found = compare({"base": [run("base", rate=0.8)], "better": [run("better", rate=0.95)]}, resamples=200)
    overview(found, "miou")
    lines = capsys.readouterr().out.splitlines()
    assert re.findall(r"\d(\+|-)", lines[4]) == ["+"] * 7
    assert len(lines) == 6  # no table of noise where none was judged
    assert not re.findall(r"\d(\+|-)", lines[3])
    assert sentences(found, "miou") == [
        "better against base, mIoU: surely better in a+b, a, b, mean, p=0.2, p=0.1, p=0.05."
    ]


def test_a_class_with_a_hostile_name_cannot_write_into_the_page():
    one = dataclasses.replace(run("<b>net</b>"), classes=("dry", "<script>alert(1)</script>"))
    found = compare({"<i>x</i>": [one], "y": [run_like(one)]}, resamples=20)
    page = render(found, "miou", "dis2-edge compare '<u>'")
    for hostile in ("<script>", "<i>x", "<b>net", "<u>"):
        assert hostile not in page


def run_like(one):
    return dataclasses.replace(one, label="y")


def test_a_row_alone_has_a_page_without_differences():
    found = compare({"alone": [run("alone")]}, resamples=20)
    assert (found.reference, forest(found, "miou"), sentences(found, "miou")) == ("", "", [])
    assert "Difference to" not in render(found, "miou")
    assert to_table(found)["rows"][0]["differences"] == {}


def test_many_classes_are_shown_only_where_one_leads(capsys):
    one = run("net")
    counts = {name: np.pad(found, ((0, 0), (0, 1), (0, 1))) for name, found in one.counts.items()}
    found = compare({"net": [dataclasses.replace(one, classes=("x", "y", "z"), counts=counts)]}, resamples=20)
    further(found, "miou")
    assert "IoU x" not in capsys.readouterr().out
    further(found, "iou y")
    assert "IoU y" in capsys.readouterr().out


@pytest.mark.parametrize("gap", [0.0, 0.001, 0.2])
def test_the_forest_holds_every_interval(gap):
    found = compare({"base": [run("base", rate=0.7)], "other": [run("other", rate=0.7 + gap)]}, resamples=50)
    drawn = forest(found, "miou")
    assert drawn.count("<circle") == 4  # full, two alone, mean
    places = [float(part.split('"')[0]) for part in drawn.split('cx="')[1:]]
    assert all(250 <= place <= 830 for place in places)
