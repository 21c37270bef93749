"""Early fusion: one to four sensors, zeros for what is missing, batch norm apart for each scenario."""

import dataclasses

import pytest
import torch

from dis2_edge.errors import RecipeError
from dis2_edge.recipe import Recipe
from dis2_edge.scenario import sensors_of
from dis2_edge.sensors import Sensor
from dis2_edge.task import Task
from dis2_train import networks
from dis2_train.networks.early_fusion import PartialConv

SENSORS = (
    Sensor("rgb", "optical", 3, "uint8", "DN", 0, 255),
    Sensor("heat", "thermal", 1, "uint16", "K", 0, 60000),
    Sensor("dem", "height", 1, "float32", "metres", 0, 900),
    Sensor("sar", "radar", 2, "float32", "decibel", -40, 20),
    Sensor("nir", "optical", 1, "uint8", "DN", 0, 255),
)


def task_of(count):
    return Task(SENSORS[:count], ("a", "b"), ("#000000", "#ffffff"), (32, 48))


def frames(task):
    random = torch.Generator().manual_seed(0)
    return {s.name: torch.randn(2, s.channels, *task.grid, generator=random) for s in task.sensors}


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_every_scenario_of_any_number_of_sensors_is_served_and_trained(count):
    task = task_of(count)
    network = networks.build(Recipe(network="early_fusion", width=0.25), task)
    assert network.training_scenarios == task.scenarios
    for scenario in task.scenarios:
        given = {name: frames(task)[name] for name in sensors_of(scenario)}
        assert network(given, scenario).logits.shape == (2, 2, 32, 48)
        target = torch.randint(0, 2, (2, 32, 48))
        network.losses(given, target, scenario, 0.0)["supervised"].backward()
    assert all(p.grad is not None for p in network.parameters())


def test_reading_fewer_channels_equals_zeros_in_the_others():
    conv = torch.nn.Conv2d(5, 4, 4, 2, 1, bias=False)
    x = torch.randn(2, 5, 16, 16)
    x[:, :3] = 0
    assert torch.allclose(PartialConv(conv, (3, 4))(x[:, 3:]), conv(x), atol=1e-6)


def test_training_one_scenario_leaves_the_statistics_of_the_others_alone():
    task = task_of(2)
    network = networks.build(Recipe(network="early_fusion", width=0.25), task).train()
    before = {name: value.clone() for name, value in network.state_dict().items() if "running" in name}
    network(frames(task), "heat")
    moved = {
        name for name, value in network.state_dict().items() if "running" in name and not value.equal(before[name])
    }
    assert moved
    assert all(".norms.heat." in name for name in moved)


@pytest.mark.parametrize("network", ["early_fusion", "dis2"])
def test_a_grid_that_cannot_be_halved_four_times_is_refused_before_any_training(network):
    odd = dataclasses.replace(task_of(2), grid=(100, 48))
    with pytest.raises(RecipeError, match=r"multiples of 16; --set 'grid=\[96, 48\]'"):
        networks.build(Recipe(network=network, width=0.25), odd)


def test_four_sensors_fly_and_five_are_refused_before_any_training():
    task = task_of(4)
    network = networks.build(Recipe(network="early_fusion", width=0.25), task).eval()
    given = frames(task)
    with torch.no_grad():
        found = network.deployable(task.full)(*given.values())
        assert torch.equal(found, network(given, task.full).logits)
    with pytest.raises(RecipeError, match="at most 4"):
        networks.build(Recipe(network="early_fusion", width=0.25), task_of(5))
