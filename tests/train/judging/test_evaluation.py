"""One evaluation: counts an image and a condition, scenarios in the data's order, JSON that comes back equal."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from judged_stub import Stub

from dis2_edge.dataset import open_dataset
from dis2_edge.errors import DataError
from dis2_edge.scores import confusion
from dis2_edge.sensors import Sensor
from dis2_train.judging.evaluation import Evaluation, evaluate_one, read_evaluation, write_evaluation
from dis2_train.judging.noise import LEVELS, noisy
from dis2_train.networks.cost import Cost


def test_counts_are_those_of_each_image_in_every_condition(tiny_data, tiny_task):
    segmenter = Stub(tiny_task)
    found = evaluate_one(segmenter, tiny_data, "test")
    assert found.ids == tiny_data.ids("test")
    assert list(found.counts) == ["opt+sar", "opt", "sar", "opt+sar~low", "opt+sar~mid", "opt+sar~high"]
    assert found.scenarios == ("opt+sar", "opt", "sar")
    assert found.grid == (24, 32)
    assert found.costs["opt+sar"] == Cost(200, 0.5)
    for place, id_ in enumerate(found.ids):
        sample = tiny_data.on_grid(tiny_data.read("test", id_), tiny_task)
        mask = segmenter.masks({"opt": sample.frames["opt"][None]}, "opt")[0]
        assert np.array_equal(found.counts["opt"][place], confusion(sample.label, mask, 2))


def test_a_scenario_is_given_no_other_sensor(tiny_data, tiny_task):
    segmenter = Stub(tiny_task)
    evaluate_one(segmenter, tiny_data, "test", noise=False)
    assert set(segmenter.seen) == {("opt+sar", ("opt", "sar")), ("opt", ("opt",)), ("sar", ("sar",))}


def test_scenarios_are_named_in_the_order_of_the_data(tiny_data, tiny_task):
    turned = Stub(dataclasses.replace(tiny_task, sensors=tiny_task.sensors[::-1]))
    found = evaluate_one(turned, tiny_data, "test")
    assert turned.scenarios[0] == "sar+opt"
    assert list(found.counts)[:3] == ["opt+sar", "sar", "opt"]
    assert found.sensors == ("opt", "sar")
    plain = evaluate_one(Stub(tiny_task), tiny_data, "test")
    assert all(np.array_equal(found.counts[name], plain.counts[name]) for name in plain.counts)


def test_a_network_of_one_sensor_is_judged_in_its_own_scenario(tiny_data, tiny_task):
    one = Stub(dataclasses.replace(tiny_task, sensors=tiny_task.sensors[1:]))
    found = evaluate_one(one, tiny_data, "test")
    assert list(found.counts) == ["sar", "sar~low", "sar~mid", "sar~high"]
    assert found.sensors == ("sar",)


def test_noise_costs_more_the_stronger_it_is(tiny_data, tiny_task):
    counts = evaluate_one(Stub(tiny_task), tiny_data, "train").counts
    right = [int(np.trace(counts[name].sum(0)[:, :2])) for name in ("opt+sar", *(f"opt+sar~{x}" for x in LEVELS))]
    assert right == sorted(right, reverse=True)
    assert right[0] > right[-1]


def _without_labels(root):
    text = (root / "dataset.toml").read_text()
    (root / "dataset.toml").write_text(text.replace('labels = "{split}/gt/{id}.png"\n', ""))


def _renamed(root):
    text = (root / "dataset.toml").read_text()
    (root / "dataset.toml").write_text(text.replace("[sensors.sar]", "[sensors.sra]"))


def _turned(root):
    text = (root / "dataset.toml").read_text()
    (root / "dataset.toml").write_text(text.replace('["low", "high"]', '["high", "low"]'))


def _grey(root):
    text = (root / "dataset.toml").read_text()
    (root / "dataset.toml").write_text(
        text.replace('path = "{split}/opt/{id}.png"', 'path = "{split}/opt/{id}.png"\nbands = [1]')
    )


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_without_labels, ["test/00", "has no label"]),
        (_renamed, ["reads the sensor 'sar'", "did you mean 'sra'?"]),
        (_turned, ["has the classes high, low", "expected low, high, in that order"]),
        (_grey, ["gives 1 channel of uint8", "expected 3 channels of uint8, which stub was made for"]),
    ],
)
def test_data_that_do_not_fit_are_refused_with_what_was_expected(tiny_folder, tiny_task, spoil, words):
    spoil(tiny_folder)
    with pytest.raises(DataError) as caught:
        evaluate_one(Stub(tiny_task), open_dataset(tiny_folder), "test")
    for word in words:
        assert word in str(caught.value)


def test_an_unknown_split_names_those_there_are(tiny_data, tiny_task):
    with pytest.raises(DataError, match="one of train, val, test"):
        evaluate_one(Stub(tiny_task), tiny_data, "tset")


FRAME = np.random.default_rng(3).integers(0, 256, (40, 50, 3)).astype(np.uint8)
OPT = Sensor("opt", "optical", 3, "uint8", "DN", 0, 255, (128.0,) * 3, (60.0,) * 3)


def test_noise_is_the_same_in_every_call_and_another_for_every_image_and_sensor():
    again = [noisy(FRAME, OPT, "mid", "a") for _ in range(2)]
    assert np.array_equal(*again)
    assert not np.array_equal(again[0], noisy(FRAME, OPT, "mid", "b"))
    assert not np.array_equal(again[0], noisy(FRAME, dataclasses.replace(OPT, name="other"), "mid", "a"))
    first = noisy(np.full((2, 2, 1), 100, np.float32), _height(), "high", "tile 1")  # of any process, any day
    assert first.ravel() == pytest.approx(EXPECTED, abs=1e-3)


@pytest.mark.parametrize(("level", "strength"), LEVELS.items())
def test_noise_has_the_stated_impulses_and_deviation(level, strength):
    frame = np.zeros((300, 300, 1), np.float32)
    frame[0, 0], frame[0, 1] = 900.0, -900.0
    found = noisy(frame, _height(), level, "x")[1:]
    impulses = np.abs(found) > 500
    assert impulses.mean() == pytest.approx(strength.impulses, abs=0.005)
    assert (found > 500).mean() == pytest.approx(strength.impulses / 2, abs=0.004)
    assert found[~impulses].std() == pytest.approx(4.0 * strength.deviation, rel=0.02)


@given(some.sampled_from(["uint8", "uint16", "float32"]), some.sampled_from(list(LEVELS)), some.text(max_size=5))
def test_noise_stays_what_the_sensor_can_give(dtype, level, id_):
    sensor = Sensor("s", "radar", 1, dtype, "DN", 10, 200, (100.0,), (80.0,))
    frame = np.random.default_rng(1).integers(10, 201, (9, 7, 1)).astype(dtype)
    found = noisy(frame, sensor, level, id_)
    assert (found.dtype, found.shape) == (frame.dtype, frame.shape)
    assert 10 <= found.min() <= found.max() <= 200


def _height():
    return Sensor("dsm", "height", 1, "float32", "metres", -1000, 1000, (0.0,), (4.0,))


EXPECTED = [100.25605, 98.76249, 98.66882, 101.9964]


COSTS = some.builds(Cost, some.integers(0, 99), some.floats(0, 9))


@some.composite
def evaluations(draw):
    classes, images = draw(some.integers(1, 3)), draw(some.integers(1, 4))
    random = np.random.default_rng(draw(some.integers(0, 99)))
    truth = random.integers(0, 50, (images, classes))
    counts = {}
    for name in draw(some.lists(some.sampled_from(["a+b", "a", "b", "a+b~low"]), min_size=1, unique=True)):
        shares = random.dirichlet(np.ones(classes + 1), (images, classes))
        counts[name] = np.array(
            [[random.multinomial(n, p) for n, p in zip(*row, strict=True)] for row in zip(truth, shares, strict=True)]
        )
    text = some.text(some.characters(codec="utf-8", exclude_characters="\0"), max_size=6)
    return Evaluation(
        label=draw(text), network=draw(text), seed=draw(some.none() | some.integers(0, 9)), dataset=draw(text),
        split="val", classes=tuple(f"c{i}" for i in range(classes)), sensors=("a", "b"),
        ids=tuple(f"{draw(text)}{i}" for i in range(images)), counts=counts,
        costs=draw(some.dictionaries(some.sampled_from(["a", "b"]), COSTS)),
        grid=(32, 48), precision="int8", recipe="r", model="m", data="d",
    )  # fmt: skip


@given(evaluations())
def test_json_comes_back_equal(tmp_path_factory, evaluation):
    file = tmp_path_factory.mktemp("json") / "e.json"
    write_evaluation(file, evaluation)
    back = read_evaluation(file)
    assert dataclasses.replace(back, counts={}) == dataclasses.replace(evaluation, counts={})
    assert set(back.counts) == set(evaluation.counts)
    for name, counts in evaluation.counts.items():
        assert back.counts[name].dtype == np.int64
        assert np.array_equal(back.counts[name], counts)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda table: table.update(format=0), "no evaluation of format 1"),
        (lambda table: table.pop("ids"), "has no ids"),
        (lambda table: table["counts"]["opt"].pop(), "counts of 'opt' are damaged"),
        (lambda table: table["counts"]["opt"][0].__setitem__(0, -1), "counts of 'opt' are damaged"),
        (lambda table: table["counts"]["opt"][0].__setitem__(0, 10**6), "counts other pixels"),
        (lambda table: table["counts"].clear(), "counts nothing"),
        (lambda table: table.update(costs={"opt": [1]}), "costs.opt has 1 values; expected 2"),
        (lambda table: table.update(seed="zero"), "seed is 'zero'"),
    ],
)
def test_a_damaged_file_is_refused_by_name(tiny_data, tiny_task, tmp_path, change, words):
    file = tmp_path / "e.json"
    write_evaluation(file, evaluate_one(Stub(tiny_task), tiny_data, "test", noise=False))
    table = json.loads(file.read_text())
    change(table)
    file.write_text(json.dumps(table))
    with pytest.raises(DataError) as caught:
        read_evaluation(file)
    assert words in str(caught.value)
    assert str(file) in str(caught.value)
