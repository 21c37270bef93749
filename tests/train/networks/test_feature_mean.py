"""Shared-plus-specific features: the mean for what is missing, the two small tasks, norms apart, equal operations."""

import pytest
import torch

from dis2_edge.errors import RecipeError
from dis2_edge.recipe import Recipe
from dis2_edge.scenario import sensors_of
from dis2_edge.sensors import Sensor
from dis2_edge.task import Task
from dis2_train import networks
from dis2_train.networks.feature_mean import Mean, _fill

SENSORS = (
    Sensor("rgb", "optical", 3, "uint8", "DN", 0, 255),
    Sensor("heat", "thermal", 1, "uint16", "K", 0, 60000),
    Sensor("dem", "height", 1, "float32", "metres", 0, 900),
    Sensor("sar", "radar", 2, "float32", "decibel", -40, 20),
    Sensor("nir", "optical", 1, "uint8", "DN", 0, 255),
)


def task_of(count):
    return Task(SENSORS[:count], ("a", "b", "c"), ("#000000", "#ffffff", "#ff0000"), (32, 48))


def build(count):
    return networks.build(Recipe(network="feature_mean", width=0.25), task_of(count))


def frames(task):
    random = torch.Generator().manual_seed(0)
    return {s.name: torch.randn(2, s.channels, *task.grid, generator=random) for s in task.sensors}


@pytest.mark.parametrize("count", [2, 3, 4])
def test_every_scenario_is_served_without_the_sensors_that_it_lacks_and_trained(count):
    network, target = build(count), torch.randint(0, 3, (2, 32, 48))
    assert network.training_scenarios == network.task.scenarios
    for scenario in network.task.scenarios:
        given = {name: frames(network.task)[name] for name in sensors_of(scenario)}
        found = network(given, scenario, network.tap_names(scenario))
        assert found.logits.shape == (2, 3, 32, 48)
        assert found.taps["bottom"].shape == (2, 64, 2, 3)
        assert network.deployable(scenario)(*given.values()).shape == (2, 3, 32, 48)
        sum(network.losses(frames(network.task), target, scenario, 0.0).values()).backward()
    assert not [name for name, p in network.named_parameters() if p.grad is None]


def test_a_missing_sensor_gives_the_mean_of_the_shared_maps_that_are_there():
    levels = {
        name: tuple(torch.full((1, 1, 1, 1), value + n) for n in range(4)) for name, value in (("a", 1.0), ("c", 5.0))
    }
    seen = {name: (shared, tuple(-x for x in shared)) for name, shared in levels.items()}
    for level, maps in enumerate(_fill(("a", "b", "c"), seen, Mean())):
        assert [x.item() for x in maps] == [-1 - level, 3 + level, -5 - level]
    alone = _fill(("a", "b"), {"b": seen["c"]}, Mean())
    assert [x.item() for x in alone[0]] == [5, -5]


def test_the_small_tasks_vanish_when_they_are_solved():
    network = build(2).eval()
    given = frames(network.task)
    target = torch.randint(0, 3, (2, 32, 48))
    before = network.losses(given, target, "heat", 0.0)
    assert set(before) == {"supervised", "align", "domain"}
    assert before["align"] > 0
    with torch.no_grad():
        for stem in network.stems.values():
            stem.norm.weight.zero_()  # every sensor now gives the same shared maps
        network.domain.weight.zero_()
        network.domain.bias.copy_(torch.tensor([0.0, 0.0]))
    after = network.losses(given, target, "heat", 0.0)
    assert after["align"] == 0
    assert after["domain"].item() == pytest.approx(0.02 * torch.tensor(2.0).log().item())


def test_training_one_scenario_leaves_the_norms_of_the_others_alone():
    network = build(3).train()
    before = {name: value.clone() for name, value in network.state_dict().items() if "running" in name}
    network(frames(network.task), "rgb+dem")
    moved = [n for n, value in network.state_dict().items() if "running" in n and not value.equal(before[n])]
    assert any(".norms.rgb+dem." in name for name in moved)
    assert any("shared" in name and ".norms.rgb." in name for name in moved)
    assert not [n for n in moved if "heat" in n or (n.startswith("units.") and ".norms.rgb+dem." not in n)]


def test_the_shared_encoder_is_one_and_the_specific_ones_are_many():
    first, second = build(2)._net("rgb+heat").sensors.values()
    assert all(
        a.conv is b.conv and a.norm is not b.norm for a, b in zip(first.shared[1:], second.shared[1:], strict=True)
    )
    assert not {id(p) for p in first.specific.parameters()} & {id(p) for p in second.specific.parameters()}


@pytest.mark.parametrize("count", [1, 5])
def test_one_sensor_and_five_are_refused_before_any_training(count):
    with pytest.raises(RecipeError, match=rf"given {count} sensors: rgb.*expected two to 4; name some: --set"):
        build(count)
