"""docs/comparing.md: its commands parse, and its levels, probabilities and factors are those of the code."""

import math
import re
import shlex
from pathlib import Path

import pytest

from dis2_edge import cli
from dis2_train.judging.bootstrap import student
from dis2_train.judging.comparison import RESAMPLES
from dis2_train.judging.conditions import FAILURES
from dis2_train.judging.grouping import named_groups
from dis2_train.judging.noise import LEVELS

TEXT = (Path(__file__).parents[3] / "docs" / "comparing.md").read_text("utf-8")


def test_every_command_parses():
    commands = re.findall(r"^    dis2-edge (.+)$", TEXT, re.MULTILINE)
    assert {words.split()[0] for words in commands} == {"eval", "compare"}
    for words in commands:
        verb, *rest = shlex.split(words)
        parsed = cli.parser_of(verb)[0].parse_args(rest)
        assert named_groups(getattr(parsed, "group", [])) is not None


def test_noise_and_probabilities_are_those_of_the_code():
    rows = dict(re.findall(r"^\| `(low|mid|high)` \| (.+) \|$", TEXT, re.MULTILINE))
    assert rows == {name: f"{100 * level.impulses:g} % | {level.deviation:g}" for name, level in LEVELS.items()}
    assert ", ".join(f"`p={p:g}`" for p in FAILURES) in TEXT


def test_resamples_and_factors_are_those_of_the_code():
    assert f"{RESAMPLES:,} resamples" in TEXT
    told = re.search(r"factor \(([\d.]+) for two seeds, ([\d.]+) for three, ([\d.]+) for five\)", TEXT)
    assert told
    for text, seeds in zip(told.groups(), (2, 3, 5), strict=True):
        assert float(text) == pytest.approx(student(2 * (seeds - 1)) / 1.96, abs=0.05)
    assert math.isclose(student(2), 4.3027)
