"""What is measured of a split, and that flight can compare a frame with it."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dis2_edge.dataset import open_dataset
from dis2_edge.errors import DataError
from dis2_edge.images import write_tiff
from dis2_edge.prepare import normalise
from dis2_edge.settings import from_table
from dis2_edge.statistics import SensorStatistics, look, measure, with_statistics

MakeSet = Callable[..., Path]


def test_a_sensor_of_nothing_but_holes(make_set: MakeSet) -> None:
    root = make_set(("train",))
    for number in range(3):
        write_tiff(root / "train" / "ndsm" / f"{number:03d}.tif", np.full((8, 12, 1), np.nan, np.float32))
    with pytest.raises(DataError, match=r"'ndsm': no frame of split 'train' has a valid value; expected values in"):
        measure(open_dataset(root), "train")


def test_statistics_of_another_task(make_set: MakeSet) -> None:
    dataset = open_dataset(make_set())
    with pytest.raises(DataError, match="no statistics of sensor 'ndsm'"):
        with_statistics(dataset.task, measure(dataset.narrowed(("rgb",)), "train"))


def test_mean_and_deviation_are_those_of_all_pixels(make_set: MakeSet) -> None:
    dataset = open_dataset(make_set())
    rgb, ndsm = measure(dataset, "train")
    samples = [dataset.read("train", id_) for id_ in dataset.ids("train")]
    for row in (rgb, ndsm):
        pixels = np.concatenate([sample.frames[row.name].reshape(-1, len(row.mean)) for sample in samples])
        np.testing.assert_allclose(row.mean, pixels.mean(0, dtype=np.float64), rtol=1e-6)
        np.testing.assert_allclose(row.std, pixels.std(0, dtype=np.float64), rtol=1e-5)
        assert pixels.min() <= row.low < row.high <= pixels.max()


def test_holes_are_left_out_and_counted(make_set: MakeSet) -> None:
    root = make_set(("train",))
    before = measure(open_dataset(root), "train")[1]
    height = np.full((8, 12, 1), before.mean[0], np.float32)
    height[:4] = np.nan
    height[4, 0] = 1e30
    write_tiff(root / "train" / "ndsm" / "003.tif", height)
    for name in ("rgb", "gt"):
        (root / "train" / name / "003.png").write_bytes((root / "train" / name / "002.png").read_bytes())
    after = measure(open_dataset(root), "train")[1]
    assert after.mean[0] == pytest.approx(before.mean[0], abs=1e-3)
    assert before.hole_share_high < 0.05
    assert after.hole_share_high >= 49 / 96


def test_every_training_frame_lies_within_the_limits_and_a_stuck_one_does_not(make_set: MakeSet) -> None:
    dataset = open_dataset(make_set())
    for row in measure(dataset, "train"):
        sensor = dataset.task.sensor(row.name)
        for id_ in dataset.ids("train"):
            seen = look(dataset.read("train", id_).frames[row.name], sensor)
            assert row.frame_mean_low < seen.mean < row.frame_mean_high
            assert row.frame_std_low < seen.std < row.frame_std_high
            assert seen.hole_share <= row.hole_share_high
        blank = np.full((8, 12, sensor.channels), row.mean[0], sensor.numpy_dtype)
        assert look(blank, sensor).std < row.frame_std_low


def test_the_look_of_a_frame_of_holes_is_nan(make_set: MakeSet) -> None:
    sensor = open_dataset(make_set()).task.sensor("ndsm")
    seen = look(np.full((4, 4, 1), np.nan, np.float32), sensor)
    assert np.isnan(seen.mean)
    assert seen.hole_share == 1


def test_a_task_with_statistics_normalises_to_zero_and_one(make_set: MakeSet) -> None:
    dataset = open_dataset(make_set(count=8))
    task = with_statistics(dataset.task, measure(dataset, "train"))
    samples = [dataset.on_grid(dataset.read("train", id_), task) for id_ in dataset.ids("train")]
    for sensor in task.sensors:
        stack = np.stack([normalise(sample.frames[sensor.name], sensor) for sample in samples])
        np.testing.assert_allclose(stack.mean((0, 2, 3)), 0, atol=1e-4)
        np.testing.assert_allclose(stack.std((0, 2, 3)), 1, atol=1e-4)


def test_what_a_sensor_states_stays(make_set: MakeSet) -> None:
    root = make_set()
    text = (root / "dataset.toml").read_text()
    (root / "dataset.toml").write_text(text + "mean = [1.0]\nstd = [2.0]\n")
    dataset = open_dataset(root)
    task = with_statistics(dataset.task, measure(dataset, "train"))
    assert (task.sensor("ndsm").mean, task.sensor("ndsm").std) == ((1.0,), (2.0,))


def test_statistics_travel_as_a_table(make_set: MakeSet) -> None:
    row = measure(open_dataset(make_set()), "train")[0]
    assert from_table(SensorStatistics, dataclasses.asdict(row), where="statistics") == row
