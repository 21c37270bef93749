"""Training in two steps: the teacher first, then the network; stopped anywhere, it goes on to the same weights."""

import csv
import dataclasses
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from dis2_edge.dataset import open_dataset
from dis2_edge.errors import CheckpointError, UserError
from dis2_train import checkpoint
from dis2_train.fitting.fit import train
from tests.train.conftest import write_folder
from tests.train.fitting.two_steps import RECIPE, STEPS, PowerCutError, stop_after, take_no_step

ROOTS = [str(Path(__file__).parents[3] / name) for name in (".", "train")]
TERMS = {"full", "heads", "opt", "sar", "texture", "contrast", "pressure"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("data") / "tiny")


@pytest.fixture(scope="module")
def data(folder):
    return open_dataset(folder)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, data):
    """A run that was never stopped."""
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("whole") / "run"
    train(RECIPE, data, out, device="cpu")
    return out


def _weights(run):
    return (run / "weights.safetensors").read_bytes()


def _rows(run):
    rows = list(csv.DictReader((run / "log.csv").read_text().splitlines()))
    return [{name: value for name, value in row.items() if name not in ("seconds", "data_wait")} for row in rows]


def _assert_same(run, whole):
    for one, other in ((run, whole), (run / "teacher", whole / "teacher")):
        assert _weights(one) == _weights(other)
        assert _rows(one) == _rows(other)
    assert not [*run.rglob(".*"), *run.rglob("resume")]


def test_the_user_is_told_each_step_and_the_log_of_each_has_every_term(tmp_path, data, capsys):
    recipe = dataclasses.replace(RECIPE, epochs=1, exchange_threshold=9.0)
    done = train(recipe, data, tmp_path / "run", device="cpu")
    told = [line for line in capsys.readouterr().err.splitlines() if " of 2: " in line or line.startswith("measure")]
    assert [line.split(" ...")[0] for line in told if "measure train: " not in line] == [
        "measure train",  # once, for both
        "step 1 of 2: the teacher, deeplabv3 on opt",
        "step 2 of 2: the network that is taught, csknet on opt, sar",
    ]
    (row,) = _rows(done.path)
    assert {name.removeprefix("loss/") for name in row if name.startswith("loss/")} == TERMS
    assert row["exchanged"] == "0.5"  # with scales below such a threshold, all that can be is exchanged
    (row,) = _rows(done.path / "teacher")
    assert "loss/supervised" in row
    assert "exchanged" not in row
    board = EventAccumulator(str(done.path / "tensorboard")).Reload()
    assert {f"loss/{name}" for name in TERMS} | {"exchanged"} <= set(board.Tags()["scalars"])


def test_nothing_of_the_teacher_is_in_the_network_and_its_folder_is_not_needed_later(tmp_path, whole, data):
    run = tmp_path / "moved"
    shutil.copytree(whole, run, ignore=shutil.ignore_patterns("teacher"))
    done, teacher = checkpoint.load(run), checkpoint.load(whole / "teacher")
    assert not [name for name in done.network.state_dict() if "teacher" in name]
    assert teacher.task.scenarios == ("opt",)
    assert teacher.task.sensors[0] == done.task.sensors[0]
    assert train(RECIPE, data, run, device="cpu", resume=True).metrics == done.metrics
    assert not (run / "teacher").exists()


@pytest.mark.parametrize(("how", "steps"), [("cut", 1), ("term", STEPS), ("term", STEPS + 1)])
def test_a_training_stopped_in_either_step_goes_on_as_if_it_was_not(tmp_path, data, whole, monkeypatch, how, steps):
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        stop_after(patch, steps, how)
        with pytest.raises(PowerCutError if how == "cut" else UserError, match=r"SIGTERM|^$") as stopped:
            train(RECIPE, data, run, device="cpu", save_every_s=0)
    if (how, steps) == ("term", STEPS):  # too late for the teacher, which has no step left
        assert "after 1 of 2 steps of epoch 1" in str(stopped.value)
    assert checkpoint.is_finished(run / "teacher") == (steps >= STEPS)
    torch.rand(7)  # the state of torch's own generator must not matter
    train(RECIPE, data, run, device="cpu", resume=True)
    _assert_same(run, whole)


KILLED = """
import os, signal, sys
from pathlib import Path
from dis2_edge import recipe as recipes
from dis2_edge.dataset import open_dataset
from dis2_train.fitting.fit import train
real = os.replace
def replace(source, target):
    real(source, target)
    if str(target).endswith("teacher/weights.safetensors"):
        os.kill(os.getpid(), signal.SIGKILL)
os.replace = replace
recipe, data, out = map(Path, sys.argv[1:])
train(recipes.load(recipe), open_dataset(data), out, device="cpu", save_every_s=0)
"""


def test_a_kill_between_the_steps_can_be_resumed(tmp_path, folder, data, whole):
    (tmp_path / "recipe.toml").write_text(RECIPE.to_toml())
    command = [sys.executable, "-c", KILLED, *map(str, (tmp_path / "recipe.toml", folder, tmp_path / "run"))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(ROOTS)}
    killed = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    (tmp_path / "run" / ".teacher.a1b2").mkdir()  # as a kill leaves it while the folder is made
    (tmp_path / "run" / "teacher" / ".weights.safetensors.a1b2").write_text("and while a file is")
    train(RECIPE, data, tmp_path / "run", device="cpu", resume=True)
    _assert_same(tmp_path / "run", whole)


@pytest.fixture
def halfway(tmp_path, data, monkeypatch):
    """A run stopped in the second epoch of step 2."""
    with monkeypatch.context() as patch:
        stop_after(patch, 2 * STEPS - 1, "cut")
        with pytest.raises(PowerCutError):
            train(RECIPE, data, tmp_path / "run", device="cpu", save_every_s=0)
    return tmp_path / "run"


def test_a_teacher_that_went_missing_is_trained_again(halfway, data, whole):
    shutil.rmtree(halfway / "teacher")
    train(RECIPE, data, halfway, device="cpu", resume=True)
    _assert_same(halfway, whole)


def test_a_damaged_teacher_of_a_runs_own_is_named_with_a_mend(halfway, data, monkeypatch):
    (halfway / "teacher" / "weights.safetensors").write_bytes(b"GIF89a")
    take_no_step(monkeypatch)
    with pytest.raises(
        CheckpointError, match=r"teacher/weights.safetensors is .*damaged.*; remove .*teacher: --resume"
    ):
        train(RECIPE, data, halfway, device="cpu", resume=True)
