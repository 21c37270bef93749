"""DIS2 less a part: the part is gone, nothing costs more, what is left trains, flies and can be quantised."""

import pytest
import torch

from dis2_edge.errors import RecipeError
from dis2_edge.recipe import Recipe
from dis2_edge.sensors import Sensor
from dis2_edge.task import Task
from dis2_train import networks
from dis2_train.networks.cost import cost
from dis2_train.networks.dis2.classwise import ClasswiseAttention
from dis2_train.networks.dis2.fusion import FusionAttention

OPT = Sensor("opt", "optical", 3, "uint8", "DN", 0, 255)
SAR = Sensor("sar", "radar", 1, "uint8", "DN", 0, 255)
LESS = {"classwise": ClasswiseAttention, "hierarchical": FusionAttention}


def task_of(*sensors, classes=3, grid=(32, 48)):
    return Task(sensors, tuple("abcde"[:classes]), ("#000000",) * classes, grid)


def build(**choices):
    return networks.build(Recipe(width=0.25, **choices), task_of(OPT, SAR))


def frames(batch=2):
    random = torch.Generator().manual_seed(0)
    return {s.name: torch.randn(batch, s.channels, 32, 48, generator=random) for s in (OPT, SAR)}


@pytest.mark.parametrize("part", LESS)
def test_a_part_is_gone_everywhere_and_the_rest_is_taught(part):
    network = build(**{part: False}).train()
    assert any(isinstance(module, LESS[part]) for module in build().modules())
    assert not any(isinstance(module, LESS[part]) for module in network.modules())
    target = torch.randint(0, 3, (2, 32, 48))
    for scenario in network.training_scenarios:
        terms = network.losses(frames(), target, scenario, 1.0)
        assert all(torch.isfinite(term) for term in terms.values())
        assert {"scales", "disentangle"} <= set(terms)
        sum(terms.values()).backward()
    assert not [name for name, p in network.named_parameters() if p.grad is None]


@pytest.mark.parametrize("part", LESS)
def test_what_is_left_flies_and_names_blocks_that_are_there(part):
    network = build(**{part: False}).eval()
    for scenario in network.task.scenarios:
        flown = network.deployable(scenario, network.tap_names(scenario))
        given = [frames()[name] for name in scenario.split("+")]
        logits, *taps = flown(*given)
        expected = network(frames(), scenario, network.tap_names(scenario))
        assert torch.equal(logits, expected.logits)
        assert [tap.shape for tap in taps] == [tap.shape for tap in expected.taps.values()]
        assert set(network.blocks(scenario)) <= {name for name, _ in flown.named_modules()}


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("part", LESS)
def test_it_costs_no_more_without_the_part(part, classes):
    task = task_of(OPT, SAR, classes=classes, grid=(256, 256))
    with torch.device("meta"):
        less, whole = (networks.build(Recipe(width=0.5, **{part: keep}), task) for keep in (False, True))
    for scenario in task.scenarios:
        assert cost(less, scenario).gflop <= cost(whole, scenario).gflop


def test_without_hierarchy_a_level_sees_only_itself():
    network = build(hierarchical=False).eval()
    fusion = network.branches["opt"].fusion
    levels = network.encoders["opt"](frames()["opt"])
    other = (levels[0] + 1, *levels[1:])
    before, after = fusion(levels, levels)[0], fusion(other, levels)[0]
    assert not torch.equal(before[0], after[0])
    assert all(torch.equal(a, b) for a, b in zip(before[1:], after[1:], strict=True))


def test_a_weight_of_zero_takes_a_loss_out():
    network = build(disentangle_weight=0.0, distill_weight=0.0).train()
    terms = network.losses(frames(), torch.randint(0, 3, (2, 32, 48)), "sar", 1.0)
    assert terms["disentangle"] == 0
    assert "distill" not in terms


def test_one_sensor_can_do_without_class_wise_decoding_too():
    network = networks.build(Recipe(network="single", width=0.25, classwise=False), task_of(SAR))
    assert not any(isinstance(module, ClasswiseAttention) for module in network.modules())
    terms = network.losses(frames(), torch.randint(0, 3, (2, 32, 48)), "sar", 0.0)
    sum(terms.values()).backward()
    assert not [name for name, p in network.named_parameters() if p.grad is None]


@pytest.mark.parametrize("part", LESS)
def test_the_paper_preset_keeps_all_its_parts(part):
    with pytest.raises(RecipeError, match="paper preset has all its parts; --set preset=default"):
        networks.build(Recipe(preset="paper", **{part: False}), task_of(OPT, SAR))
