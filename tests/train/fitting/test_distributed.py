"""Two processes train as one would with the same global batch, stop as one, and none waits for one that failed."""

import csv

import pytest
import torch

from dis2_edge.errors import RecipeError
from dis2_edge.recipe import Recipe
from dis2_train import networks
from dis2_train.checkpoint import read_tensors
from dis2_train.fitting.devices import found, joined
from dis2_train.fitting.fit import train
from dis2_train.fitting.loop import check_even
from tests.train.processes import finish, frozen, launch, launch_by_command

RECIPE = {"width": 0.125, "grid": (32, 32), "crop": 16, "batch": 4, "epochs": 2, "threads": 1, "evaluate_every": 1}
# AdamW divides by the size of the gradient, and so makes much of rounding where that is nearly 0.
RECIPE |= {"optimizer": "sgd", "learning_rate": 0.01}

_TIMES = ("seconds", "data_wait")


@pytest.fixture
def start(tmp_path, tiny_folder):
    """Start a training into `two` as two processes, with frozen norms."""

    def started(recipe, *more, by=launch, **extra):
        (tmp_path / "two.toml").write_text(recipe.to_toml())
        words = tmp_path / "two.toml", tiny_folder, tmp_path / "two", *more
        return finish(by(2, *words, extra={"FROZEN": "1", **extra}))

    return started


@pytest.fixture
def alone(tmp_path, tiny_data, monkeypatch):
    """Train into `one` in this process, with frozen norms."""
    build = networks.build
    monkeypatch.setattr(networks, "build", lambda *args: frozen(build(*args)))
    return lambda recipe: train(recipe, tiny_data, tmp_path / "one", device="cpu")


def _rows(folder):
    rows = list(csv.DictReader((folder / "log.csv").read_text().splitlines()))
    return [{name: float(value) for name, value in row.items() if name not in _TIMES and value} for row in rows]


def _assert_same(one, two):
    """Losses to 1e-5, and weights to nearly that."""
    for theirs, ours in zip(_rows(two), _rows(one), strict=True):
        assert {name for name in ours if name.startswith("loss/")}
        for name, value in ours.items():
            # A pixel whose classes are as good as equal may fall to the other one.
            assert theirs[name] == pytest.approx(value, rel=1e-5, abs=2e-3 if "miou" in name else 1e-6), name
    theirs = read_tensors(two / "weights.safetensors")[0]
    for name, value in read_tensors(one / "weights.safetensors")[0].items():
        torch.testing.assert_close(theirs[name], value, atol=1e-5, rtol=1e-4, msg=name)


def test_two_processes_lose_and_learn_what_one_does(tmp_path, start, alone):
    recipe = Recipe(**RECIPE, distill_weight=1.0, distill_after=0.5)
    ended = start(recipe)
    assert [code for code, _ in ended] == [0, 0], ended
    assert ["IoU" in said for _, said in ended] == [True, False]  # one of them talks
    alone(recipe)
    _assert_same(tmp_path / "one", tmp_path / "two")


def test_the_command_starts_the_processes_that_it_is_asked_for(tmp_path, start, alone):
    recipe = Recipe(**{**RECIPE, "preset": "paper", "grid": (16, 16), "epochs": 1})
    ((code, said),) = start(recipe, by=launch_by_command)
    assert code == 0, said
    assert said.count("IoU low") == 1  # of one process
    alone(recipe)
    _assert_same(tmp_path / "one", tmp_path / "two")


def test_two_processes_train_the_teacher_together_and_both_learn_from_it(tmp_path, start, alone):
    # Which places are contrasted is drawn by each process for itself, as dropout is.
    recipe = Recipe(
        **{**RECIPE, "network": "csknet", "contrast_weight": 0.0, "exchange_threshold": 0.9999, "epochs": 1}
    )
    ended = start(recipe)
    assert [code for code, _ in ended] == [0, 0], ended
    assert ["step 2 of 2" in said for _, said in ended] == [True, False]
    alone(recipe)
    for part in ("", "teacher"):
        _assert_same(tmp_path / "one" / part, tmp_path / "two" / part)


def test_a_wish_to_stop_that_one_process_hears_stops_both_and_loses_nothing(tmp_path, start, alone):
    recipe = Recipe(**{**RECIPE, "network": "early_fusion", "batch": 2, "accumulate": 2, "crops_per_image": 2})
    ended = start(recipe, STOPPED="1")
    assert [code for code, _ in ended] == [2, 2], ended
    assert "stopped by SIGTERM after 3 of 5 steps of epoch 2" in ended[0][1]
    assert "--resume" in ended[0][1]
    assert not (tmp_path / "two" / "weights.safetensors").exists()
    ended = start(recipe, "--resume")
    assert [code for code, _ in ended] == [0, 0], ended
    alone(recipe)
    _assert_same(tmp_path / "one", tmp_path / "two")


def test_when_one_process_fails_the_other_does_not_wait(tmp_path, start):
    ended = start(Recipe(**RECIPE), FAILS="1")
    assert [code for code, _ in ended] == [2, 1], ended
    assert "another process of this training failed" in ended[0][1]
    assert "lost its disk" in ended[1][1]
    assert not (tmp_path / "two" / "recipe.toml").exists()


TORCHRUN = {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4"}
SLURM = {"SLURM_NTASKS": "8", "SLURM_PROCID": "3", "SLURM_NTASKS_PER_NODE": "4", "SLURM_NNODES": "2"}


@pytest.mark.parametrize("environment", [TORCHRUN, SLURM])
def test_processes_that_a_launcher_started_are_found(environment):
    assert found(environment, 0, 0) == found(environment, 4, 2) == (4, 2)
    with pytest.raises(RecipeError, match=r"--devices is 2, and \w+ started 4; leave --devices out"):
        found(environment, 2, 0)
    with pytest.raises(RecipeError, match=r"--nodes is 3"):
        found(environment, 0, 3)


def test_without_a_launcher_one_process_trains_unless_more_are_asked_for():
    assert found({}, 0, 0) == (1, 1)
    assert found({}, 2, 0) == (2, 1)
    assert found({**SLURM, "SLURM_JOB_NAME": "interactive"}, 0, 0) == (1, 1)
    assert found({**SLURM, "SLURM_NTASKS": "1"}, 0, 0) == (1, 1)
    assert found({"NODE_RANK": "1"}, 2, 2) == (2, 2)
    with pytest.raises(RecipeError, match=r"nothing started this command on the others; .*torchrun or srun"):
        found({}, 2, 2)
    with pytest.raises(RecipeError, match="--devices is -1"):
        found({}, -1, 0)


def test_slurm_tasks_of_unknown_place_are_refused():
    with pytest.raises(RecipeError, match="does not say how many a node; add --ntasks-per-node"):
        found({"SLURM_NTASKS": "8", "SLURM_PROCID": "3"}, 0, 0)


def test_a_batch_that_cannot_be_shared_evenly_is_refused():
    check_even(100, Recipe(batch=8), 4)
    check_even(6, Recipe(batch=8), 3)  # the one batch of a small split
    with pytest.raises(RecipeError, match=r"a batch of 6 images for 4 processes; .*the same number.*--set batch=4"):
        check_even(100, Recipe(batch=6), 4)
    with pytest.raises(RecipeError, match="--set batch=8"):
        check_even(100, Recipe(batch=2), 8)


def test_half_precision_floats_want_a_gpu():
    with pytest.raises(RecipeError, match=r"precision is fp16 on a CPU.*--set precision=bf16"), joined("cpu", "fp16"):
        pass
