"""A model to start from: what fits is taken, what does not is named, and a resumed run asks for it no more."""

import dataclasses
import hashlib
import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from dis2_edge import cli
from dis2_edge.errors import CheckpointError
from dis2_edge.recipe import Recipe
from dis2_train import checkpoint, networks
from dis2_train.fitting.start import start_from

RECIPE = Recipe(width=0.125, threads=1)


@pytest.fixture
def task(tiny_task):
    return dataclasses.replace(tiny_task, grid=(32, 32))


@pytest.fixture
def model(tmp_path, task):
    """A finished run of another seed."""
    network = networks.build(dataclasses.replace(RECIPE, seed=7), task)
    checkpoint.save(tmp_path / "model", network, recipe=RECIPE, statistics=(), metrics={"scenarios": {}})
    return tmp_path / "model"


def _tensors(model):
    return load_file(model / "weights.safetensors")


def _with_classes(task, *classes):
    return dataclasses.replace(task, classes=classes, colours=("#000000",) * len(classes))


def _of(task, *sensors):
    return dataclasses.replace(task, sensors=tuple(task.sensor(name) for name in sensors))


def _assert_started(network, recipe, start, model):
    """Kept tensors are the model's, fresh ones those of a network without a model."""
    ours, theirs, new = network.state_dict(), _tensors(model), networks.build(recipe, network.task).state_dict()
    assert set(start.kept) | set(start.resized) | set(start.fresh) == set(ours)
    assert all(torch.equal(ours[name], theirs[name]) for name in start.kept)
    assert all(torch.equal(ours[name], new[name]) for name in start.fresh)


@pytest.mark.parametrize("given", ["", "weights.safetensors"])
def test_the_same_network_takes_everything(task, model, given, capsys):
    network = networks.build(RECIPE, task)
    start = start_from(network, RECIPE, model / given)
    assert (start.fresh, start.resized) == ((), ())
    _assert_started(network, RECIPE, start, model)
    digest = hashlib.sha256((model / "weights.safetensors").read_bytes()).hexdigest()
    assert (start.weights_sha256, len(start.recipe_sha256)) == (digest, 64)
    assert f"{len(start.kept)} of {len(start.kept)} tensors" in capsys.readouterr().err


@pytest.mark.parametrize("network", ["dis2", "early_fusion", "csknet"])
@pytest.mark.parametrize("classes", [("low", "high", "water"), ("dry", "flood"), ("high", "low")])
def test_another_class_list_starts_the_heads_afresh(tmp_path, task, network, classes, capsys):
    recipe = dataclasses.replace(RECIPE, network=network)
    old = networks.build(dataclasses.replace(recipe, seed=7), task)
    checkpoint.save(tmp_path / "m", old, recipe=recipe, statistics=(), metrics={"scenarios": {}})
    new = networks.build(recipe, _with_classes(task, *classes))
    start = start_from(new, recipe, tmp_path / "m")
    _assert_started(new, recipe, start, tmp_path / "m")
    assert any("head" in name and name.endswith(".weight") for name in start.fresh)
    assert 0 < len(start.fresh) < len(start.kept)
    said = capsys.readouterr().err
    assert "afresh (another class list): " in said
    assert "head" in said


def test_positions_of_another_grid_are_interpolated(task, model):
    wider = dataclasses.replace(task, grid=(32, 64))
    network = networks.build(RECIPE, wider)
    start = start_from(network, RECIPE, model)
    assert start.fresh == ()
    assert start.resized
    assert all(name.endswith("position") for name in start.resized)
    name = start.resized[0]
    ours, theirs = network.state_dict()[name], _tensors(model)[name]
    assert ours.shape[2:] == (2, 4)
    torch.testing.assert_close(ours.mean(dim=3), theirs.mean(dim=3))


def test_half_precision_weights_are_widened(task, model):
    halved = {name: value.half() if value.is_floating_point() else value for name, value in _tensors(model).items()}
    save_file(halved, model / "weights.safetensors")
    network = networks.build(RECIPE, task)
    assert start_from(network, RECIPE, model).fresh == ()
    assert all(value.dtype != torch.float16 for value in network.state_dict().values())


def test_a_sensor_of_another_name_in_the_same_place_is_the_same(task, model):
    renamed = (dataclasses.replace(task.sensors[0], name="camera"), task.sensors[1])
    network = networks.build(RECIPE, dataclasses.replace(task, sensors=renamed))
    start = start_from(network, RECIPE, model)
    assert start.fresh == ()
    ours, theirs = network.state_dict(), _tensors(model)
    name = "encoders.opt.stages.0.conv.weight"
    assert torch.equal(ours[name.replace("opt", "camera")], theirs[name])


def test_sensors_in_another_order_are_refused(task, model):
    network = networks.build(RECIPE, dataclasses.replace(task, sensors=task.sensors[::-1]))
    with pytest.raises(CheckpointError, match=r'in the order opt, sar; .*sar, opt; --set \'sensors=\["opt", "sar"\]\''):
        start_from(network, RECIPE, model)


def test_a_model_of_which_nothing_fits_is_refused_and_changes_nothing(task, model):
    other = dataclasses.replace(RECIPE, network="early_fusion")
    network = networks.build(other, task)
    with pytest.raises(CheckpointError, match=r"nothing in .*model fits this network; expected a model of the same"):
        start_from(network, other, model)
    new = networks.build(other, task).state_dict()
    assert all(torch.equal(value, new[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda model: (model / "weights.safetensors").unlink(), "the training of .*model is not finished"),
        (lambda model: (model / "weights.safetensors").write_bytes(b"GIF89a"), "missing or damaged"),
        (lambda model: (model / "task.json").unlink(), r"task\.json"),
        (shutil.rmtree, r"is not there; expected the folder of a finished run"),
    ],
)
def test_a_model_that_is_none_is_named(task, model, spoil, message):
    spoil(model)
    with pytest.raises(CheckpointError, match=message):
        start_from(networks.build(RECIPE, task), RECIPE, model)


def test_a_run_records_its_start_and_resumes_without_the_model(tmp_path, tiny_folder, task, capsys):
    recipe = dataclasses.replace(RECIPE, network="early_fusion", grid=(32, 32), crop=16, batch=4, epochs=1)
    old = networks.build(dataclasses.replace(recipe, seed=7), task)
    checkpoint.save(tmp_path / "m", old, recipe=recipe, statistics=(), metrics={"scenarios": {}})
    (tmp_path / "recipe.toml").write_text(recipe.to_toml())
    words = ["train", str(tmp_path / "recipe.toml"), "--data", str(tiny_folder), "--device", "cpu"]
    words += ["--out", str(tmp_path / "run"), "--init", str(tmp_path / "m"), "--resume"]
    assert cli.main(words) == 0
    record = json.loads((tmp_path / "run" / "init.json").read_text())
    assert record["model"] == str(tmp_path / "m")
    assert record["fresh"] == []
    assert "init: " in capsys.readouterr().err
    shutil.rmtree(tmp_path / "m")
    assert cli.main(words) == 0
    assert "init: " not in capsys.readouterr().err


@pytest.mark.parametrize("network", ["dis2", "early_fusion", "csknet", "deeplabv3"])
def test_a_checkpoint_of_another_class_count_is_told_from_other_recipes(task, network):
    recipe = dataclasses.replace(RECIPE, network=network)
    task = _of(task, "opt") if network == "deeplabv3" else task
    five = networks.build(recipe, _with_classes(task, *"abcde")).state_dict()
    with pytest.raises(CheckpointError, match=r"w\.st has 5 classes; expected 2: low, high; .*--init"):
        checkpoint.fill(networks.build(recipe, task), five, where="w.st")
    wider = networks.build(dataclasses.replace(recipe, width=0.25), task).state_dict()
    with pytest.raises(CheckpointError, match="another recipe"):
        checkpoint.fill(networks.build(recipe, task), wider, where="w.st")


def test_weights_that_a_recipe_shares_must_be_equal_in_the_model(task, model):
    apart = dataclasses.replace(RECIPE, shared="encoders", seed=7)
    shutil.rmtree(model)
    checkpoint.save(model, networks.build(apart, task), recipe=apart, statistics=(), metrics={"scenarios": {}})
    with pytest.raises(CheckpointError, match=r"weights of its own where the recipe shares them.*shared=encoders"):
        start_from(networks.build(dataclasses.replace(RECIPE, shared="branch"), task), RECIPE, model)


def test_lone_encoders_start_from_those_that_a_model_shares(task, tmp_path):
    together = dataclasses.replace(RECIPE, shared="encoders", seed=7)
    source = networks.build(together, task)
    checkpoint.save(tmp_path / "m", source, recipe=together, statistics=(), metrics={"scenarios": {}})
    network = networks.build(RECIPE, task)
    assert start_from(network, RECIPE, tmp_path / "m").fresh == ()
    for name, value in source.encoders.state_dict().items():
        assert torch.equal(network.lone_encoders.state_dict()[name], value)


def _deeplab(tmp_path, task, sensor, **changes):
    recipe = dataclasses.replace(RECIPE, network="deeplabv3", seed=7, **changes)
    network = networks.build(recipe, _of(task, sensor))
    checkpoint.save(tmp_path / "lone", network, recipe=recipe, statistics=(), metrics={"scenarios": {}})
    return network


@pytest.mark.parametrize("norms", ["scenario", "shared"])
@pytest.mark.parametrize("sensor", ["opt", "sar"])
def test_the_lone_path_of_a_csknet_starts_from_a_deeplab_of_that_sensor(tmp_path, task, sensor, norms):
    lone, recipe = _deeplab(tmp_path, task, sensor), dataclasses.replace(RECIPE, network="csknet", norms=norms)
    network = networks.build(recipe, task)
    start = start_from(network, recipe, tmp_path / "lone")
    frames = {name: torch.randn(1, task.sensor(name).channels, 32, 32) for name in task.sensor_names}
    expected = lone.eval()(frames, sensor).logits
    assert torch.equal(network.eval()(frames, sensor).logits, expected)
    other = "sar" if sensor == "opt" else "opt"
    assert f"stems.{sensor}.conv.weight" in start.kept
    assert {f"stems.{other}.conv.weight", f"decoders.{other}.point.norms.{other}.weight"} <= set(start.fresh)


def test_a_deeplab_of_another_name_starts_the_sensor_in_its_place_and_one_of_another_width_nothing(tmp_path, task):
    _deeplab(tmp_path, task, "opt")
    renamed = dataclasses.replace(task, sensors=(dataclasses.replace(task.sensors[0], name="rgb"), task.sensors[1]))
    recipe = dataclasses.replace(RECIPE, network="csknet")
    start = start_from(networks.build(recipe, renamed), recipe, tmp_path / "lone")
    assert "stems.rgb.conv.weight" in start.kept
    wider = dataclasses.replace(recipe, width=0.25)
    with pytest.raises(CheckpointError, match=r"nothing in .*lone fits this network"):
        start_from(networks.build(wider, task), wider, tmp_path / "lone")


def test_sensors_of_a_csknet_are_renamed_too(tmp_path, task):
    recipe = dataclasses.replace(RECIPE, network="csknet")
    old = networks.build(dataclasses.replace(recipe, seed=7), task)
    checkpoint.save(tmp_path / "m", old, recipe=recipe, statistics=(), metrics={"scenarios": {}})
    renamed = tuple(dataclasses.replace(sensor, name=f"my{sensor.name}") for sensor in task.sensors)
    network = networks.build(recipe, dataclasses.replace(task, sensors=renamed))
    start = start_from(network, recipe, tmp_path / "m")
    assert start.fresh == ()
    assert torch.equal(network.heads["myopt+mysar"].weight, old.heads["opt+sar"].weight)


def test_norms_that_a_csknet_shares_must_be_equal_in_the_model(tmp_path, task):
    apart = dataclasses.replace(RECIPE, network="csknet", seed=7)
    network = networks.build(apart, task)
    torch.nn.init.constant_(network.encoder["enter3"].norms["sar"].weight, 0.5)
    checkpoint.save(tmp_path / "m", network, recipe=apart, statistics=(), metrics={"scenarios": {}})
    recipe = dataclasses.replace(apart, norms="shared")
    with pytest.raises(CheckpointError, match=r"weights of its own where the recipe shares them.*norms=scenario"):
        start_from(networks.build(recipe, task), recipe, tmp_path / "m")
