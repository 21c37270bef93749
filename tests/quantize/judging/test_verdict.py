"""The verdict: limits decide, intervals tell how sure; written and read again it is the same; damage is told."""

import json

import pytest
from made_up import FOLDER, row, verdict

from dis2_edge.errors import CheckpointError, RecipeError
from dis2_quantize.judging import tables
from dis2_quantize.judging.verdict import FILE, Limits, read, write

FULL = row(precision="fp32")


@pytest.mark.parametrize(
    ("drop", "classes", "missed"),
    [
        (0.5, (2.0, -9.0), []),
        (0.51, (0.0, 0.0), [""]),
        (-3.0, (0.0, 2.01), ["flood"]),
        (9.0, (9.0, 9.0), ["", "dry", "flood"]),
        (0.1, (None, 3.0), ["flood"]),
    ],
)
def test_the_limits_decide(drop, classes, missed):
    found = verdict(FULL, row(drop, classes))
    assert [miss.name for miss in found.misses()] == missed
    assert found.passed is (not missed)
    assert verdict(FULL, row(drop, classes), limits=Limits(100.0, 100.0)).passed


def test_without_a_file_to_hold_against_there_is_no_verdict():
    assert verdict(FULL).passed is None
    assert "none" in next(tables.sentences(verdict(FULL), FOLDER))


@pytest.mark.parametrize(("drop", "sure"), [(0.3, True), (0.45, False), (0.55, False), (0.7, True)])
def test_an_interval_around_the_limit_is_no_sure_thing(drop, sure):
    (held,) = verdict(row(drop)).held()
    assert held.is_sure is sure
    told = "\n".join(tables.sentences(verdict(row(drop)), FOLDER))
    assert ("other images might decide otherwise" in told) is not sure


def test_what_fails_is_named_with_class_scenario_and_by_how_much():
    found = verdict(FULL, row(0.9, (0.0, 4.5), worst="worst/rgb-int8-ort.png"), row(0.1, scenario="ndsm"))
    told = list(tables.sentences(found, FOLDER))
    assert told[0].startswith("verdict: FAIL (at most 0.5 points")
    assert told[1] == "  rgb, int8 ort: mIoU lost 0.90 [0.80, 1.00] points, 0.4 more than the 0.5 allowed"
    assert told[2] == "  rgb, int8 ort: IoU of 'flood' lost 4.50 [4.40, 4.60] points, 2.5 more than the 2 allowed"
    assert told[3].endswith("out/q/worst/rgb-int8-ort.png")
    assert len(told) == 4


def test_the_table_has_every_file_and_says_what_was_not_judged(capsys):
    found = verdict(FULL, row(0.9, (0.1, 4.5)), row(0.1, dialect="trt"), absent=("flood",))
    tables.show(found)
    shown = capsys.readouterr().out
    lines = shown.splitlines()
    assert lines[1].split()[:4] == ["precision", "dialect", "scenario", "mIoU"]
    assert "0.90 [0.80, 1.00]" in lines[4]
    assert "4.50 flood" in lines[4]
    assert lines[4].endswith("12.3  1.2  FAIL")
    assert lines[5].split()[-3:] == ["-", "1.2", "pass"]
    assert "whose time says nothing of it" in shown
    assert "no label of test has them: flood" in shown
    assert "\x1b" not in shown


def test_a_verdict_is_read_as_it_was_written(tmp_path):
    found = verdict(FULL, row(0.9, (None, 4.5)), absent=("dry",))
    write(found, tmp_path)
    assert read(tmp_path) == found
    table = json.loads((tmp_path / FILE).read_text())
    assert table["pass"] is False
    assert [told["pass"] for told in table["rows"]] == [None, False]
    assert table["limits"] == {"max_drop": 0.5, "max_class_drop": 2.0}


DAMAGE = {
    "no JSON": lambda text: text[:-9],
    "a list": lambda text: "[]",
    "another format": lambda text: text.replace('"format": 1', '"format": 2'),
    "no rows": lambda text: text.replace('"rows": [', '"rows": [1,'),
    "a key": lambda text: text.replace('"absent"', '"apsent"'),
    "a class less": lambda text: text.replace('"dry",', ""),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_verdict_is_told_and_not_shown(tmp_path, damage):
    write(verdict(FULL, row(0.2, (0.1, 0.1))), tmp_path)
    text = (tmp_path / FILE).read_text()
    (tmp_path / FILE).write_text(DAMAGE[damage](text))
    with pytest.raises(CheckpointError):
        read(tmp_path)


def test_a_run_without_a_verdict_says_how_to_make_one(tmp_path):
    with pytest.raises(CheckpointError, match="dis2-edge quantize RUN"):
        read(tmp_path)


@pytest.mark.parametrize("bad", [-0.1, float("nan"), float("inf")])
def test_a_limit_is_points_of_0_or_more(bad):
    with pytest.raises(RecipeError, match="--max-class-drop"):
        Limits(max_class_drop=bad)


def test_a_tensor_that_fp16_cannot_hold_fails_the_verdict_and_is_told(tmp_path):
    rows = row(precision="fp32"), row(0.1, (0.0, 0.1), precision="fp16", dialect="trt", overflow="head/conv")
    found = verdict(*rows)
    assert found.passed is False
    assert not found.misses()
    assert any("fp16 trt: head/conv passes what FP16 may hold" in line for line in tables.sentences(found, tmp_path))
    write(found, tmp_path)
    assert read(tmp_path) == found
    assert json.loads((tmp_path / "verdict.json").read_text())["rows"][1]["pass"] is False
