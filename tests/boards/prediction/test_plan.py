"""A plan: what is predicted for each file, which answer the stated error allows, and what is refused with a mend."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from proven_bundle import make_proven

from dis2_boards.prediction import plan as planning
from dis2_boards.prediction.memory import FACTOR, memory
from dis2_boards.prediction.plan import plan
from dis2_boards.prediction.setting import Setting
from dis2_boards.prediction.verdict import answer, worst
from dis2_boards.profile import load
from dis2_edge.cli import main
from dis2_edge.costs import LayerCost, read_costs, write_costs
from dis2_edge.errors import BoardError, CheckpointError, RecipeError
from tests.boards.prediction.costed_run import board_of, figure, make_costed, roofline_of

KNOWN = board_of(roofline_of(error=figure(1.5, "factor")), power_modes=(), budgets={})


@pytest.fixture(scope="module")
def qrun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_costed(tmp_path_factory.mktemp("costed") / "qrun", {"fp16": 20.0, "int8": 12.0})


def modes(monkeypatch: pytest.MonkeyPatch, *settings: Setting) -> None:
    monkeypatch.setattr(planning, "settings_of", lambda board, mode: settings)


def test_each_file_gets_its_latency_its_range_and_what_binds(qrun: Path) -> None:
    made = plan(qrun, KNOWN, fps=25)
    assert [(row.scenario, row.precision) for row in made.rows] == [
        (scenario, precision) for scenario in ("rgb+ndsm", "rgb", "ndsm") for precision in ("fp16", "int8")
    ]
    assert [row.predicted_ms for row in made.rows] == pytest.approx([20, 12, 10, 6, 10, 6], rel=1e-3)
    first = made.rows[0]
    assert first.predicted_range_ms == pytest.approx((20 / 1.5, 30), rel=1e-3)
    assert first.predicted_bound_ms == pytest.approx({"compute": 10, "memory": 10, "overhead": 0}, rel=1e-3)
    assert first.predicted_kind_ms == pytest.approx({"Conv": 10, "Resize": 10}, rel=1e-3)
    assert made.limit_ms == 40


@pytest.mark.parametrize(
    ("fps", "expected"), [(33, "holds"), (34, "may not hold"), (74, "may not hold"), (76, "does not hold")]
)
def test_the_stated_error_is_applied_to_the_frame_rate(qrun: Path, fps: float, expected: str) -> None:
    row = plan(qrun, KNOWN, fps=fps, scenario="rgb+ndsm").rows[0]  # 20 ms, right within 1.5: 13.3 to 30
    assert row.holds == expected


def test_without_a_stated_error_no_answer_is_sure(qrun: Path) -> None:
    made = plan(qrun, dataclasses.replace(KNOWN, roofline=roofline_of()), fps=1)
    assert {row.holds for row in made.rows} == {"may not hold"}
    assert {row.predicted_range_ms for row in made.rows} == {None}


def test_the_rate_is_that_of_the_first_sensor_and_the_way_around_the_engine_is_kept(qrun: Path) -> None:
    made = plan(qrun, dataclasses.replace(KNOWN, budgets={"overhead": figure(2, "ms")}))
    assert (made.fps, made.around_ms, made.limit_ms) == (10, 2, 98)
    with pytest.raises(RecipeError, match="leave the engine no time; expected below 500"):
        plan(qrun, dataclasses.replace(KNOWN, budgets={"overhead": figure(2, "ms")}), fps=600)
    with pytest.raises(RecipeError, match="expected a number above 0"):
        plan(qrun, KNOWN, fps=float("nan"))
    with pytest.raises(RecipeError, match="expected a number above 0"):
        plan(qrun, KNOWN, fps=0)


def test_a_mode_scales_clock_and_memory_and_only_a_stated_power_gives_energy(
    qrun: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Setting("slow", compute=0.5, bandwidth=0.25, power=figure(15, "W"))
    modes(monkeypatch, Setting("fast"), slow, Setting("dark", compute=None, power=figure(7, "W")))
    rows = plan(qrun, KNOWN, scenario="rgb+ndsm").rows[:3]
    assert [row.mode for row in rows] == ["fast", "slow", "dark"]
    assert [row.predicted_ms for row in rows[:2]] == pytest.approx([20, 9.9 * 2 + 9.9 * 4 + 0.2], rel=1e-3)
    assert [row.predicted_energy_mj for row in rows] == [None, pytest.approx(59.6 * 15, rel=1e-3), None]
    assert (rows[2].predicted_ms, rows[2].holds, rows[2].predicted_bound_ms) == (None, None, {})


def test_the_worst_scenario_speaks_for_a_mode(qrun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes(monkeypatch, Setting("fast"), Setting("dark", compute=None))
    made = plan(qrun, KNOWN, fps=60)
    fast = [row.holds for row in made.rows if (row.precision, row.mode) == ("int8", "fast")]
    assert fast == ["may not hold", "holds", "holds"]  # 12, 6 and 6 ms, right within 1.5, of 16.7
    assert made.worst("int8", "fast") == "may not hold"
    assert made.worst("int8", "dark") is None


def test_memory_holds_every_scenarios_weights_and_the_largest_scratch(qrun: Path) -> None:
    one = [LayerCost("a", "Conv", "fp16", 1, 9, weights=3_000_000, alive=7_000_000)]
    two = [LayerCost("a", "Conv", "fp16", 1, 9, weights=1_000_000, alive=8_000_000)]
    found = memory({"rgb": one, "ndsm": two}, "trt")
    assert found is not None
    assert (found.weights_mb, found.activations_mb) == (4, 8)
    assert found.run_mb == 4 + 8 + found.workspace_mb + found.base_mb
    assert found.build_mb > found.run_mb
    onnx = memory({"rgb": one, "ndsm": two}, "ort")
    assert onnx is not None
    assert (onnx.build_mb, onnx.workspace_mb, onnx.run_mb) == (0, 0, 2 * 4 + 8 + onnx.base_mb)
    assert memory({"rgb": [*one, LayerCost("old", "Conv", "fp16", 1, 9)]}, "trt") is None


@pytest.mark.parametrize(("gb", "expected"), [(16, "holds"), (4, "may not hold"), (2, "does not hold")])
def test_memory_is_held_against_the_boards(qrun: Path, gb: float, expected: str) -> None:
    board = dataclasses.replace(KNOWN, hardware={"memory": figure(gb, "GB")})
    made = plan(qrun, board)
    assert {row.holds for row in made.memory} == {expected}
    assert plan(qrun, board, scenario="ndsm").memory == made.memory  # the others are loaded all the same


def test_costs_of_an_older_version_tell_latency_but_no_memory(tmp_path: Path) -> None:
    run = make_costed(tmp_path / "qrun", {"fp16": 20.0})
    for file in (run / "models").glob("*.costs.json"):
        write_costs(file, [dataclasses.replace(layer, weights=None, alive=None) for layer in read_costs(file)])
    made = plan(run, KNOWN)
    assert made.rows[0].predicted_ms == pytest.approx(20, rel=1e-3)
    assert [(row.predicted, row.holds) for row in made.memory] == [(None, None)]


def test_answers() -> None:
    assert [answer(value, 10, 2) for value in (5, 5.1, 20, 20.1)] == [
        "holds",
        "may not hold",
        "may not hold",
        "does not hold",
    ]
    assert answer(1, 10, None) == answer(100, 10, None) == "may not hold"
    assert worst(["holds", "does not hold", "may not hold"]) == "does not hold"
    assert FACTOR > 1


def test_what_is_no_quantised_run_is_told_what_to_give(qrun: Path, tmp_path: Path) -> None:
    make_proven(tmp_path / "bundle")
    with pytest.raises(
        CheckpointError, match=r"is a bundle, .*; expected a quantised run; give the folder of `dis2-ed"
    ):
        plan(tmp_path / "bundle", KNOWN)
    with pytest.raises(CheckpointError, match=f"holds costs, but is no quantised run; give the .*: {qrun}$"):
        plan(qrun / "models", KNOWN)
    with pytest.raises(CheckpointError, match="is not a folder"):
        plan(tmp_path / "none", KNOWN)


def test_missing_costs_files_for_no_such_board_and_unknown_names_are_told(tmp_path: Path) -> None:
    run = make_costed(tmp_path / "qrun", {"fp16": 20.0})
    with pytest.raises(BoardError, match="quantize again with --dialect ort --precision fp32,int8"):
        plan(run, load("host"))
    with pytest.raises(RecipeError, match="unknown scenario 'rbg'; did you mean 'rgb'"):
        plan(run, KNOWN, scenario="rbg")
    with pytest.raises(BoardError, match=r"no power mode '15W'; expected no mode: its file has none"):
        plan(run, KNOWN, mode="15W")
    table = json.loads((run / "quantized.json").read_text())
    table["models"] = [row for row in table["models"] if row["scenario"] != "rgb"]
    (run / "quantized.json").write_text(json.dumps(table))
    with pytest.raises(CheckpointError, match="has no file of the scenario 'rgb' for 'orin-nx-16gb'; quantize again"):
        plan(run, KNOWN, scenario="rgb")
    (run / table["models"][0]["file"]).with_suffix(".costs.json").unlink()
    with pytest.raises(CheckpointError, match=r"costs\.json is missing: .*; quantize again"):
        plan(run, KNOWN)


def test_the_verb_says_predicted_and_prints_the_same_as_json(qrun: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(qrun), "--board", "orin-nx-16gb"]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 100
    worst = "predicted for int8 at 10 fps, worst scenario: holds in MAXN"
    for words in (worst, "predicted, not measured", "predicted ms", "predicted mJ", "predicted MB", "binds: # compute"):
        assert words in shown
    assert main(["plan", str(qrun), "--board", "orin-nx-16gb", "--json", "--fps", "12"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert table["fps"] == 12
    assert "nothing was run" in table["note"]
    assert len(table["rows"]) == 6 * len(load("orin-nx-16gb").power_modes)
    assert table["memory"][0]["predicted"]["build_mb"] > table["memory"][0]["predicted"]["run_mb"]


def test_a_mode_of_which_nothing_is_known_draws_no_empty_table(qrun: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(qrun), "--board", "orin-nx-16gb", "--mode", "15W"]) == 0
    shown = capsys.readouterr().out
    assert "boards detect" in shown
    assert not any(words in shown for words in ("predicted range", "binds:"))


def test_what_does_not_hold_on_a_board_is_noted(qrun: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(qrun), "--board", "workstation-cuda"]) == 0
    assert "note: the figures are an H100's" in capsys.readouterr().out


def test_the_verb_refuses_with_exit_code_2(qrun: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(qrun), "--board", "orin-nx-16gb", "--mode", "MAXM"]) == 2
    assert "did you mean 'MAXN'" in capsys.readouterr().err
    for board in ("nano", "tx2"):
        assert main(["plan", str(qrun), "--board", board]) == 2
        assert "refused: ends at JetPack 4.6" in capsys.readouterr().err
