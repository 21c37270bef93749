"""What is proposed after a verdict that failed can be typed, and fits what failed."""

import dataclasses
import shlex

import pytest
from made_up import FOLDER, row, verdict

from dis2_edge.recipe import Recipe
from dis2_quantize.judging.mends import mends

WORDS = ["dis2-edge", "quantize", "out/my run", "--data", "DATA", "--out", "out/q-2"]


def lines(found, **recipe):
    return [line for _, line in mends(found, Recipe(**recipe), ("inner.first", "inner.mix"), WORDS, FOLDER)]


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ({}, ["--set", "tune_above=-100"]),
        ({"quantize_epochs": 0}, ["--set", "tune_above=-100", "--set", "quantize_epochs=4"]),
        ({"tune_above": -100.0, "quantize_epochs": 6}, ["--set", "quantize_epochs=12"]),
    ],
)
def test_tuning_is_proposed_where_it_was_not_done_and_longer_where_it_was(recipe, words):
    first = lines(verdict(row(0.9)), **recipe)[0]
    assert shlex.split(first) == [*WORDS, *words]


def test_blocks_to_keep_in_float_are_named_as_the_recipe_wants_them():
    kept = next(line for line in lines(verdict(row(0.9))) if "keep_float" in line)
    assert shlex.split(kept)[-1] == 'keep_float=["inner.mix"]'


def test_only_integers_are_mended_by_tuning():
    (only,) = lines(verdict(dataclasses.replace(row(0.9), precision="fp16")))
    assert only.startswith("dis2-edge quantize --show out/q --max-drop")
