"""Comparisons by part: the same figures as if the part's images had been all, in tables, JSON and page."""

import json

import numpy as np
import pytest
from simulated import World, evaluation

from dis2_edge.dataset import open_dataset
from dis2_train.judging.comparison import compare
from dis2_train.judging.page import render, to_table
from dis2_train.judging.parts import FEWEST, part_of, with_parts
from dis2_train.judging.tables import by_part

PARTS = 'parts = { early = "*[01]", late = "*[23]", never = "x*" }'


def judged(images=20):
    world = World(3, images)
    rows = {name: world.network(skill, label=name) for name, skill in (("base", 1.0), ("better", 3.0))}
    return compare(rows, resamples=40), rows


def test_a_part_counts_its_own_images_alone():
    one = evaluation({"a+b": np.array([0.9, 0.2, 0.5])}, [50, 90, 120])
    part = part_of(one, ("t2", "t0", "elsewhere"))
    assert part.ids == ("t0", "t2")
    np.testing.assert_array_equal(part.counts["a+b"], one.counts["a+b"][[0, 2]])
    assert part.label == one.label


def test_each_part_is_what_a_comparison_of_its_images_says():
    found, rows = judged()
    ids = tuple(f"t{place}" for place in range(12))
    whole = with_parts(found, rows, {"day": ids, "none": ()})
    assert list(whole.parts) == ["day"]
    alone = compare({name: [part_of(one, ids) for one in some] for name, some in rows.items()}, resamples=40)
    assert whole.parts["day"] == alone
    assert alone.images == 12
    assert alone.row("better").scores != found.row("better").scores


def test_a_part_of_a_few_images_tells_no_difference(capsys):
    found, rows = judged()
    few, enough = (tuple(f"t{place}" for place in range(count)) for count in (FEWEST - 1, FEWEST))
    whole = with_parts(found, rows, {"few": few, "enough": enough})
    assert whole.parts["few"].row("better").differences == {}
    assert whole.parts["enough"].row("better").differences
    by_part(whole, "miou")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "by part: mIoU, per cent"
    assert [line.split()[:2] for line in lines[3:6:2]] == [["few", "7"], ["enough", "8"]]
    assert "+" not in lines[4]
    assert "+" in lines[6]


def test_page_and_json_hold_the_parts_and_nothing_where_there_are_none():
    found, rows = judged()
    assert "By part" not in render(found, "miou")
    assert to_table(found)["parts"] == {}
    whole = with_parts(found, rows, {"<i>day</i>": ("t0", "t1")})
    page = render(whole, "miou")
    assert "By part" in page
    assert "<i>day" not in page
    assert to_table(whole)["parts"]["<i>day</i>"]["images"] == 2


@pytest.fixture
def in_parts(tiny_folder):
    file = tiny_folder / "dataset.toml"
    file.write_text(file.read_text().replace("[split]", f"[split]\n{PARTS}", 1))
    return tiny_folder


@pytest.mark.usefixtures("in_parts")
def test_the_verbs_print_the_parts_of_the_description(make_run, call, tmp_path, capsys):
    runs, out = [make_run("one"), make_run("two", width=0.25)], tmp_path / "out"
    assert call("eval", runs[0], "--split", "val", "--no-noise") == 0
    alone = capsys.readouterr().out
    assert "by part: mIoU, per cent" in alone
    assert call("compare", *runs, "--split", "val", "--no-noise", "--out", out) == 0
    lines = capsys.readouterr().out.partition("by part")[2].splitlines()[3:7]
    assert [line.split()[:2] for line in lines[::2]] == [["early", "2"], ["late", "2"]]
    found = json.loads((out / "comparison.json").read_text())["parts"]
    assert [part["images"] for part in found.values()] == [2, 2]
    assert "By part" in (out / "comparison.html").read_text()


def test_a_data_set_tells_its_parts_and_the_splits_that_are_none(in_parts):
    data = open_dataset(in_parts)
    assert data.whole_splits == ("train", "val", "test")
    assert set(data.splits) > set(data.whole_splits)
    assert data.parts("val") == {"early": ("00", "01"), "late": ("02", "03")}
    assert data.parts("val_early") == {}
