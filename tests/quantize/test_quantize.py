"""The whole stage, small: students are taught, files judged, the run is whole or absent; bad input is told."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from small import RECIPE, TWO, frames_of

from dis2_boards.packing import quantized
from dis2_edge.dataset import open_dataset
from dis2_edge.errors import DataError, RecipeError
from dis2_quantize.judging import verdict as verdicts
from dis2_quantize.run import quantize
from dis2_quantize.teaching.student import calibrate, make_student
from dis2_quantize.teaching.tune import Keeper, in_need, lesson, tune
from dis2_train import networks
from dis2_train.data.batches import Split
from dis2_train.networks.cost import cost
from dis2_train.networks.seam import Output
from dis2_train.segmenters import open_segmenter

CPU = torch.device("cpu")


@pytest.mark.parametrize("kind", ["dis2", "early_fusion"])
def test_a_run_becomes_files_that_deploy_can_read(trained, aerial, tmp_path, kind):
    run = trained(kind)
    done = quantize(run, run.recipe, aerial, tmp_path / "q", ["fp32", "int8"])
    found = quantized.read(done.path)
    assert [(row.scenario, row.precision) for row in found.models] == [
        (scenario, precision) for precision in ("fp32", "int8") for scenario in aerial.task.scenarios
    ]
    assert {one.agreement for one in done.judged if one.candidate.precision == "fp32"} == {1.0}
    assert all(one.agreement > 0.9 for one in done.judged)
    for row, one, told in zip(found.models, done.judged, done.verdict.rows, strict=True):
        assert row.miou == pytest.approx(one.scores.miou)
        assert (told.file, told.bytes) == (row.file, (done.path / row.file).stat().st_size)
        assert told.median_ms > 0
        assert (told.drop is None) == (row.precision == "fp32")
        assert not told.worst or (done.path / told.worst).is_file()
    assert verdicts.read(done.path) == done.verdict
    with np.load(done.path / found.goldens[0].file) as golden:
        assert {"rgb", "ndsm", "rgb/int8/mask", "rgb+ndsm/fp32/confidence"} <= set(golden.files)
    drift = json.loads((done.path / "drift.json").read_text())
    assert sum(map(sum, drift["rgb/int8/ort"]["confusion"])) > 0
    for path in (done.path, done.path / "models/rgb-int8-ort-frame.onnx"):
        model = open_segmenter(path)
        assert (model.seed, model.precision, model.recipe_name) == (run.recipe.seed, "int8", f"{kind}/default")
        assert model.cost("rgb") == cost(run.network, "rgb")
        assert model.task.colours == run.task.colours


def test_tuning_teaches_and_never_keeps_worse(trained, aerial):
    run = trained("dis2")
    train, validation = (Split(aerial, name, run.task, CPU) for name in ("train", "val"))
    student = make_student(run.network, "ndsm", run.recipe)
    calibrate([student], train, 4)
    before = {name: value.clone() for name, value in student.network.state_dict().items()}
    keeper = Keeper(student, validation)
    first = keeper._best
    tune([student], run.network, train, validation, run.recipe)
    changed = [name for name, value in student.network.state_dict().items() if not torch.equal(value, before[name])]
    keeper.look()
    assert keeper._best >= first
    assert all(not name.endswith("amax") for name in changed)


def test_the_reason_for_tuning_is_the_true_one(trained, aerial, tmp_path, capsys):
    text = (
        (aerial.root / "dataset.toml").read_text().replace('by = "folder"', 'by = "folder"\nnames = ["train", "test"]')
    )
    (tmp_path / "no_val.toml").write_text(text)
    run = trained("early_fusion")
    recipe = dataclasses.replace(run.recipe, quantize_epochs=1)
    quantize(run, recipe, open_dataset(aerial.root, tmp_path / "no_val.toml"), tmp_path / "q", ["int8"])
    said = "".join(capsys.readouterr())
    assert "there is no val split" in said
    assert "cost more" not in said


def test_only_students_that_lost_more_than_may_be_lost_are_in_need(trained, aerial):
    run = trained("dis2")
    train, validation = (Split(aerial, name, run.task, CPU) for name in ("train", "val"))
    students = [make_student(run.network, scenario, run.recipe) for scenario in run.task.scenarios]
    calibrate(students, train, 4)
    with torch.no_grad():
        for parameter in students[1].network.parameters():
            parameter.zero_()
    recipe = dataclasses.replace(RECIPE, tune_above=3.0)
    found = in_need(students, run.network, validation, recipe)
    assert all(points > 3.0 for points in found.values())
    assert set(in_need(students, run.network, validation, RECIPE)) == set(run.task.scenarios)
    assert in_need(students, run.network, None, recipe) == dict.fromkeys(run.task.scenarios)
    assert not in_need(students, run.network, validation, dataclasses.replace(RECIPE, tune_above=100.0))


def test_a_student_that_says_what_its_teacher_says_has_only_its_labels_to_learn():
    logits = torch.randn(1, 3, 8, 8)
    same = Output(logits, {"f": torch.randn(1, 4, 2, 2)})
    other = Output(logits + torch.randn(1, 3, 8, 8), {"f": torch.randn(1, 4, 2, 2)})
    target = torch.zeros(1, 8, 8, dtype=torch.int64)
    assert lesson(same, same, target, RECIPE, 255) < lesson(same, other, target, RECIPE, 255) - 0.1


def test_a_network_without_integer_units_is_refused_and_never_called_int8():
    recipe = dataclasses.replace(RECIPE, preset="paper", width=1.0, crop=0)
    with pytest.raises(RecipeError, match="--precision fp32"):
        make_student(networks.build(recipe, TWO), "rgb", recipe)


def test_an_activation_that_is_not_finite_names_its_layer(lived_in):
    network = lived_in("dis2", TWO)
    with torch.no_grad():
        network.lone_encoders["rgb"].stages[1].norm.bias[0] = float("nan")
    student = make_student(network, "rgb", RECIPE)
    with pytest.raises(DataError, match=r"the layer inner\.first\.stages\.1 gives"):
        student(frames_of(TWO))


@pytest.mark.parametrize("precisions", [["int4"], [], ["fp32", ""]])
def test_an_unknown_precision_is_refused_before_anything_is_made(trained, aerial, tmp_path, precisions):
    with pytest.raises(RecipeError, match="fp32, fp16, int8"):
        quantize(trained("dis2"), RECIPE, aerial, tmp_path / "q", precisions)
    assert not list(tmp_path.iterdir())
