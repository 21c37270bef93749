"""Fitting learns, keeps the best average, logs every term, refuses what it cannot do, and finishes its folder."""

import csv
import math
import shutil
import sys

import pytest
import torch

from dis2_edge.dataset import open_dataset
from dis2_edge.errors import RecipeError, StorageError
from dis2_train.checkpoint import read_tensors
from dis2_train.device import choose_device
from dis2_train.fitting.fit import fit
from dis2_train.fitting.schedule import Average, optimizer_for, rate_at


def _rows(run):
    return list(csv.DictReader((run / "log.csv").read_text().splitlines()))


def test_fitting_learns_and_finishes_the_folder(tmp_path, tiny_network, tiny_data, tiny_recipe):
    done = fit(tiny_network(), tiny_data, tiny_recipe(epochs=12, crops_per_image=4), tmp_path / "run")
    scenarios = done.metrics["scenarios"]
    assert list(scenarios) == ["opt+sar", "opt", "sar"]
    assert scenarios["opt"]["miou"] > 0.85
    assert scenarios["sar"]["miou"] > 0.5
    assert (done.metrics["split"], done.metrics["images"]) == ("test", 4)
    names = {path.name for path in (tmp_path / "run").iterdir()} - {"tensorboard"}
    assert names == {"weights.safetensors", "recipe.toml", "task.json", "statistics.json", "metrics.json", "log.csv"}
    saved, _ = read_tensors(tmp_path / "run" / "weights.safetensors")
    assert all(torch.equal(value, saved[name]) for name, value in done.network.state_dict().items())


def test_the_log_has_a_row_an_epoch_and_every_term(tmp_path, tiny_network, tiny_data, tiny_recipe):
    fit(tiny_network(), tiny_data, tiny_recipe(), tmp_path / "run")
    rows = _rows(tmp_path / "run")
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    assert [row["step"] for row in rows] == ["2", "4", "6", "8"]
    assert all(float(row["loss/ce"]) > 0 for row in rows)
    assert "loss/small" in rows[0]
    for scenario in ("opt+sar", "opt", "sar"):
        assert [bool(row[f"val_miou/{scenario}"]) for row in rows] == [False, True, False, True]
    assert any((tmp_path / "run" / "tensorboard").glob("*tfevents*"))


def test_without_tensorboard_there_is_a_word_and_a_csv(
    tmp_path, tiny_network, tiny_data, tiny_recipe, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    fit(tiny_network(), tiny_data, tiny_recipe(epochs=1), tmp_path / "run")
    assert capsys.readouterr().err.count("tensorboard is not installed") == 1
    assert len(_rows(tmp_path / "run")) == 1
    assert not (tmp_path / "run" / "tensorboard").exists()


def test_the_best_look_at_the_validation_split_is_kept(tmp_path, tiny_network, tiny_data, tiny_recipe, monkeypatch):
    looks, ranked = [], iter([0.2, 0.9, 0.4, 0.3])
    monkeypatch.setattr("dis2_train.fitting.loop.mean_miou", lambda counts: next(ranked))

    def look(network, *args, **kwargs):
        looks.append({name: value.clone() for name, value in network.state_dict().items()})
        return {}

    monkeypatch.setattr("dis2_train.fitting.loop.evaluate", look)
    done = fit(tiny_network(), tiny_data, tiny_recipe(evaluate_every=1), tmp_path / "run")
    same = [all(torch.equal(value, look[name]) for name, value in done.network.state_dict().items()) for look in looks]
    assert same == [False, True, False, False, True]  # the last look is the final one, at the test split


def test_data_without_validation_and_test_are_scored_on_what_there_is(
    tmp_path, tiny_network, tiny_folder, tiny_recipe, capsys
):
    shutil.rmtree(tiny_folder / "val")
    shutil.rmtree(tiny_folder / "test")
    done = fit(tiny_network(), open_dataset(tiny_folder), tiny_recipe(epochs=1), tmp_path / "run")
    assert done.metrics["split"] == "train"
    assert "there is no test split: the scores are of 'train'" in capsys.readouterr().err


@pytest.mark.parametrize("choice", [{"optimizer": "sgd"}, {"precision": "bf16"}, {"crop": 0}, {"average_decay": 0.0}])
def test_other_choices_train_too(tmp_path, tiny_network, tiny_data, tiny_recipe, choice):
    fit(tiny_network(), tiny_data, tiny_recipe(epochs=2, **choice), tmp_path / "run")
    losses = [float(row["loss/ce"]) for row in _rows(tmp_path / "run")]
    assert all(math.isfinite(loss) for loss in losses)


def test_a_scenario_without_a_share_is_not_trained(tmp_path, tiny_network, tiny_data, tiny_recipe):
    done = fit(tiny_network(), tiny_data, tiny_recipe(scenario_share=(0.5, 0.0, 0.5)), tmp_path / "run")
    seen = {scenario: int(norm.num_batches_tracked) for scenario, norm in done.network.norms.items()}
    assert seen["opt"] == 0
    assert seen["opt+sar"] > 0
    assert sum(seen.values()) == 8


def test_shares_that_do_not_match_the_scenarios_are_refused(tmp_path, tiny_network, tiny_data, tiny_recipe):
    with pytest.raises(RecipeError, match="scenario_share has 2 values"):
        fit(tiny_network(), tiny_data, tiny_recipe(scenario_share=(0.5, 0.5)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_folder_in_use_is_refused_and_left_alone(tmp_path, tiny_network, tiny_data, tiny_recipe):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("mine")
    with pytest.raises(StorageError, match=r"not empty.*--resume"):
        fit(tiny_network(), tiny_data, tiny_recipe(), tmp_path / "run")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["thesis.txt"]


def test_a_loss_that_is_no_number_stops_with_advice(tmp_path, tiny_network, tiny_data, tiny_recipe):
    network = tiny_network()
    torch.nn.init.constant_(network.last.weight, math.inf)
    with pytest.raises(RecipeError, match=r"the loss 'ce' became nan.*--set learning_rate=0\.005"):
        fit(network, tiny_data, tiny_recipe(), tmp_path / "run")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_that_is_not_there_is_refused():
    assert choose_device("auto").type == "cpu"
    with pytest.raises(RecipeError, match="no CUDA device"):
        choose_device("cuda")


def test_the_rate_rises_over_a_twentieth_and_falls_to_nothing(tiny_recipe):
    rates = [rate_at(step, 200, tiny_recipe(learning_rate=1.0)) for step in range(200)]
    assert rates[:10] == pytest.approx([0.1 * step for step in range(1, 11)])
    assert rates[10] == 1.0
    assert rates[105] == pytest.approx(0.5)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert 0 < rates[-1] < 1e-3
    assert rate_at(0, 1, tiny_recipe(learning_rate=1.0)) == 1.0


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_norms_and_biases_do_not_decay(tiny_network, tiny_recipe, name):
    optimizer = optimizer_for(tiny_network(), tiny_recipe(optimizer=name, weight_decay=0.3))
    decay = {value.ndim > 1: group["weight_decay"] for group in optimizer.param_groups for value in group["params"]}
    assert decay == {True: 0.3, False: 0.0}


def test_the_average_follows_weights_and_running_statistics(tiny_network):
    network = tiny_network()
    average = Average(network, 0.9)
    start = network.last.bias.detach().clone()
    with torch.no_grad():
        network.last.bias += 1
        network.norms["opt"].running_mean += 2
        network.norms["opt"].num_batches_tracked += 5
    average.follow(0)
    torch.testing.assert_close(average.network.last.bias.detach(), start + 0.9)
    torch.testing.assert_close(average.network.norms["opt"].running_mean, torch.full((4,), 1.8))
    assert int(average.network.norms["opt"].num_batches_tracked) == 5
    average.follow(10**6)
    torch.testing.assert_close(average.network.last.bias.detach(), start + 0.91)


def test_an_average_without_decay_is_the_network(tiny_network):
    network = tiny_network()
    average = Average(network, 0.0)
    with torch.no_grad():
        network.last.weight.normal_()
    average.follow(1000)
    assert torch.equal(average.network.last.weight, network.last.weight)
