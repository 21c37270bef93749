"""A damaged tile in the middle of a training: skipped for another draw, counted, named once; too many stop it."""

import re
import shutil

import pytest
import torch

from dis2_edge.dataset import open_dataset
from dis2_edge.errors import DamagedError, DataError
from dis2_edge.statistics import measure, with_statistics
from dis2_train.data.batches import Sampler, Split, whole_images
from dis2_train.data.feeding import Feed

CPU = torch.device("cpu")
COPIES = 11
"""Of the ten tiny images of train, so that one in a hundred may be damaged."""


@pytest.fixture
def large_folder(tiny_folder):
    for kind in ("opt", "sar", "gt"):
        for file in sorted((tiny_folder / "train" / kind).iterdir()):
            for copy in range(1, COPIES):
                shutil.copy(file, file.with_name(f"{file.stem}-{copy:02}.png"))
    return tiny_folder


def _damage(file):
    file.write_bytes(file.read_bytes()[:60])


def _split(folder, *, held, workers=0, name="train"):
    data = open_dataset(folder)
    task = with_statistics(data.task, measure(data, "val"))
    return Split(data, name, task, CPU, in_memory_bytes=1 << 30 if held else 0, workers=workers)


@pytest.mark.parametrize("held", [True, False], ids=["held", "reread"])
def test_one_is_replaced_by_another_draw_the_same_every_time(large_folder, tiny_recipe, capsys, held):
    recipe = tiny_recipe(augment=False, crop=0, batch=27)
    whole = list(Feed(Sampler(_split(large_folder, held=held), recipe), 0, 4, 0))
    _damage(large_folder / "train" / "sar" / "03-07.png")
    runs = []
    for workers, other in ((0, held), (2, held), (0, not held)):
        split = _split(large_folder, held=other, workers=workers)
        runs.append(list(Feed(Sampler(split, recipe), 0, 4, workers)))
        assert split.damaged == ("03-07",)
    warned = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning")]
    assert len(warned) == 3, "once a run"
    assert all("sample 03-07 of train is skipped" in line and "sar/03-07.png" in line for line in warned)
    changed = 0
    for (_, before), *after in zip(whole, *runs, strict=True):
        assert all(torch.equal(after[0][1].frames["opt"], batch.frames["opt"]) for _, batch in after)
        assert all(torch.equal(after[0][1].target, batch.target) for _, batch in after)
        assert after[0][1].target.shape == before.target.shape
        changed += int((after[0][1].frames["opt"] != before.frames["opt"]).any((1, 2, 3)).sum())
    assert changed == 1, "all other images of the epoch stay as they were"


@pytest.mark.parametrize("held", [True, False], ids=["held", "reread"])
def test_a_share_of_the_batch_gets_the_same_replacement(large_folder, tiny_recipe, held):
    _damage(large_folder / "train" / "gt" / "05.png")
    sampler = Sampler(_split(large_folder, held=held), tiny_recipe(batch=27))
    for step in range(4):
        shares = [sampler.batch(0, step, rank=rank, world=3).target for rank in range(3)]
        assert torch.equal(torch.cat(shares), sampler.batch(0, step).target)


@pytest.mark.parametrize("held", [True, False], ids=["held", "reread"])
@pytest.mark.parametrize("workers", [0, 2])
def test_more_than_one_in_a_hundred_stops_with_their_names(large_folder, tiny_recipe, held, workers):
    for name in ("01", "04-10", "08-02"):
        _damage(large_folder / "train" / "opt" / f"{name}.png")
    stops = r"2 of 110 samples of split 'train' are damaged so far: (01, 04-10|01, 08-02|04-10, 08-02) \("
    with pytest.raises(DataError, match=stops) as caught:
        list(Feed(Sampler(_split(large_folder, held=held, workers=workers), tiny_recipe()), 0, 50, workers))
    assert "at most 1%" in str(caught.value)


def test_statistics_are_those_of_the_rest_and_the_warning_comes_once(large_folder, capsys):
    file = large_folder / "train" / "opt" / "02.png"
    content = file.read_bytes()
    _damage(file)
    data = open_dataset(large_folder)
    assert measure(data.narrowed(("opt",)), "train")
    task = with_statistics(data.task, measure(data, "train"))
    Split(data.narrowed(("opt", "sar")), "train", task, CPU)
    assert capsys.readouterr().err.count("02 of train is skipped") == 1
    file.write_bytes(content)
    for kind in ("opt", "sar", "gt"):
        (large_folder / "train" / kind / "02.png").unlink()
    rest = open_dataset(large_folder)
    assert measure(rest, "train") == measure(data, "train")


def test_a_file_that_went_away_counts_as_damaged(large_folder, tiny_recipe):
    split = _split(large_folder, held=False)
    (large_folder / "train" / "sar" / "00.png").unlink()
    list(Feed(Sampler(split, tiny_recipe()), 0, 50, 0))
    assert split.damaged == ("00",)


@pytest.mark.parametrize("held", [True, False], ids=["held", "reread"])
def test_a_split_that_is_scored_may_have_none(tiny_folder, held):
    _damage(tiny_folder / "test" / "sar" / "02.png")
    with pytest.raises(DamagedError, match=re.escape("test/sar/02.png")):
        list(whole_images(_split(tiny_folder, held=held, name="test"), 2))


@pytest.mark.parametrize("held", [True, False], ids=["held", "reread"])
def test_whole_images_of_the_training_split_leave_it_out(large_folder, held):
    _damage(large_folder / "train" / "sar" / "00.png")
    shown = list(whole_images(_split(large_folder, held=held), 1))
    assert len(shown) == 109


def test_labels_of_another_scheme_are_no_damage(large_folder):
    """A wrong class index is the user's to mend, and skipping it would train on less than was meant."""
    from PIL import Image

    file = large_folder / "train" / "gt" / "00.png"
    Image.new("L", (32, 24), 7).save(file)
    with pytest.raises(DataError, match="class index 7"):
        _split(large_folder, held=True)
