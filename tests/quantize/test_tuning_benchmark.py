"""The ablation of tuning, small: figures are those of the students, finished rows are not made again."""

import json
import sys

import pytest
import torch

from benchmarks import modelopt_ptq, tuning
from benchmarks.tuning_rows import ROWS, CoarseQuant, OwnScenario


@pytest.fixture
def call(trained, aerial, tmp_path):
    run = trained("dis2")

    def main(only, out=tmp_path / "tuning.json", epochs=1):
        words = [run.path, "--data", aerial.root, "--epochs", epochs, "--only", only, "--out", out]
        return tuning.main([str(word) for word in words])

    return main


def test_rows_are_printed_and_made_once(call, tmp_path, capsys, monkeypatch):
    assert call("3 bits: labels") == 0
    shown = capsys.readouterr().out
    assert "rgb+ndsm: 2 val and 2 test images" in shown
    kept = json.loads((tmp_path / "tuning.json").read_text())
    assert set(kept["3 bits: labels"]["figures"]) == {"rgb+ndsm", "rgb", "ndsm"}
    made, students = [], tuning.students_of

    def watched(bench, row, recipe):
        made.append(row.name)
        return students(bench, row, recipe)

    monkeypatch.setattr(tuning, "students_of", watched)
    assert call("3 bits: labels") == 0
    assert not made
    assert capsys.readouterr().out == shown
    assert call("3 bits: labels", epochs=2) == 0  # another setting: what is kept is not its answer
    assert made == ["3 bits: labels"]


def test_a_broken_file_of_figures_is_told(call, tmp_path, capsys):
    (tmp_path / "tuning.json").write_text("{")
    assert call("calibrated, mse") == 2
    assert "tuning.json" in capsys.readouterr().err


@pytest.mark.parametrize(("low", "values"), [(0.0, 8), (-1.0, 7)])
def test_three_bits_are_eight_values_or_seven_around_zero(low, values):
    quant = CoarseQuant("here", "minmax", 3)
    x = torch.linspace(low, 1, 1000)
    quant(x)
    quant.freeze()
    assert len(quant(x).unique()) == values
    assert quant(torch.zeros(1)) == 0


def test_the_teacher_of_the_own_scenario_sees_no_more_than_its_student(lived_in):
    from small import TWO, frames_of

    network = lived_in("dis2", TWO)
    frames = frames_of(TWO)
    expected = network({"rgb": frames["rgb"]}, "rgb", ("f1",))
    found = OwnScenario(network, "rgb")(frames, "rgb+ndsm", ("f1",))
    assert torch.equal(found.logits, expected.logits)


def test_names_of_rows_are_unique():
    assert len({row.name for row in ROWS}) == len(ROWS)


def test_without_modelopt_its_benchmark_says_how_to_get_it(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "modelopt", None)
    assert modelopt_ptq.main([str(tmp_path), "--data", str(tmp_path)]) == 2
    assert "pip install nvidia-modelopt" in capsys.readouterr().err
