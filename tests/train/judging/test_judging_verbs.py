"""`dis2-edge eval` and `compare`: tables, files, rows that form themselves, nothing judged twice, plain refusals."""

import dataclasses
import json
import re
import shutil

import pytest
from judged_stub import Stub

from dis2_edge.recipe import Recipe
from dis2_train import segmenters
from dis2_train.judging import source
from dis2_train.judging.evaluation import read_evaluation


def test_eval_prints_every_condition_and_keeps_what_it_counted(make_run, call, tmp_path, capsys):
    run, out = make_run("net", seed=3), tmp_path / "net.json"
    assert call("eval", run, "--split", "val", "--out", out) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "net on tiny, split val, 4 images of 32x32, per cent"
    assert re.split(r"  +", lines[1]) == [
        "condition", "mIoU", "95 %", "F1", "OA", "worst", "IoU low", "IoU high", "Mpar", "GFLOP",
    ]  # fmt: skip
    names = [line.split()[0] for line in lines[3:13]]
    assert names == ["opt+sar", "opt", "sar", "mean", "p=0.2", "p=0.1", "p=0.05", "~low", "~mid", "~high"]
    assert max(map(len, lines)) <= 100
    value, low, high = json.loads(out.read_text())["scores"]["sar"]["miou"]
    assert low <= value <= high
    assert f"{100 * value:.1f}  [{100 * low:.1f}, {100 * high:.1f}]" in lines[5]
    kept = read_evaluation(out)
    assert (kept.label, kept.seed, kept.split, kept.dataset, kept.grid) == ("net", 3, "val", "tiny", (32, 32))
    assert kept.network == "early_fusion/default"
    assert kept.recipe
    assert kept.model == source.model_hash(run)
    assert kept.costs["opt"].parameters > 0


def test_runs_that_differ_in_the_seed_are_one_row(make_run, call, tmp_path, capsys):
    runs = [make_run(f"fusion-s{seed}", seed=seed) for seed in (0, 1)] + [make_run("wide", width=0.25)]
    ones = [
        make_run(f"{name}-{seed}", network="single", sensors=(name,), seed=seed)
        for name in ("opt", "sar")
        for seed in (0, 1)
    ]
    out = tmp_path / "out"
    group = f"single={','.join(map(str, ones))}"
    assert call("compare", *runs, *ones, "--split", "val", "--group", group, "--reference", "single", "--out", out) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("tiny, split val, 4 images of 32x32: mIoU, per cent\n")
    overview = printed.split("\n\n")[0].splitlines()[3:]
    assert [re.split(r"  +", line)[0] for line in overview] == ["fusion x2", "wide", "single x2"]
    assert overview[2].split()[2] == "-"  # both sensors at once is what no member of it answers
    assert max(map(len, printed.splitlines()[:-1])) <= 100
    table = json.loads((out / "comparison.json").read_text())
    rows = {row["name"]: row for row in table["rows"]}
    assert table["reference"] == "single"
    assert rows["fusion"]["members"] == ["fusion-s0", "fusion-s1"]
    assert set(rows["single"]["scores"]) == {"opt", "sar"}
    assert set(rows["wide"]["differences"]) == {"opt", "sar"}
    low, value, high = (rows["wide"]["differences"]["opt"]["miou"][place] for place in (1, 0, 2))
    assert low <= value <= high
    page = (out / "comparison.html").read_text()
    assert "<script" not in page
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "Difference to single" in page
    assert "dis2-edge compare" in page


def test_what_was_judged_is_not_judged_again(make_run, call, tmp_path, capsys, monkeypatch):
    runs, out = [make_run("one"), make_run("two", width=0.25)], tmp_path / "out"
    assert call("compare", *runs, "--no-noise", "--out", out) == 0
    first, json_before = capsys.readouterr().out, (out / "comparison.json").read_bytes()
    monkeypatch.setattr(segmenters, "open_segmenter", lambda *_, **__: pytest.fail("judged again"))
    assert call("compare", *runs, "--no-noise", "--out", out) == 0
    assert capsys.readouterr().out == first
    assert (out / "comparison.json").read_bytes() == json_before


def test_each_precision_of_a_quantised_run_is_judged_for_itself(tiny_data, tiny_task, tmp_path, monkeypatch):
    (model := tmp_path / "q").mkdir()
    (model / "quantized.json").write_text("{}")
    asked = []
    monkeypatch.setattr(
        segmenters, "open_segmenter", lambda _, precision, **__: asked.append(precision) or Stub(tiny_task)
    )
    judge = source.Judge(tiny_data, "val", source.data_hash(tiny_data, "val"), noise=False, cache=tmp_path / "kept")
    for precision in ("int8", "fp32", None, "int8"):
        dataclasses.replace(judge, precision=precision).evaluate(model)
    assert asked == ["int8", "fp32", None]
    assert len(list((tmp_path / "kept").iterdir())) == 3


def test_runs_of_one_recipe_are_told_by_what_training_reads(tmp_path):
    hashes = {}
    for place, changes in enumerate([{}, {"seed": 3, "threads": 2, "workers": 4}, {"epochs": 2}]):
        (run := tmp_path / str(place)).mkdir()
        (run / "recipe.toml").write_text(dataclasses.replace(Recipe(), **changes).to_toml())
        hashes[place] = source.recipe_hash(run, "fp32")
    assert hashes[0] == hashes[1] != hashes[2]
    assert source.recipe_hash(tmp_path, "fp32") == ""


@pytest.mark.parametrize("change", ["weights", "label", "split", "noise", "damage"])
def test_what_changed_is_judged_again(make_run, call, tmp_path, tiny_folder, monkeypatch, change):
    run, out, words = make_run("one"), tmp_path / "out", ["--no-noise", "--split", "val"]
    assert call("compare", run, *words, "--out", out) == 0
    if change == "weights":
        shutil.rmtree(run)
        make_run("one", seed=9)
    elif change == "label":
        shutil.copy(tiny_folder / "val" / "gt" / "00.png", tiny_folder / "val" / "gt" / "01.png")
    elif change == "damage":
        next((out / "evaluations").iterdir()).write_text("{}")
    else:
        words = {"split": ["--no-noise", "--split", "test"], "noise": ["--split", "val"]}[change]
    opened, real = [], segmenters.open_segmenter
    monkeypatch.setattr(segmenters, "open_segmenter", lambda *a, **k: opened.append(a) or real(*a, **k))
    assert call("compare", run, *words, "--out", out) == 0
    assert len(opened) == 1


def test_an_interrupted_comparison_keeps_what_it_judged(make_run, call, tmp_path):
    good, bad, out = make_run("good"), make_run("bad", width=0.25), tmp_path / "out"
    (bad / "weights.safetensors").write_bytes(b"no weights")
    assert call("compare", good, bad, "--out", out) == 2
    assert [file.name.startswith("good-") for file in (out / "evaluations").iterdir()] == [True]
    assert not (out / "comparison.json").exists()


def test_a_class_can_lead(make_run, call, capsys):
    assert call("compare", make_run("one"), make_run("two", width=0.25), "--no-noise", "--class", "high") == 0
    printed = capsys.readouterr().out
    assert "4 images of 32x32: IoU high, per cent" in printed
    assert "difference to one, points of IoU high" in printed


@pytest.mark.parametrize(
    ("verb", "words", "message"),
    [
        ("eval", ["RUN", "--split", "tset"], "has no split 'tset'; expected one of train, val, test"),
        ("eval", ["RUN", "--class", "hihg"], "no class is called 'hihg'; did you mean 'high'?"),
        ("eval", ["absent"], "absent does not exist"),
        ("eval", ["RUN", "--describe", "absent.toml"], "absent.toml does not exist"),
        ("eval", ["RUN", "--precision", "int8"], "one model in one precision; expected a quantised run or a bundle"),
        ("compare", [], "nothing to compare; expected models, or --group ROW=MODEL,MODEL"),
        ("compare", ["RUN", "--group", "name"], "--group 'name'; expected NAME=RUN,RUN"),
        ("compare", ["RUN", "--reference", "rnu"], "no row is called 'rnu'; did you mean 'run'?"),
        ("compare", ["RUN", "--group", "a=RUN", "--group", "a=RUN"], "--group 'a' stands twice"),
    ],
)
def test_what_a_user_can_mend_is_one_message_and_exit_2(make_run, call, tmp_path, capsys, verb, words, message):
    run = str(make_run("run"))
    assert call(verb, *(word.replace("RUN", run) for word in words)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_a_model_of_other_classes_is_refused_by_both_verbs(make_run, call, tiny_folder, capsys):
    run = make_run("run")
    text = (tiny_folder / "dataset.toml").read_text()
    (tiny_folder / "dataset.toml").write_text(text.replace('"low", "high"', '"dry", "wet"'))
    for verb in ("eval", "compare"):
        assert call(verb, run) == 2
        assert "has the classes dry, wet; expected low, high, the classes of run" in capsys.readouterr().err


def test_networks_of_other_grids_are_not_compared(make_run, call, capsys):
    assert call("compare", make_run("a"), make_run("b", grid=(16, 16)), "--no-noise") == 2
    assert "b was judged on grid 16x16; expected 32x32, as a" in capsys.readouterr().err


def test_a_missing_page_extra_is_told_before_anything_is_judged(make_run, call, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert call("compare", make_run("a"), "--out", tmp_path / "out") == 2
    assert "pip install 'dis2-edge[report]'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
