"""DeepLabV3 on one sensor: shapes at both strides, the pooled branch, dilation, names, and what is refused."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dis2_edge.errors import RecipeError
from dis2_edge.recipe import Recipe
from dis2_edge.task import Task
from dis2_train import networks
from dis2_train.networks.deeplab.decoder import Decoder, ImagePooling
from dis2_train.networks.deeplab.plan import decoder_plan, encoder_plan, units
from tests.train.networks.csk_pairs import HEAT, RGB, TASK, built, frames, target

LONE = Task((HEAT,), TASK.classes, TASK.colours, (32, 48))
RECIPE = Recipe(network="deeplabv3", width=0.25)


def lone(**changes):
    return built(LONE, network="deeplabv3", **changes)


def test_two_sensors_are_refused_and_one_is_named():
    with pytest.raises(RecipeError, match=r"looks through one sensor, and this task has 2.*sensors=\[\"rgb\"\]"):
        networks.build(RECIPE, TASK)


def test_an_unknown_scenario_is_refused():
    with pytest.raises(RecipeError, match="unknown scenario 'rgb'"):
        lone()(frames(), "rgb")


@pytest.mark.parametrize("grid", [(40, 48), (32, 24), (8, 8)])
def test_a_grid_that_cannot_be_halved_four_times_is_refused(grid):
    with pytest.raises(RecipeError, match="multiples of 16"):
        networks.build(RECIPE, dataclasses.replace(LONE, grid=grid))


@pytest.mark.parametrize("rates", [(), (0, 6), (-1,)])
def test_rates_of_nothing_are_refused(rates):
    with pytest.raises(RecipeError, match="pyramid_rates"):
        dataclasses.replace(RECIPE, pyramid_rates=rates)


@pytest.mark.parametrize("stride", [8, 16])
def test_maps_are_a_quarter_and_an_eighth_or_sixteenth_and_logits_the_whole(stride):
    network = lone(output_stride=stride)
    with torch.no_grad():
        found = network(frames(), "heat", network.tap_names("heat"))
    assert found.logits.shape == (2, 3, 32, 48)
    assert found.taps["early"].shape == (2, 16, 8, 12)
    assert found.taps["bottom"].shape == (2, 64, 32 // stride, 48 // stride)
    assert found.taps["penultimate"].shape == (2, 32, 32 // stride, 48 // stride)


def test_stage_4_dilates_where_it_does_not_halve():
    eight, sixteen = (encoder_plan(dataclasses.replace(RECIPE, output_stride=s), 1) for s in (8, 16))
    assert [(eight[n].stride, eight[n].dilation) for n in ("enter4", "inner4_1", "outer4_1")] == [
        (1, 1),
        (1, 2),
        (1, 2),
    ]
    assert [(sixteen[n].stride, sixteen[n].dilation) for n in ("enter4", "inner4_1")] == [(2, 1), (1, 1)]
    assert {name: eight[name] for name in eight if "4" not in name} == {
        name: sixteen[name] for name in sixteen if "4" not in name
    }


def test_the_pyramid_has_a_branch_for_each_rate_and_the_projection_reads_them_all():
    plan = decoder_plan(dataclasses.replace(RECIPE, pyramid_rates=(2, 5)))
    assert [plan[f"atrous{n}"].dilation for n in (1, 2)] == [2, 5]
    assert plan["project"].inputs == 3 * plan["point"].outputs
    assert "atrous3" not in plan


def test_a_pooled_map_that_is_added_is_the_papers_that_is_put_beside_the_others():
    """ReLU(BN(W [branches; pooled])): W's last columns, by the norm's scale, are the second convolution of ours."""
    decoder = Decoder(units(decoder_plan(RECIPE)), ImagePooling(64, 32))
    project, pooling = decoder.units["project"], decoder.pooling
    norm = project.norm
    norm.weight.data.uniform_(0.5, 2)
    norm.running_mean.uniform_(-1, 1)
    norm.running_var.uniform_(0.5, 2)
    decoder.eval()
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    pooled_columns = torch.randn(32, 32, 1, 1)
    pooling.project.weight.data = scale.detach().view(-1, 1, 1, 1) * pooled_columns
    pooling.project.bias.data.zero_()
    x = torch.randn(2, 64, 4, 6)
    with torch.no_grad():
        pooled = F.relu(F.conv2d(x.mean((2, 3), keepdim=True), pooling.narrow.weight, pooling.narrow.bias))
        branches = [decoder.units[name](x) for name in ("point", "atrous1", "atrous2", "atrous3")]
        beside = torch.cat([*branches, pooled.expand(-1, -1, 4, 6)], dim=1)
        whole = torch.cat([project.conv.weight, pooled_columns], dim=1)
        expected = decoder.units["refine"](F.relu(norm(F.conv2d(beside, whole))))
        assert torch.allclose(decoder(x), expected, atol=1e-5)


@pytest.mark.parametrize("pooled", [True, False])
def test_the_pooled_branch_alone_sees_beyond_the_reach_of_every_kernel(pooled):
    network = built(Task((HEAT,), TASK.classes, TASK.colours, (256, 256)), network="deeplabv3", pyramid_rates=(1,))
    network.decoder.pooling.project.weight.data *= 100 * pooled
    x = torch.zeros(1, 1, 256, 256)
    spoilt = x.clone()
    spoilt[..., :16, :16] = 50
    with torch.no_grad():
        far = (network({"heat": spoilt}, "heat").logits - network({"heat": x}, "heat").logits)[..., -8:, -8:]
    assert bool(far.abs().max() > 1e-4) == pooled


@pytest.mark.parametrize("stride", [8, 16])
def test_what_flies_answers_as_the_network_with_taps_and_names_that_are_real(stride):
    network = lone(output_stride=stride)
    taps, given = network.tap_names("heat"), frames()
    flown = network.deployable("heat", taps).eval()
    with torch.no_grad():
        logits, *found = flown(given["heat"])
        expected = network(given, "heat", taps)
    assert torch.equal(logits, expected.logits)
    assert all(torch.equal(a, expected.taps[name]) for a, name in zip(found, taps, strict=True))
    named = dict(flown.named_modules())
    assert set(network.blocks("heat")) <= set(named)
    convolutions = {name.rpartition(".")[0] for name, module in named.items() if isinstance(module, nn.BatchNorm2d)}
    assert convolutions - set(network.blocks("heat")) == {"inner.encoder.sensors.0.stem"}


def test_a_step_moves_every_weight():
    network = lone().train()
    terms = network.losses(frames(), target(), "heat", 0.0)
    assert set(terms) == {"supervised"}
    terms["supervised"].backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_a_sensor_of_three_channels_differs_in_its_first_convolution_alone():
    three, one = (encoder_plan(RECIPE, sensor.channels) for sensor in (RGB, HEAT))
    assert {name for name in three if three[name] != one[name]} == {"stem"}
