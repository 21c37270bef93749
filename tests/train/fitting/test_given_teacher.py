"""`--teacher RUN`: a fit one is copied and learned from; any other is refused before anything is trained or written."""

import dataclasses
import shutil

import pytest
import torch

from dis2_edge import cli
from dis2_edge.errors import CheckpointError, RecipeError
from dis2_edge.statistics import measure, with_statistics
from dis2_train import checkpoint, networks
from dis2_train.fitting.fit import fit, train
from dis2_train.fitting.loop import Training
from tests.train.fitting.two_steps import RECIPE, PowerCutError, stop_after, take_no_step

ONCE = dataclasses.replace(RECIPE, epochs=1, evaluate_every=1)
LESSON = dataclasses.replace(ONCE, network="deeplabv3", sensors=("opt",))


@pytest.fixture
def seen(tiny_data):
    """The data on the grid of the recipes."""
    return tiny_data.narrowed(tiny_data.task.sensor_names, (32, 32))


@pytest.fixture
def task(seen):
    return with_statistics(seen.task, measure(seen, "train"))


@pytest.fixture
def made(tmp_path, task):
    """Make the finished run `name` of a network of `recipe`, untrained, for the task with changes."""

    def make(name, recipe=LESSON, **changes):
        sensors = tuple(sensor for sensor in task.sensors if sensor.name in (recipe.sensors or task.sensor_names))
        changed = dataclasses.replace(task, **{"sensors": sensors, **changes})
        network = networks.build(recipe, changed)
        checkpoint.save(tmp_path / name, network, recipe=recipe, statistics=(), metrics={"scenarios": {}})
        return tmp_path / name

    return make


def test_a_given_teacher_is_copied_so_that_the_run_is_resumed_without_it(tmp_path, made, tiny_data, monkeypatch):
    given = made("given", dataclasses.replace(LESSON, seed=7, epochs=9))  # trained otherwise: no matter
    (given / "resume").mkdir()
    with monkeypatch.context() as patch:
        stop_after(patch, 1, "cut")
        with pytest.raises(PowerCutError):
            train(ONCE, tiny_data, tmp_path / "run", device="cpu", teacher=given)
    own = tmp_path / "run" / "teacher"
    files = {path.name: path.read_bytes() for path in given.iterdir() if path.is_file()}
    assert {path.name: path.read_bytes() for path in own.iterdir()} == files
    given = given.rename(tmp_path / "elsewhere")
    train(ONCE, tiny_data, tmp_path / "run", device="cpu", resume=True)
    train(ONCE, tiny_data, tmp_path / "whole", device="cpu", teacher=given)
    weights = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("run", "whole")]
    assert weights[0] == weights[1]


def test_another_teacher_in_mid_run_is_refused_and_the_same_is_not(tmp_path, made, tiny_data, monkeypatch):
    first, second = made("first"), made("second", dataclasses.replace(LESSON, seed=7))
    with monkeypatch.context() as patch:
        stop_after(patch, 1, "cut")
        with pytest.raises(PowerCutError):
            train(ONCE, tiny_data, tmp_path / "run", device="cpu", teacher=first)
    with pytest.raises(CheckpointError, match=r"begun with another teacher than .*second; .*leave --teacher out"):
        train(ONCE, tiny_data, tmp_path / "run", device="cpu", resume=True, teacher=second)
    shutil.rmtree(tmp_path / "run" / "teacher")  # gone: the one that is given takes its place
    train(ONCE, tiny_data, tmp_path / "run", device="cpu", resume=True, teacher=first)
    assert checkpoint.is_finished(tmp_path / "run" / "teacher")


def test_a_teacher_is_refused_where_one_of_the_runs_own_is_half_trained(tmp_path, made, tiny_data, monkeypatch):
    with monkeypatch.context() as patch:
        stop_after(patch, 1, "cut")
        with pytest.raises(PowerCutError):
            train(ONCE, tiny_data, tmp_path / "run", device="cpu")
    take_no_step(monkeypatch)
    with pytest.raises(CheckpointError, match="begun with another teacher"):
        train(ONCE, tiny_data, tmp_path / "run", device="cpu", resume=True, teacher=made("given"))


def _other_mean(task):
    (sensor, _) = task.sensors
    return (
        dataclasses.replace(sensor, mean=tuple(mean + std for mean, std in zip(sensor.mean, sensor.std, strict=True))),
    )


def _unfinished(made):
    run = made("unfinished")
    (run / "weights.safetensors").unlink()
    return run


def _with(**changes):
    return dataclasses.replace(LESSON, **changes)


WRONG = {
    "network": (lambda made, task: made("t", _with(network="single")), r"has no maps early.*expected a deeplabv3"),
    "sensor": (
        lambda made, task: made("t", _with(sensors=("sar",))),
        r"it sees sar \(radar, 1 x DN\).*sees opt \(opti",
    ),
    "sensors": (lambda made, task: made("t", _with(network="early_fusion", sensors=())), r"sees opt .* and sar"),
    "classes": (lambda made, task: made("t", classes=("dry", "wet")), r"tells dry, wet apart; .*tells low, high apart"),
    "statistics": (lambda made, task: made("t", sensors=_other_mean(task)), r"opt had mean .*; expected near these"),
    "width": (lambda made, task: made("t", _with(width=0.25)), r"its maps are 16x16x16, .*; expected 8x16x16"),
    "stride": (lambda made, task: made("t", _with(output_stride=16)), r"by this recipe's width and output_stride"),
    "unfinished": (lambda made, task: _unfinished(made), r"training of .*unfinished is not finished; go on"),
    "absent": (lambda made, task: made("t").parent / "absent", r"absent is no folder; expected the folder of a run"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_teacher_that_does_not_fit_is_refused_before_anything_is_written(
    tmp_path, made, task, tiny_data, monkeypatch, wrong
):
    make, message = WRONG[wrong]
    take_no_step(monkeypatch)
    with pytest.raises(CheckpointError, match=message):
        train(ONCE, tiny_data, tmp_path / "run", device="cpu", teacher=make(made, task))
    assert not (tmp_path / "run").exists()


def test_statistics_that_differ_by_little_are_near_enough(made, task, seen):
    (sensor, _) = task.sensors
    near = (dataclasses.replace(sensor, mean=tuple(mean * 1.001 for mean in sensor.mean)),)
    network = networks.build(ONCE, task)
    network.learn_from(checkpoint.load(made("near", sensors=near)).network)


@pytest.mark.parametrize(
    "changes", [{"network": "early_fusion"}, {"network": "dis2"}, {"texture_weight": 0.0, "begin_with": "random"}]
)
def test_a_network_that_asks_nothing_of_a_teacher_refuses_one(tmp_path, made, tiny_data, monkeypatch, changes):
    take_no_step(monkeypatch)
    recipe = dataclasses.replace(ONCE, **changes)
    with pytest.raises(RecipeError, match=rf"{recipe.network} by this recipe asks nothing .*; leave --teacher out"):
        train(recipe, tiny_data, tmp_path / "run", device="cpu", teacher=made("given"))
    assert not (tmp_path / "run").exists()


def test_without_texture_there_is_one_step(tmp_path, tiny_data, capsys):
    done = train(
        dataclasses.replace(ONCE, texture_weight=0.0, begin_with="random"), tiny_data, tmp_path / "run", device="cpu"
    )
    assert not (done.path / "teacher").exists()
    assert " of 2:" not in capsys.readouterr().err


def test_a_network_that_is_fitted_untaught_is_refused_before_anything_is_written(tmp_path, task, seen):
    with pytest.raises(RecipeError, match=r"has no teacher yet.*learn_from"):
        fit(networks.build(ONCE, task), seen, ONCE, tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


def test_the_command_says_what_to_mend_and_exits_2(tmp_path, tiny_folder, made, capsys):
    (tmp_path / "recipe.toml").write_text(ONCE.to_toml())
    words = ["train", str(tmp_path / "recipe.toml"), "--data", str(tiny_folder), "--out", str(tmp_path / "run")]
    assert cli.main([*words, "--device", "cpu", "--teacher", str(made("t", _with(width=0.25)))]) == 2
    error = capsys.readouterr().err
    assert "leave --teacher out: it is then trained first" in error
    assert "Traceback" not in error


def test_a_teacher_follows_the_frames_and_is_no_part_of_copies(task, made):
    network = networks.build(ONCE, task)
    network.learn_from(checkpoint.load(made("given")).network)
    assert not [name for name in network.state_dict() if "teacher" in name]
    device = torch.device("meta")
    network.lesson._teacher.of(device)
    held = network.lesson._teacher.network
    assert {value.device.type for value in held.state_dict().values()} == {"meta"}
    assert {value.device.type for value in network.state_dict().values()} == {"cpu"}
    assert not held.training
    network.train()
    assert not held.training


@pytest.mark.parametrize("init", [False, True])
def test_a_run_begins_with_its_teachers_weights_unless_it_is_given_others(tmp_path, made, tiny_data, monkeypatch, init):
    given = made("given", dataclasses.replace(LESSON, seed=7))
    other = made("other", dataclasses.replace(ONCE, seed=8)) if init else None
    begun = []

    def look(training, *_):
        state = training.state
        begun.extend(each.lone("opt").head.weight.detach().clone() for each in (state.network, state.average.network))
        raise PowerCutError

    monkeypatch.setattr(Training, "run", look)
    for resume in (False, True):
        with pytest.raises(PowerCutError):
            train(ONCE, tiny_data, tmp_path / "run", device="cpu", resume=resume, init=other, teacher=given)
    wanted = checkpoint.load(other).network.lone("opt") if other else checkpoint.load(given).network.alone()
    assert len(begun) == 4
    assert all(torch.equal(weight, wanted.head.weight) for weight in begun)
