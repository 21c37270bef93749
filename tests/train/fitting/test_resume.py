"""A training that was stopped, however hard, goes on to the very weights of one that was not."""

import csv
import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from dis2_edge.dataset import open_dataset
from dis2_edge.errors import CheckpointError, StorageError
from dis2_edge.recipe import Recipe
from dis2_train import checkpoint, networks
from dis2_train.fitting.fit import fit, train

ROOTS = [str(Path(__file__).parents[3] / name) for name in (".", "train")]


class _PowerCutError(BaseException):
    pass


def _stop_at(network, step):
    """Make the network's losses fail at the given call."""
    losses, calls = network.losses, []

    def failing(*args):
        calls.append(args)
        if len(calls) > step:
            raise _PowerCutError
        return losses(*args)

    network.losses = failing
    return network


def _weights(run):
    return (run / "weights.safetensors").read_bytes()


CHOICES = [
    {},
    {"optimizer": "sgd"},
    {"precision": "bf16"},
    {"batch": 2, "accumulate": 2, "workers": 2},
    {"scenario_sampling": "worst", "evaluate_every": 1, "patience": 1},
]


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("stopped_at", [0, 3, 6])
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path, tiny_network, tiny_data, tiny_recipe, choice, stopped_at):
    recipe = tiny_recipe(**choice)
    fit(tiny_network(), tiny_data, recipe, tmp_path / "whole")
    with pytest.raises(_PowerCutError):
        fit(_stop_at(tiny_network(), stopped_at), tiny_data, recipe, tmp_path / "cut", save_every_s=0)
    torch.rand(7)  # the state of torch's own generator must not matter
    fit(tiny_network(seed=5), tiny_data, recipe, tmp_path / "cut", resume=True)
    assert _weights(tmp_path / "cut") == _weights(tmp_path / "whole")
    assert (tmp_path / "cut" / "metrics.json").read_bytes() == (tmp_path / "whole" / "metrics.json").read_bytes()
    logs = [list(csv.DictReader((tmp_path / name / "log.csv").read_text().splitlines())) for name in ("cut", "whole")]
    for row in logs[0] + logs[1]:
        del row["seconds"], row["data_wait"]
    assert logs[0] == logs[1]


KILLED = """
import os, signal, sys
from pathlib import Path
from dis2_edge import recipe as recipes
from dis2_edge.dataset import open_dataset
from dis2_train.fitting.fit import train
real, calls = os.replace, []
def replace(source, target):
    calls.append(target)
    if len([one for one in calls if str(one).endswith("state.safetensors")]) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    real(source, target)
os.replace = replace
recipe, data, out = map(Path, sys.argv[1:])
train(recipes.load(recipe), open_dataset(data), out, device="cpu", save_every_s=0)
"""


def test_a_kill_while_the_state_is_written_can_be_resumed(tmp_path, tiny_folder):
    recipe = Recipe(
        network="early_fusion", width=0.125, grid=(32, 32), crop=16, batch=4, epochs=3, threads=1, evaluate_every=1
    )
    (tmp_path / "recipe.toml").write_text(recipe.to_toml())
    command = [sys.executable, "-c", KILLED, *map(str, (tmp_path / "recipe.toml", tiny_folder, tmp_path / "cut"))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(ROOTS)}
    killed = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    (tmp_path / "cut" / ".log.csv.a1b2").write_text("what a kill leaves")
    data = open_dataset(tiny_folder)
    train(recipe, data, tmp_path / "cut", device="cpu", resume=True)
    train(recipe, data, tmp_path / "whole", device="cpu")
    assert _weights(tmp_path / "cut") == _weights(tmp_path / "whole")
    assert not list((tmp_path / "cut").rglob(".*"))


def test_to_resume_what_was_never_begun_is_to_begin(tmp_path, tiny_network, tiny_data, tiny_recipe):
    (tmp_path / "run").mkdir()
    fit(tiny_network(), tiny_data, tiny_recipe(epochs=1), tmp_path / "run", resume=True)
    assert checkpoint.is_finished(tmp_path / "run")


def test_to_resume_what_is_finished_changes_nothing(tmp_path, tiny_data, tiny_network, tiny_recipe, monkeypatch):
    monkeypatch.setattr(networks, "build", lambda recipe, task: tiny_network())
    once = train(tiny_recipe(epochs=1), tiny_data, tmp_path / "run", device="cpu")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")}
    again = train(tiny_recipe(epochs=1), tiny_data, tmp_path / "run", device="cpu", resume=True)
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")}
    assert again.metrics == once.metrics


@pytest.fixture
def cut(tmp_path, tiny_network, tiny_data, tiny_recipe):
    """A run stopped in its third epoch."""
    with pytest.raises(_PowerCutError):
        fit(_stop_at(tiny_network(), 5), tiny_data, tiny_recipe(), tmp_path / "run", save_every_s=0)
    return tmp_path / "run"


def test_hidden_files_of_a_users_own_stay(cut, tiny_network, tiny_data, tiny_recipe):
    (cut / ".gitignore").write_text("resume/")
    (cut / ".cache").mkdir()
    (cut / "resume" / ".state.safetensors.a1b2").write_text("what a kill leaves")
    fit(tiny_network(), tiny_data, tiny_recipe(), cut, resume=True)
    assert sorted(path.name for path in cut.rglob(".*")) == [".cache", ".gitignore"]


def test_another_recipe_is_refused_by_the_first_key_that_differs(cut, tiny_network, tiny_data, tiny_recipe):
    with pytest.raises(CheckpointError, match="begun with epochs = 4, the recipe now says 9"):
        fit(tiny_network(), tiny_data, tiny_recipe(epochs=9, batch=2), cut, resume=True)


def test_other_data_are_refused(cut, tiny_folder, tiny_network, tiny_data, tiny_recipe):
    network = tiny_network()
    object.__setattr__(network.task, "classes", ("low", "high", "other"))
    with pytest.raises(
        CheckpointError, match=r"begun on other data: with the 2 classes low, high; .*the 3 of .*--init"
    ):
        fit(network, tiny_data, tiny_recipe(), cut, resume=True)
    object.__setattr__(network.task, "classes", ("low", "high"))
    object.__setattr__(network.task, "grid", (32, 32))
    with pytest.raises(CheckpointError, match=r"begun on other data: its task\.json differs"):
        fit(network, tiny_data, tiny_recipe(), cut, resume=True)


def test_a_state_of_another_network_is_refused(cut, tiny_network, tiny_data, tiny_recipe):
    with pytest.raises(CheckpointError, match="another recipe"):
        fit(tiny_network(width=8), tiny_data, tiny_recipe(), cut, resume=True)


def test_a_damaged_state_is_named(cut, tiny_network, tiny_data, tiny_recipe):
    file = cut / "resume" / "state.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(CheckpointError, match=r"state\.safetensors is missing or damaged"):
        fit(tiny_network(), tiny_data, tiny_recipe(), cut, resume=True)


@pytest.mark.parametrize("name", ["log.csv", "state.safetensors", "metrics.json", "weights.safetensors"])
def test_a_disk_that_fills_up_leaves_a_run_to_resume(
    cut, tmp_path, tiny_network, tiny_data, tiny_recipe, monkeypatch, name
):
    replace = os.replace

    def full(source, target):
        if Path(target).name == name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(StorageError, match=f"no space left while writing .*{name}"):
            fit(tiny_network(), tiny_data, tiny_recipe(), cut, resume=True, save_every_s=0)
    assert not list(cut.rglob(".*"))
    assert not checkpoint.is_finished(cut)
    fit(tiny_network(), tiny_data, tiny_recipe(), cut, resume=True)
    fit(tiny_network(), tiny_data, tiny_recipe(), tmp_path / "whole")
    assert _weights(cut) == _weights(tmp_path / "whole")
