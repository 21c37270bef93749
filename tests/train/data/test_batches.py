"""Batches are determined by (seed, epoch, step), cover a split evenly, and hold what the NumPy reference holds."""

import numpy as np
import pytest
import torch
from PIL import Image

from dis2_edge.dataset import open_dataset
from dis2_edge.errors import DataError, RecipeError
from dis2_edge.prepare import normalise
from dis2_train.data.batches import Sampler, Split, whole_images

CPU = torch.device("cpu")


@pytest.fixture
def split(tiny_data, tiny_task):
    return Split(tiny_data, "train", tiny_task, CPU)


def _equal(first, second):
    return torch.equal(first.target, second.target) and all(
        torch.equal(frames, second.frames[name]) for name, frames in first.frames.items()
    )


def test_an_empty_split_is_named(tiny_data, tiny_task):
    with pytest.raises(DataError, match="split 'night' is empty"):
        Split(tiny_data, "night", tiny_task, CPU)


def test_an_image_without_label_is_named(tiny_folder, tiny_task):
    description = tiny_folder / "dataset.toml"
    kept = [line for line in description.read_text().splitlines() if not line.startswith("labels")]
    description.write_text("\n".join(kept))
    with pytest.raises(DataError, match="train/00 has no label"):
        Split(open_dataset(tiny_folder), "train", tiny_task, CPU)


def test_a_crop_larger_than_the_grid_is_refused(split, tiny_recipe):
    with pytest.raises(RecipeError, match="at most the grid, 24 x 32"):
        Sampler(split, tiny_recipe(crop=32))


def test_a_negative_seed_is_refused(split, tiny_recipe):
    with pytest.raises(RecipeError, match="seed is -1"):
        Sampler(split, tiny_recipe(seed=-1))


def test_seed_epoch_and_step_determine_the_batch(split, tiny_recipe):
    sampler, again = Sampler(split, tiny_recipe()), Sampler(split, tiny_recipe())
    again.batch(0, 0)
    assert _equal(sampler.batch(3, 1), again.batch(3, 1))
    for other in (Sampler(split, tiny_recipe(seed=1)).batch(3, 1), sampler.batch(2, 1), sampler.batch(3, 0)):
        assert not _equal(sampler.batch(3, 1), other)


def test_each_epoch_cuts_the_images_anew(split, tiny_recipe, monkeypatch):
    sampler = Sampler(split, tiny_recipe(augment=False))
    monkeypatch.setattr(sampler, "_order", lambda epoch: np.arange(10))
    assert not _equal(sampler.batch(0, 0), sampler.batch(1, 0))


def test_held_and_reread_splits_give_the_same_batches(split, tiny_data, tiny_task, tiny_recipe):
    reread = Split(tiny_data, "train", tiny_task, CPU, in_memory_bytes=0)
    assert _equal(Sampler(split, tiny_recipe()).batch(1, 1), Sampler(reread, tiny_recipe()).batch(1, 1))
    for held, read in zip(whole_images(split, 4), whole_images(reread, 4), strict=True):
        assert _equal(held, read)


@pytest.mark.parametrize(("batch", "crops", "steps"), [(4, 1, 2), (5, 1, 2), (16, 1, 1), (4, 3, 7), (10, 2, 2)])
def test_a_last_partial_batch_is_dropped_unless_it_is_the_only_one(split, tiny_recipe, batch, crops, steps):
    sampler = Sampler(split, tiny_recipe(batch=batch, crops_per_image=crops))
    assert sampler.steps == steps
    assert {len(sampler.batch(0, step).target) for step in range(steps)} == {min(batch, 10 * crops)}


def test_an_epoch_shows_each_image_as_often_as_the_recipe_says(split, tiny_recipe):
    sampler = Sampler(split, tiny_recipe(batch=5, crops_per_image=2, crop=0, augment=False))
    first_pixels = torch.cat([sampler.batch(0, step).frames["opt"][:, :, 5, 5] for step in range(4)])
    assert sorted(torch.unique(first_pixels, dim=0, return_counts=True)[1].tolist()) == [2] * 10


def test_crops_of_sensors_and_label_stay_on_the_same_ground(split, tiny_recipe):
    batch = Sampler(split, tiny_recipe(batch=10)).batch(0, 0)
    red = batch.frames["opt"][:, 0]
    assert batch.target.shape == red.shape == (10, 16, 16)
    assert set(batch.target.unique().tolist()) == {0, 1, 255}
    assert red[batch.target == 1].mean() > red[batch.target == 0].mean() + 1.5
    radar = batch.frames["sar"][:, 0]
    assert radar[batch.target == 1].mean() > radar[batch.target == 0].mean() + 0.8


def test_whole_images_are_the_numpy_reference(split, tiny_data, tiny_task):
    batches = list(whole_images(split, 4))
    assert [len(batch.target) for batch in batches] == [4, 4, 2]
    for name in tiny_task.sensor_names:
        frames = torch.cat([batch.frames[name] for batch in batches]).numpy()
        sample = [tiny_data.on_grid(tiny_data.read("train", id_), tiny_task) for id_ in split.ids]
        expected = np.stack([normalise(one.frames[name], tiny_task.sensor(name)) for one in sample])
        np.testing.assert_array_equal(frames, expected)
    labels = np.stack([one.label for one in sample])
    np.testing.assert_array_equal(torch.cat([batch.target for batch in batches]).numpy(), labels)


def test_sixteen_bit_frames_keep_their_high_values(tiny_folder):
    description = tiny_folder / "dataset.toml"
    head, sar = description.read_text().split("[sensors.sar]")
    description.write_text(f"{head}[sensors.sar]{sar.replace('uint8', 'uint16')}")
    for file in tiny_folder.glob("*/sar/*.png"):
        Image.fromarray(np.full((24, 32), 65000, np.uint16)).save(file)
    data = open_dataset(tiny_folder)
    stack, _ = Split(data, "val", data.task, CPU).find([0])
    assert int(stack.frames["sar"].min()) == 65000
