"""The loop gives a plain one's bits; batches add up to one; it stops early, or when told, and then goes on."""

import csv
import itertools
import json
import os
import shutil
import signal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dis2_edge.dataset import open_dataset
from dis2_edge.errors import RecipeError, UserError
from dis2_edge.recipe import Recipe
from dis2_train.data.batches import Batch, Sampler, Split
from dis2_train.fitting.devices import joined
from dis2_train.fitting.fit import fit
from dis2_train.fitting.loop import Training
from dis2_train.fitting.scenarios import Shares
from dis2_train.fitting.schedule import Average, optimizer_for, rate_at

LOOKS = "dis2_train.fitting.loop.evaluate"


def _rows(run):
    return list(csv.DictReader((run / "log.csv").read_text().splitlines()))


def _plainly_trained(network, data, recipe):
    """The averaged weights after a training in plain torch: one process, no Fabric, no threads, nothing saved."""
    network = network.to(memory_format=torch.channels_last)
    sampler = Sampler(Split(data, "train", network.task, torch.device("cpu")), recipe)
    average, optimizer = Average(network, recipe.average_decay), optimizer_for(network, recipe)
    names, steps = network.training_scenarios, sampler.steps * recipe.epochs
    for step in range(steps):
        random = np.random.default_rng((recipe.seed, 2, step))
        torch.manual_seed(int(random.integers(2**62)))
        scenario = names[int(random.choice(len(names), p=[1 / len(names)] * len(names)))]
        batch = sampler.batch(*divmod(step, sampler.steps))
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step, steps, recipe)
        network.train()
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.precision == "bf16"):
            terms = network.losses(batch.frames, batch.target, scenario, step / steps)
        torch.stack([term.float() for term in terms.values()]).sum().backward()
        optimizer.step()
        average.follow(step)
    return average.network.state_dict()


@pytest.mark.parametrize("choice", [{}, {"optimizer": "sgd"}, {"precision": "bf16"}])
def test_one_process_gets_the_bits_of_a_plain_loop(tmp_path, tiny_network, tiny_data, tiny_recipe, choice):
    recipe = tiny_recipe(evaluate_every=4, **choice)  # one look, at the end: the last average is the best
    done = fit(tiny_network(), tiny_data, recipe, tmp_path / "run")
    for name, value in _plainly_trained(tiny_network(), tiny_data, recipe).items():
        assert torch.equal(done.network.state_dict()[name], value), name


def test_gradients_of_batches_add_up_to_those_of_one(tiny_network, tiny_data, tiny_recipe):
    images = torch.Generator().manual_seed(1)
    frames = {"opt": torch.randn(6, 3, 16, 16, generator=images), "sar": torch.randn(6, 1, 16, 16, generator=images)}
    target = torch.randint(0, 2, (6, 16, 16), generator=images)
    found = []
    for parts in (1, 3):
        network = tiny_network()
        recipe = tiny_recipe(batch=6 // parts, accumulate=parts, crops_per_image=3, scenario_share=(0.0, 0.0, 1.0))
        with joined("cpu", "fp32") as fabric:
            training = Training(_without_dropout(network), tiny_data, recipe, fabric)
            size = 6 // parts
            places = [slice(first, first + size) for first in range(0, 6, size)]
            batches = (Batch({name: value[at] for name, value in frames.items()}, target[at]) for at in places)
            training.step(0, batches)
        found.append({name: value.grad for name, value in network.named_parameters() if value.grad is not None})
    assert found[0].keys() == found[1].keys()
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient, atol=1e-7, rtol=1e-5, msg=name)


def test_steps_and_rates_count_the_optimisers_steps(tmp_path, tiny_network, tiny_data, tiny_recipe):
    fit(tiny_network(), tiny_data, tiny_recipe(batch=4), tmp_path / "one")
    fit(tiny_network(), tiny_data, tiny_recipe(batch=2, accumulate=2), tmp_path / "two")
    fit(tiny_network(), tiny_data, tiny_recipe(batch=4, accumulate=9, epochs=1), tmp_path / "all")
    one, two = _rows(tmp_path / "one"), _rows(tmp_path / "two")
    assert [row["step"] for row in one] == [row["step"] for row in two] == ["2", "4", "6", "8"]
    assert [row["learning_rate"] for row in one] == [row["learning_rate"] for row in two]
    assert _rows(tmp_path / "all")[0]["step"] == "1"  # what an epoch has, if that is less than asked for


@pytest.mark.parametrize("stopped_at", [0, 4, 5])
def test_a_wish_to_stop_is_heard_after_the_step_and_loses_nothing(
    tmp_path, tiny_network, tiny_data, tiny_recipe, stopped_at
):
    recipe = tiny_recipe(batch=2, accumulate=2, crops_per_image=2, epochs=2)  # 5 steps an epoch
    fit(tiny_network(), tiny_data, recipe, tmp_path / "whole")
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(UserError, match=r"stopped by SIGTERM after \d of 5 steps of epoch \d; .*--resume"):
        fit(_told_to_stop(tiny_network(), 2 * stopped_at), tiny_data, recipe, tmp_path / "cut")
    assert signal.getsignal(signal.SIGTERM) is before
    fit(tiny_network(seed=3), tiny_data, recipe, tmp_path / "cut", resume=True)
    runs = tmp_path / "cut", tmp_path / "whole"
    ours, theirs = ((run / "weights.safetensors").read_bytes() for run in runs)
    assert ours == theirs
    ours, theirs = ([{**row, "seconds": "", "data_wait": ""} for row in _rows(run)] for run in runs)
    assert ours == theirs


def test_training_stops_early_when_the_worst_scenario_gains_no_more(
    tmp_path, tiny_network, tiny_data, tiny_recipe, monkeypatch
):
    worst = iter([0.2, 0.5, 0.4, 0.5, 0.1])
    monkeypatch.setattr(LOOKS, lambda *args, **kwargs: _looked(sar=next(worst)))
    done = fit(tiny_network(), tiny_data, tiny_recipe(epochs=9, evaluate_every=1, patience=2), tmp_path / "run")
    rows = _rows(tmp_path / "run")
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    assert [row["stopped_early"] for row in rows] == ["", "", "", "1"]
    assert done.metrics["stopped_early"] == {"epoch": 4, "worst_miou": pytest.approx(0.5)}
    assert json.loads((tmp_path / "run" / "metrics.json").read_text()) == done.metrics


def test_without_patience_nothing_stops_early(tmp_path, tiny_network, tiny_data, tiny_recipe, monkeypatch):
    monkeypatch.setattr(LOOKS, lambda *args, **kwargs: _looked(sar=0.1))
    done = fit(tiny_network(), tiny_data, tiny_recipe(evaluate_every=1), tmp_path / "run")
    assert len(_rows(tmp_path / "run")) == 4
    assert "stopped_early" not in done.metrics


@pytest.mark.parametrize("choice", [{"patience": 2}, {"scenario_sampling": "worst"}])
def test_what_needs_a_validation_split_is_refused_without_one(tmp_path, tiny_network, tiny_folder, tiny_recipe, choice):
    shutil.rmtree(tiny_folder / "val")
    (key,) = choice
    with pytest.raises(RecipeError, match=f"{key} is .*no val split.*leave {key} out"):
        fit(tiny_network(), open_dataset(tiny_folder), tiny_recipe(**choice), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_scenario_that_is_worst_is_drawn_more_often(tmp_path, tiny_network, tiny_data, tiny_recipe, monkeypatch):
    monkeypatch.setattr(LOOKS, lambda *args, **kwargs: _looked(**{"opt+sar": 1.0, "opt": 1.0, "sar": 0.3}))
    network, drawn = tiny_network(), []
    losses = network.losses
    network.losses = lambda *args: (drawn.append(args[2]), losses(*args))[1]
    recipe = tiny_recipe(scenario_sampling="worst", evaluate_every=1, scenario_share=(1.0, 0.0, 1.0))
    fit(network, tiny_data, recipe, tmp_path / "run")
    assert len(drawn) == 8
    assert drawn[2:] == ["sar"] * 6  # after the first look


@given(
    st.lists(st.floats(0, 1), min_size=2, max_size=4),
    st.lists(st.floats(0.1, 5), min_size=4, max_size=4),
    st.booleans(),
)
def test_shares_follow_the_error_and_sum_to_one(mious, weights, worst):
    names = [f"s{place}" for place in range(len(mious))]
    recipe = Recipe(scenario_share=tuple(weights[: len(mious)]), scenario_sampling="worst" if worst else "fixed")
    shares = Shares(recipe, names)
    before, after = shares.now({}), shares.now(dict(zip(names, mious, strict=True)))
    assert sum(before) == pytest.approx(1)
    assert sum(after) == pytest.approx(1)
    if not worst or all(miou == 1 for miou in mious):
        assert after == before
        return
    gains = [new / old for new, old in zip(after, before, strict=True)]
    by_error = sorted(range(len(mious)), key=lambda place: mious[place])
    assert all(gains[a] >= gains[b] * (1 - 1e-9) for a, b in itertools.pairwise(by_error))


def test_twice_the_error_is_twice_the_steps_and_a_scenario_without_a_look_counts_as_the_mean():
    shares = Shares(Recipe(scenario_sampling="worst"), ["a", "b", "c"])
    assert shares.now({"a": 0.8, "b": 0.6}) == pytest.approx([2 / 9, 4 / 9, 3 / 9])


def _looked(**miou):
    """Confusion counts of two classes with the given IoU in both; 0.9 in scenarios not named."""
    known = {"opt+sar": 0.9, "opt": 0.9, "sar": 0.9} | miou
    return {
        name: np.array([[round(2000 * v), round(1000 * (1 - v)), 0], [round(1000 * (1 - v)), round(2000 * v), 0]])
        for name, v in known.items()
    }


def _without_dropout(network):
    """Without dropout, and with norms that keep their statistics, so that images do not see each other."""
    losses = network.losses

    def in_eval(*args):
        network.eval()
        return losses(*args)

    network.losses = in_eval
    return network


def _told_to_stop(network, call):
    """Send SIGTERM to this process at the given call of the losses."""
    losses, calls = network.losses, []

    def telling(*args):
        calls.append(args)
        if len(calls) == call + 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return losses(*args)

    network.losses = telling
    return network
