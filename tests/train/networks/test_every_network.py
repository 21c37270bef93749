"""What training and export take for granted of every network, whichever it is."""

import copy

import pytest
import torch
from safetensors.torch import load, save

from dis2_edge.recipe import Recipe
from dis2_edge.scenario import sensors_of
from dis2_edge.sensors import Sensor
from dis2_edge.task import Task
from dis2_train import checkpoint, networks

RGB = Sensor("rgb", "optical", 3, "uint8", "DN", 0, 255)
HEAT = Sensor("heat", "thermal", 1, "uint8", "DN", 0, 255)
RECIPES = {
    "dis2": Recipe(width=0.125),
    "csknet": Recipe(network="csknet", width=0.125),
    "csknet as published": Recipe(network="csknet", width=0.125, norms="sensor", texture_into="both"),
    "deeplabv3": Recipe(network="deeplabv3", width=0.125),
    "early_fusion": Recipe(network="early_fusion", width=0.125),
    "feature_mean": Recipe(network="feature_mean", width=0.125),
}


def built(name):
    """The network of a recipe, with an untrained teacher where it waits for one."""
    recipe = RECIPES[name]
    sensors = (RGB,) if recipe.network == "deeplabv3" else (RGB, HEAT)
    network = networks.build(recipe, Task(sensors, ("a", "b", "c"), ("#000000",) * 3, (32, 32)))
    if lesson := network.taught_by():
        network.learn_from(networks.build(lesson, Task((RGB,), network.task.classes, network.task.colours, (32, 32))))
    return network


def frames(network):
    random = torch.Generator().manual_seed(0)
    return {s.name: torch.randn(2, s.channels, 32, 32, generator=random) for s in network.task.sensors}


def step(network, scenario, seed=3, kind=torch.float32):
    """The loss terms of a step, and all gradients, as one step of training has them."""
    target = torch.randint(0, 3, (2, 32, 32), generator=torch.Generator().manual_seed(1))
    torch.manual_seed(seed)
    network.train().zero_grad()
    with torch.autocast("cpu", kind, enabled=kind != torch.float32):
        terms = network.losses(frames(network), target, scenario, 1.0)
    torch.stack([term.float() for term in terms.values()]).sum().backward()
    return terms, [value.grad for value in network.parameters() if value.grad is not None]


@pytest.mark.parametrize("name", RECIPES)
def test_a_seed_says_all_of_the_weights_and_of_a_step(name):
    one, other = built(name), built(name)
    torch.rand(5)
    scenario = one.training_scenarios[-1]
    first, second = step(one, scenario), step(other, scenario)
    assert {key: value.item() for key, value in first[0].items()} == {k: v.item() for k, v in second[0].items()}
    assert all(torch.equal(a, b) for a, b in zip(first[1], second[1], strict=True))
    after = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in after)


@pytest.mark.parametrize("name", RECIPES)
def test_the_state_comes_back_whole_and_a_copy_is_apart(name):
    network = built(name)
    step(network, network.training_scenarios[-1])
    copied, other = copy.deepcopy(network), built(name)
    checkpoint.fill(other, load(save(checkpoint.plain(network.state_dict()))), where="memory")
    before = checkpoint.plain(network.state_dict())
    for again in (copied, other):
        assert all(torch.equal(value, before[key]) for key, value in again.state_dict().items())
    with torch.no_grad():
        for value in copied.state_dict().values():
            value.zero_()
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize("name", RECIPES)
def test_what_flies_answers_as_the_network_does_with_its_taps(name):
    network = built(name)
    for scenario in network.training_scenarios:
        step(network, scenario)  # so that batch norms have seen something
    network.eval()
    for scenario in network.task.scenarios:
        taps = network.tap_names(scenario)
        seen = {key: frames(network)[key] for key in sensors_of(scenario)}
        with torch.no_grad():
            answer, flown = network(seen, scenario, taps), network.deployable(scenario, taps).eval()(*seen.values())
        logits, *rest = flown if taps else (flown,)
        torch.testing.assert_close(logits, answer.logits, atol=1e-5, rtol=1e-5)
        for tap, value in zip(taps, rest, strict=True):
            assert value.shape == answer.taps[tap].shape
        assert set(network.blocks(scenario)) <= {key for key, _ in network.deployable(scenario).named_modules()}


@pytest.mark.parametrize("name", RECIPES)
def test_a_step_in_bfloat16_is_near_one_in_full_precision(name):
    scenario = built(name).training_scenarios[-1]
    exact, rough = step(built(name), scenario)[0], step(built(name), scenario, kind=torch.bfloat16)[0]
    assert exact.keys() == rough.keys()
    for key, value in exact.items():
        assert rough[key].item() == pytest.approx(value.item(), rel=0.1, abs=0.05), key


@pytest.mark.parametrize("name", RECIPES)
def test_figures_for_the_log_are_plain_numbers(name):
    figures = built(name).figures()
    assert all(type(value) is float for value in figures.values())
    assert set(figures) == ({"exchanged"} if name.startswith("csknet") else set())
