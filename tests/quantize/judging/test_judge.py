"""Judging keeps each image's counts, holds every file against its scenario's FP32 file, and finds the worst tiles."""

import dataclasses

import numpy as np
import pytest
from made_up import Saying

from dis2_edge.dataset import Sample
from dis2_edge.errors import DataError
from dis2_edge.images import read_image
from dis2_edge.sensors import Sensor
from dis2_edge.task import Task
from dis2_quantize.judging.goldens import place_of
from dis2_quantize.judging.judge import Candidate, judge
from dis2_quantize.judging.worst import OTHERWISE, RIGHT_NOW, SAME, WRONG_NOW, differences, draw_worst, worst_tiles

TASK = Task((Sensor("shown", "optical", 1, "uint8", "DN", 0, 255),), ("dry", "flood"), ("#c8b88a", "#1f6feb"), (16, 32))


class Tiles:
    """A data set of tiles whose one sensor shows their labels."""

    def __init__(self, labels):
        self.labels = labels

    def ids(self, split):
        return tuple(f"tile {place}" for place in range(len(self.labels)))

    def read(self, split, name):
        label = self.labels[self.ids(split).index(name)]
        return Sample(name, {"shown": label[..., None]}, label)

    def on_grid(self, sample, task):
        return sample


@pytest.fixture
def tiles():
    return np.random.default_rng(0).integers(0, 2, (5, 16, 32)).astype(np.uint8)


def candidates(tmp_path, *keys):
    made = []
    for scenario, precision, dialect in keys:
        file = tmp_path / "models" / f"{scenario}-{precision}-{dialect}.onnx"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"x" * 10)
        made.append(Candidate(scenario, precision, file, dialect, "frame" if dialect == "ort" else "tensor"))
    return made


def wrong_columns(count):
    def change(mask):
        mask[:, :count] = 1 - mask[:, :count]
        return mask

    return change


def test_each_file_is_held_against_the_fp32_file_of_its_scenario_wherever_that_stands(tmp_path, tiles):
    small, trt, full, lone = candidates(
        tmp_path, ("shown", "int8", "ort"), ("shown", "int8", "trt"), ("shown", "fp32", "ort"), ("x", "int8", "ort")
    )
    models = {
        small: Saying(wrong_columns(8)),
        trt: Saying(wrong_columns(4)),
        full: Saying(wrong_columns(4)),
        lone: Saying(wrong_columns(0)),
    }
    found = dict(zip(models, judge(models, Tiles(tiles), TASK, "test"), strict=True))
    assert found[small].agreement == pytest.approx(28 / 32)
    assert (found[trt].agreement, found[full].agreement) == (1.0, 1.0)
    assert found[lone].agreement is None
    assert found[small].turned_wrong.tolist() == [4 * 16] * 5
    assert not found[full].turned_wrong.any()
    assert found[small].counts.shape == (5, 2, 3)
    assert (found[small].counts.sum((1, 2)) == 16 * 32).all()
    assert found[small].scores.oa == pytest.approx(24 / 32)
    assert [candidate.flies_on_host for candidate in models] == [True, False, True, True]
    assert {place_of(candidate) for candidate in models} == {"shown/int8", "shown/int8/trt", "shown/fp32", "x/int8"}


def test_an_image_without_a_label_is_named(tmp_path, tiles):
    class Bare(Tiles):
        def read(self, split, name):
            return dataclasses.replace(super().read(split, name), label=None)

    (full,) = candidates(tmp_path, ("shown", "fp32", "ort"))
    with pytest.raises(DataError, match="test/tile 0 has no label"):
        judge({full: Saying(wrong_columns(0))}, Bare(tiles), TASK, "test")


def spoiled(by_tile):
    """A change that is larger on some tiles: tiles are told apart by their bytes."""

    def change(mask):
        columns = by_tile[mask.tobytes()]
        return wrong_columns(columns)(mask)

    return change


def test_the_worst_tiles_are_those_on_which_most_turned_wrong(tmp_path, tiles):
    full, small = candidates(tmp_path, ("shown", "fp32", "ort"), ("shown", "int8", "ort"))
    by_tile = {label.tobytes(): columns for label, columns in zip(tiles, (0, 3, 1, 9, 2), strict=True)}
    models = {full: Saying(wrong_columns(0)), small: Saying(spoiled(by_tile))}
    judged = judge(models, Tiles(tiles), TASK, "test")
    chosen = worst_tiles(judged[1], judged[0])
    assert [tile.place for tile in chosen] == [3, 1, 4]
    assert [tile.turned_wrong for tile in chosen] == [9 * 16, 3 * 16, 2 * 16]
    assert chosen[0].drop > chosen[1].drop > 0
    assert worst_tiles(judged[0], judged[0]) == []
    assert worst_tiles(judged[1], None) == []
    drawn = draw_worst(judged, models, Tiles(tiles), TASK, "test", tmp_path)
    assert drawn == {small: "worst/shown-int8-ort.png"}
    sheet = read_image(tmp_path / drawn[small])
    assert sheet.shape[2] == 3
    for colour in (SAME, WRONG_NOW, bytes.fromhex("1f6feb"), bytes.fromhex("c8b88a")):
        assert (sheet == np.array(list(colour), np.uint8)).all(axis=2).sum() > 100


def test_differences_say_who_is_right():
    label = np.array([[0, 0, 0, 255, 2]], np.uint8)
    reference = np.array([[0, 0, 1, 0, 0]], np.uint8)
    mask = np.array([[0, 1, 0, 1, 1]], np.uint8)
    painted = differences(label, reference, mask, 3)
    assert [tuple(pixel) for pixel in painted[0].tolist()] == [SAME, WRONG_NOW, RIGHT_NOW, OTHERWISE, OTHERWISE]
