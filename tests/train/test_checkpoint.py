"""A run folder is whole or plainly unfinished, and says what is wrong when it is neither."""

import errno
import json
import os

import pytest
import safetensors.torch
import torch

from dis2_edge.errors import CheckpointError, StorageError
from dis2_edge.statistics import measure
from dis2_train import checkpoint, networks

METRICS = {"split": "test", "images": 1, "scenarios": {"opt": {"confusion": [[3, 1, 0], [0, 2, 0]], "miou": 0.7}}}


@pytest.fixture
def run(tmp_path, tiny_network, tiny_data, tiny_recipe, monkeypatch):
    """A saved run of the tiny network; `networks.build` is made to build it."""
    monkeypatch.setattr(networks, "build", lambda recipe, task: tiny_network(width=int(4 * recipe.width), seed=99))
    statistics = measure(tiny_data, "train")
    checkpoint.save(tmp_path / "run", tiny_network(), recipe=tiny_recipe(), statistics=statistics, metrics=METRICS)
    return tmp_path / "run"


def test_what_was_saved_is_loaded(run, tiny_network, tiny_recipe, tiny_data, tiny_task):
    found = checkpoint.load(run)
    assert (found.recipe, found.task, found.metrics) == (tiny_recipe(), tiny_task, METRICS)
    assert found.statistics == measure(tiny_data, "train")
    assert not found.network.training
    weights = tiny_network().state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in found.network.state_dict().items())


def test_equal_runs_are_equal_bytes(run, tmp_path, tiny_network, tiny_data, tiny_recipe):
    statistics = measure(tiny_data, "train")
    checkpoint.save(tmp_path / "again", tiny_network(), recipe=tiny_recipe(), statistics=statistics, metrics=METRICS)
    for file in run.iterdir():
        assert file.read_bytes() == (tmp_path / "again" / file.name).read_bytes()


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="nowhere is no folder"):
        checkpoint.load(tmp_path / "nowhere")


def test_a_folder_that_is_no_run_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="is not a run: it holds no recipe"):
        checkpoint.load(tmp_path)


def test_an_unfinished_run_says_how_to_go_on(run):
    (run / "weights.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"not finished.*--resume"):
        checkpoint.load(run)


@pytest.mark.parametrize("damage", [lambda data: data[:-5], lambda data: b"\xff" * 9 + data, lambda data: b""])
def test_damaged_weights_are_named(run, damage):
    file = run / "weights.safetensors"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(CheckpointError, match=r"weights\.safetensors is missing or damaged"):
        checkpoint.load(run)


def test_weights_of_another_recipe_name_the_first_tensors_that_differ(run):
    file = run / "recipe.toml"
    file.write_text(file.read_text().replace("width = 1.0", "width = 2.0"))
    with pytest.raises(
        CheckpointError, match=r"checkpoint of another recipe.*float32 4x3x3x3 and should be float32 8x3x3x3"
    ):
        checkpoint.load(run)


def test_missing_and_foreign_tensors_are_named(tiny_network):
    network = tiny_network()
    tensors = dict(network.state_dict())
    tensors["head.bias"] = tensors.pop("last.bias")
    with pytest.raises(CheckpointError, match=r"last\.bias is missing, head\.bias is not in the network"):
        checkpoint.fill(network, tensors, where="w")


def test_an_unknown_key_of_the_recipe_names_the_nearest(run):
    (run / "recipe.toml").write_text("epoch = 3\n")
    with pytest.raises(CheckpointError, match=r"unknown key 'epoch'.*did you mean 'epochs'"):
        checkpoint.load(run)


@pytest.mark.parametrize("name", ["task.json", "statistics.json", "metrics.json"])
@pytest.mark.parametrize("text", ["", "{", "7", '[{"a": 1}]', '{"a": 1}'])
def test_a_broken_part_is_named(run, name, text):
    (run / name).write_text(text)
    with pytest.raises(CheckpointError, match=name.replace(".", r"\.")):
        checkpoint.load(run)


@pytest.mark.parametrize("failing", [1, 3, 5])
def test_a_full_disk_leaves_nothing_behind(tmp_path, tiny_network, tiny_recipe, monkeypatch, failing):
    calls = []

    def fsync(handle):
        calls.append(handle)
        if len(calls) == failing:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(StorageError, match="no space left"):
        checkpoint.save(tmp_path / "out" / "run", tiny_network(), recipe=tiny_recipe(), statistics=(), metrics=METRICS)
    assert list((tmp_path / "out").iterdir()) == []


def test_metrics_are_plain_json(run):
    assert json.loads((run / "metrics.json").read_text()) == METRICS


def halved(run):
    """Round the floating-point weights of `run` to half precision, in place."""
    tensors, metadata = checkpoint.read_tensors(run / "weights.safetensors")
    rounded = {name: t.half() if t.is_floating_point() else t for name, t in tensors.items()}
    safetensors.torch.save_file(rounded, run / "weights.safetensors", metadata)
    return rounded


def test_weights_in_half_precision_become_full_precision_and_the_run_says_so(run):
    assert checkpoint.load(run).stored == "float32"
    rounded = halved(run)
    found = checkpoint.load(run)
    assert found.stored == "float16"
    state = found.network.state_dict()
    assert {tensor.dtype for tensor in state.values()} == {torch.float32, torch.int64}
    assert all(torch.equal(state[name], tensor.to(state[name].dtype)) for name, tensor in rounded.items())


def test_only_half_precision_stands_in_for_full(run):
    tensors, metadata = checkpoint.read_tensors(run / "weights.safetensors")
    tensors["last.bias"] = tensors["last.bias"].double()
    safetensors.torch.save_file(tensors, run / "weights.safetensors", metadata)
    with pytest.raises(CheckpointError, match=r"last\.bias is float64 2 and should be float32 2"):
        checkpoint.load(run)
