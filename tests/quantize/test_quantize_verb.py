"""`dis2-edge quantize`: the table and the verdict in exit code and words, shown again without computing."""

import dataclasses
import json

import pytest

from dis2_edge import cli
from dis2_quantize.judging import verdict as verdicts
from dis2_quantize.judging.verdict import FILE

WIDE = ("--max-drop", 100, "--max-class-drop", 100)
UNTUNED = ("--set", "quantize_epochs=0")


def call(*words):
    return cli.main(["quantize", *map(str, words)])


@pytest.fixture(scope="module")
def qrun(trained, aerial, tmp_path_factory):
    out = tmp_path_factory.mktemp("verb") / "q"
    assert call(trained("early_fusion").path, "--data", aerial.root, "--out", out, *UNTUNED, *WIDE) == 0
    return out


def spoiled(qrun, tmp_path, points):
    """A copy of a run's verdict whose INT8 file of ndsm lost `points`."""
    found = verdicts.read(qrun)
    rows = [
        dataclasses.replace(row, drop=dataclasses.replace(row.drop, points=points, low=points, high=points))
        if row.drop and row.scenario == "ndsm"
        else row
        for row in found.rows
    ]
    verdicts.write(dataclasses.replace(found, rows=tuple(rows)), tmp_path)
    return tmp_path


def test_show_prints_the_table_of_a_finished_run_and_computes_nothing(qrun, capsys):
    before = {path: path.stat().st_mtime_ns for path in qrun.rglob("*")}
    assert call("--show", qrun) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    rows = [line.split() for line in shown.out.splitlines()[3:9]]
    scenarios = ("rgb+ndsm", "rgb", "ndsm")
    assert [row[:3] for row in rows] == [[p, "ort", s] for p in ("fp32", "int8") for s in scenarios]
    assert "verdict: pass (at most 100 points" in shown.out
    assert {path: path.stat().st_mtime_ns for path in qrun.rglob("*")} == before


def test_a_verdict_that_fails_says_so_and_exits_1(qrun, tmp_path, capsys):
    assert call("--show", spoiled(qrun, tmp_path, 101.5)) == 1
    told = capsys.readouterr().out
    assert "verdict: FAIL" in told
    assert "ndsm, int8 ort: mIoU lost 101.50 [101.50, 101.50] points, 1.5 more than the 100 allowed" in told
    assert call("--show", tmp_path, "--max-drop", 102) == 0


def test_a_run_that_fails_is_left_to_be_looked_at_and_says_what_to_type(trained, aerial, tmp_path, capsys, monkeypatch):
    run, out = trained("early_fusion"), tmp_path / "q"
    monkeypatch.setattr(verdicts.Held, "missed", True)
    assert call(run.path, "--data", aerial.root, "--out", out, *UNTUNED) == 1
    told = capsys.readouterr().out
    assert json.loads((out / FILE).read_text())["pass"] is False
    assert (out / "quantized.json").is_file()
    assert "next, to tune every scenario:" in told
    line = next(line for line in told.splitlines() if "tune_above=-100" in line)
    parser, _ = cli.parser_of("quantize")
    args = parser.parse_args(line.split()[2:])
    assert (args.trained, args.data, args.overrides[0]) == (run.path, aerial.root, "quantize_epochs=0")
    assert not args.out.exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["RUN", "--data", "DATA"], "--out QRUN is missing"),
        ([], "RUN, --data DIR, --out QRUN is missing"),
        (["--show", "QRUN", "--data", "DATA"], "something to compute was given too"),
        (["--show", "RUN"], "holds no verdict.json"),
        (["--show", "QRUN", "--max-drop", "nan"], "--max-drop is nan"),
        (["RUN", "--data", "DATA", "--out", "OUT", "--max-class-drop", "-1"], "--max-class-drop is -1.0"),
        (["RUN", "--data", "DATA", "--out", "OUT", "--set", "width=1.0"], "fixed by its training"),
        (["RUN", "--data", "DATA", "--out", "OUT", "--set", "quantise_epochs=1"], "quantize_epochs"),
        (["QRUN", "--data", "DATA", "--out", "OUT"], "is quantised already"),
        (["RUN", "--data", "DATA", "--out", "OUT", "--precision", "int4"], "precision 'int4'"),
    ],
)
def test_what_is_wrong_is_one_line_and_exit_code_2(trained, aerial, qrun, tmp_path, capsys, words, told):
    known = {"RUN": trained("early_fusion").path, "DATA": aerial.root, "QRUN": qrun, "OUT": tmp_path / "out"}
    assert call(*(known.get(word, word) for word in words)) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert err.startswith("error: ")
    assert told in err
    assert not list(tmp_path.iterdir())
