"""The network of one sensor: equal operations to DIS2's branch, DIS2's supervision, one sensor only."""

import pytest
import torch

from dis2_edge.errors import RecipeError
from dis2_edge.recipe import Recipe
from dis2_edge.sensors import Sensor
from dis2_edge.task import Task
from dis2_train import networks
from dis2_train.networks.cost import cost

OPT = Sensor("opt", "optical", 3, "uint8", "DN", 0, 255)
SAR = Sensor("sar", "radar", 1, "uint8", "DN", 0, 255)


def task_of(*sensors, classes=2, grid=(32, 48)):
    return Task(sensors, tuple("abcdefgh"[:classes]), ("#000000",) * classes, grid)


@pytest.fixture
def network():
    return networks.build(Recipe(network="single", width=0.25), task_of(SAR, classes=3))


@pytest.mark.parametrize("sensor", [OPT, SAR], ids=lambda sensor: sensor.name)
@pytest.mark.parametrize("width", [0.5, 1.0])
@pytest.mark.parametrize(("classes", "grid"), [(2, (256, 256)), (5, (512, 512)), (4, (160, 144))])
def test_it_costs_what_the_branch_of_dis2_costs(sensor, width, classes, grid):
    alone, both = (task_of(*sensors, classes=classes, grid=grid) for sensors in ((sensor,), (OPT, SAR)))
    with torch.device("meta"):
        ours = networks.build(Recipe(network="single", width=width), alone)
        theirs = networks.build(Recipe(width=width), both)
    assert cost(ours, sensor.name).gflop == pytest.approx(cost(theirs, sensor.name).gflop, rel=0.11)


def test_it_answers_at_any_size_that_can_be_halved_four_times(network):
    for size in ((32, 48), (64, 16)):
        found = network.eval()({"sar": torch.randn(2, 1, *size)}, "sar", network.tap_names("sar"))
        assert found.logits.shape == (2, 3, *size)
        assert set(found.taps) == set(network.tap_names("sar"))
    assert found.taps["f2"].shape == (2, 16, 16, 4)
    assert found.taps["token"].shape == (2, 64)


def test_every_weight_is_taught(network):
    target = torch.randint(0, 3, (2, 32, 48))
    terms = network.train().losses({"sar": torch.randn(2, 1, 32, 48)}, target, "sar", 0.0)
    assert set(terms) == {"supervised", "auxiliary_sar", "scales"}
    sum(terms.values()).backward()
    assert not [name for name, p in network.named_parameters() if p.grad is None]


def test_it_learns_to_tell_bright_from_dark():
    torch.manual_seed(0)
    network = networks.build(Recipe(network="single", width=0.25), task_of(SAR, grid=(32, 32))).train()
    target = torch.arange(32).expand(2, 32, 32).ge(16).long()
    frames = {"sar": target.unsqueeze(1) + 0.1 * torch.randn(2, 1, 32, 32)}
    optimizer = torch.optim.AdamW(network.parameters(), 5e-3)
    for _ in range(30):
        optimizer.zero_grad()
        sum(network.losses(frames, target, "sar", 0.5).values()).backward()
        optimizer.step()
    assert (network(frames, "sar").logits.argmax(1) == target).float().mean() > 0.95


def test_two_sensors_and_unknown_scenarios_are_refused(network):
    with pytest.raises(RecipeError, match=r"has 2; expected one sensor; name one of opt, sar: --set 'sensors=\[\"opt"):
        networks.build(Recipe(network="single"), task_of(OPT, SAR))
    for ask in (network.deployable, lambda scenario: network({}, scenario)):
        with pytest.raises(RecipeError, match="unknown scenario 'opt'; expected sar"):
            ask("opt")


def test_what_flies_is_the_network_and_holds_nothing_else(network):
    x = torch.randn(1, 1, 32, 48)
    flown = network.eval().deployable("sar")
    with torch.no_grad():
        assert torch.equal(flown(x), network({"sar": x}, "sar").logits)
    assert not [name for name, _ in flown.named_parameters() if "auxiliary" in name or "side" in name]
