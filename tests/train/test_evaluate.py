"""Evaluation counts what it is given, hands over only the scenario's sensors, and writes JSON without nan."""

import json
import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from dis2_edge.scores import confusion
from dis2_train.data.batches import Split, whole_images
from dis2_train.evaluate import evaluate, mean_miou, metrics, table_rows


@pytest.fixture
def split(tiny_data, tiny_task):
    return Split(tiny_data, "test", tiny_task, torch.device("cpu"))


def test_a_perfect_segmenter_has_nothing_off_the_diagonal(split):
    truth = iter([batch.target for batch in whole_images(split, 2)])
    counts = evaluate(lambda frames, scenario: _one_hot(next(truth)), split, ["opt"], batch=2)["opt"]
    known = sum(int((batch.target < 2).sum()) for batch in whole_images(split, 2))
    assert counts.dtype == np.int64
    assert counts.shape == (2, 3)
    assert counts.sum() == np.trace(counts) == known


def test_counts_are_those_of_the_network_whatever_the_batch(split, tiny_network):
    network = tiny_network(seed=3)
    one, three = (evaluate(network, split, ["opt+sar", "sar"], batch=size) for size in (1, 3))
    for scenario in ("opt+sar", "sar"):
        assert np.array_equal(one[scenario], three[scenario])
    expected = np.zeros((2, 3), np.int64)
    for batch in whole_images(split, 4):
        masks = network.eval()(batch.frames, "sar").logits.argmax(1).numpy().astype(np.uint8)
        expected += confusion(batch.target.numpy().astype(np.uint8), masks, 2)
    assert np.array_equal(one["sar"], expected)


def test_a_scenario_sees_no_other_sensor(split):
    seen = []

    def look(frames, scenario):
        seen.append((scenario, tuple(frames)))
        return torch.zeros(len(next(iter(frames.values()))), 2, 24, 32)

    evaluate(look, split, ["opt+sar", "sar"], batch=4)
    assert seen == [("opt+sar", ("opt", "sar")), ("sar", ("sar",))]


def test_a_network_comes_back_in_the_mode_it_was_in(split, tiny_network):
    network = tiny_network().train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    evaluate(network, split, ["opt"])
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_class_that_does_not_occur_is_null_and_a_dash(tiny_task):
    table = metrics({"opt": np.array([[8, 0, 0], [0, 0, 0]], np.int64)}, "test", 1)
    row = table["scenarios"]["opt"]
    assert row["iou"] == [1.0, None]
    assert row["miou"] == row["oa"] == 1.0
    assert json.loads(json.dumps(table, allow_nan=False)) == table
    columns, rows = table_rows(table, tiny_task)
    assert dict(zip(columns, rows[0], strict=True)) == {
        "scenario": "opt", "mIoU": "100.0", "IoU low": "100.0", "IoU high": "-", "mean F1": "100.0", "OA": "100.0",
    }  # fmt: skip


def test_scores_come_from_the_counts():
    counts = np.array([[30, 10, 0], [20, 35, 5]], np.int64)
    row = metrics({"sar": counts}, "val", 2)["scenarios"]["sar"]
    assert row["confusion"] == counts.tolist()
    assert row["iou"] == pytest.approx([30 / 60, 35 / 70])
    assert row["oa"] == pytest.approx(0.65)
    assert mean_miou({"a": counts, "b": np.zeros((2, 3), np.int64)}) == pytest.approx(0.5)
    assert math.isnan(mean_miou({"b": np.zeros((2, 3), np.int64)}))


def _one_hot(target):
    return F.one_hot(target.clamp(max=1), 2).movedim(-1, 1).float()
