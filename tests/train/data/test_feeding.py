"""Feeding gives the same batches in order whatever the number of workers, shares them out, and tells of waiting."""

import threading
import time

import pytest
import torch

from dis2_edge.errors import RecipeError
from dis2_train.data.batches import Sampler, Split, whole_images
from dis2_train.data.feeding import Feed, ahead, waiting

CPU = torch.device("cpu")


@pytest.fixture(params=["held", "reread"])
def split(request, tiny_data, tiny_task):
    return Split(tiny_data, "train", tiny_task, CPU, in_memory_bytes=1 << 20 if request.param == "held" else 0)


def _equal(first, second):
    return torch.equal(first.target, second.target) and all(
        torch.equal(frames, second.frames[name]) for name, frames in first.frames.items()
    )


@pytest.mark.parametrize("bent", [{}, {"scale": 0.3, "rotate": 20.0}], ids=["straight", "bent"])
@pytest.mark.parametrize("workers", [0, 1, 3])
def test_batches_are_those_of_the_sampler_in_order(split, tiny_recipe, workers, bent):
    sampler = Sampler(split, tiny_recipe(**bent))
    with Feed(sampler, 1, 7, workers) as feed:
        fed = list(feed)
    assert [step for step, _ in fed] == [1, 2, 3, 4, 5, 6]
    for step, batch in fed:
        assert _equal(batch, sampler.batch(*divmod(step, sampler.steps)))


@pytest.mark.parametrize("world", [2, 3, 4])
def test_the_shares_of_all_processes_are_the_batch_of_one(split, tiny_recipe, world):
    sampler = Sampler(split, tiny_recipe(scale=0.3))
    for step, whole in Feed(sampler, 0, 4, 0):
        shares = [sampler.batch(*divmod(step, sampler.steps), rank=rank, world=world) for rank in range(world)]
        assert torch.equal(torch.cat([share.target for share in shares]), whole.target)
        for name, frames in whole.frames.items():
            assert torch.equal(torch.cat([share.frames[name] for share in shares]), frames)


def test_more_processes_than_images_in_a_batch_are_refused(split, tiny_recipe):
    with pytest.raises(RecipeError, match=r"a batch of 4 for 5 processes.*--set batch=5"):
        Feed(Sampler(split, tiny_recipe()), 0, 4, 0, rank=0, world=5)


def test_an_error_of_a_worker_is_raised_at_its_own_step(split, tiny_recipe, monkeypatch):
    sampler, batch = Sampler(split, tiny_recipe()), Sampler.batch

    def failing(self, epoch, step, **share):
        if (epoch, step) == (1, 1):
            raise ValueError("step 3")
        return batch(self, epoch, step, **share)

    monkeypatch.setattr(Sampler, "batch", failing)
    with Feed(sampler, 0, 8, 2) as feed:
        assert [next(feed)[0] for _ in range(3)] == [0, 1, 2]
        with pytest.raises(ValueError, match="step 3"):
            next(feed)


def test_workers_prepare_ahead_but_not_without_bound_and_stop_when_closed():
    made, tried = [], threading.Event()

    def make(item):
        made.append(item)
        if item >= 3:
            tried.set()
        return item

    feed = ahead(make, range(1000), 2)
    assert next(feed) == 0
    assert tried.wait(5)  # of the first four, three lie ready while the caller works
    time.sleep(0.05)
    assert sorted(made) == [0, 1, 2, 3]
    feed.close()
    time.sleep(0.05)
    assert len(made) == 4
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("feed")]


def test_waiting_is_measured_and_shrinks_with_a_worker(split, tiny_recipe, monkeypatch):
    slow = Sampler.batch

    def sleepy(self, epoch, step, **share):
        time.sleep(0.02)
        return slow(self, epoch, step, **share)

    monkeypatch.setattr(Sampler, "batch", sleepy)
    waited = []
    for workers in (0, 2):
        with Feed(Sampler(split, tiny_recipe()), 0, 10, workers) as feed:
            for _ in feed:
                time.sleep(0.03)
        waited.append(feed.waited_s)
    assert waited[0] >= 0.2
    assert waited[1] < 0.7 * waited[0]


def test_advice_comes_with_long_waits_only(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    assert waiting(0.9, 10, 0) == ("waited for data: 9.0 % of 10 s", "")
    assert "--set workers=4" in waiting(3, 10, 0)[1]
    assert "--set workers=8" in waiting(3, 10, 4)[1]
    assert "faster disk" in waiting(3, 10, 8)[1]
    assert waiting(0, 0, 0)[1] == ""


def test_a_reread_split_shows_the_same_whole_images_with_workers(tiny_data, tiny_task):
    alone, helped = (Split(tiny_data, "val", tiny_task, CPU, in_memory_bytes=0, workers=count) for count in (0, 3))
    for one, other in zip(whole_images(alone, 3), whole_images(helped, 3), strict=True):
        assert _equal(one, other)


def test_a_split_is_held_the_same_when_workers_read_it(tiny_data, tiny_task):
    alone, helped = (Split(tiny_data, "train", tiny_task, CPU, workers=count).find([0])[0] for count in (0, 3))
    assert torch.equal(alone.labels, helped.labels)
    assert all(torch.equal(frames, helped.frames[name]) for name, frames in alone.frames.items())
