"""Shared convolutions are quantised once: W = s q, and each unit's norm goes into scale, sign and bias."""

import dataclasses

import pytest
import torch
from small import NDSM, RECIPE, RGB, TWO, frames_of

from dis2_edge.recipe import Recipe
from dis2_edge.scenario import sensors_of
from dis2_quantize.rounding import placement
from dis2_quantize.rounding.fake import QuantConvUnit
from dis2_quantize.rounding.halfway import scale_in_half
from dis2_quantize.rounding.kernel import Kernel
from dis2_quantize.teaching.student import Student
from dis2_quantize.teaching.tune import begin, settle
from dis2_quantize.writing.ort import units
from dis2_quantize.writing.ort.operators import Step
from dis2_train import networks
from dis2_train.networks.blocks import ConvUnit, Cut

CSKNET = Recipe(network="csknet", width=0.25)


def csknet(given_up=0.4):
    """CSK-Net with lived-in norms of either sign, some of whose channels are given up to the other sensor."""
    torch.manual_seed(3)
    network = networks.build(CSKNET, TWO).train()
    with torch.no_grad():
        for norm in (module for module in network.encoder.modules() if isinstance(module, torch.nn.BatchNorm2d)):
            norm.weight.uniform_(-1.0, 1.5)
            norm.weight.mul_(norm.weight.abs() > 0.05)
        for pair in network.exchanged().values():
            for norm in pair:
                norm.weight.mul_(torch.rand_like(norm.weight) > given_up)
        for scenario in TWO.scenarios:
            network(frames_of(TWO, 2), scenario)
    return network.eval()


def student_of(network, scenario="rgb+ndsm"):
    placed = placement.place(placement.trace(network.deployable(scenario)), "minmax", (), TWO.used(scenario))
    with torch.no_grad():
        placed(*(frames_of(TWO)[name] for name in sensors_of(scenario)))
    placement.freeze(placed)
    return Student(scenario, (), placed.eval())


def pairs_of(student):
    """The units of both sensors by name, of all convolutions of the encoder but the first."""
    one, other = (student.network.get_submodule(f"inner.encoder.sensors.{place}") for place in (0, 1))
    names = [name for name, _ in one.named_children() if name != "stem"]
    return {name: (one.get_submodule(name), other.get_submodule(name)) for name in names}


def whole_integers(unit):
    """Integers (O, I, h, w) of the whole convolution in its own order without the sign, and which outputs are there."""
    count = len(unit.kernel.weight)
    rows = torch.arange(count) if unit.rows is None else unit.rows
    columns = torch.arange(unit.kernel.weight.shape[1]) if unit.columns is None else unit.columns
    found = torch.zeros(unit.kernel.weight.shape, dtype=torch.int8)
    gain, _ = unit._norm_now()
    own = unit.integers() * gain.sign().to(torch.int8).view(-1, 1, 1, 1)
    found[rows[:, None], columns[None]] = own
    computed = torch.zeros(count, dtype=torch.bool)
    computed[rows[gain != 0]] = True
    return found, computed


def assert_shared(student):
    seen = 0
    for name, (one, other) in pairs_of(student).items():
        (first, has_first), (second, has_second) = whole_integers(one), whole_integers(other)
        both = has_first & has_second
        seen += int(both.sum())
        assert torch.equal(first[both], second[both]), name
        assert first[both].abs().amax((1, 2, 3)).eq(127).float().mean() > 0.9, name
    assert seen > 100


def train_a_little(student):
    optimizer = torch.optim.SGD(student.network.parameters(), lr=0.02)
    student.network.train()
    for step in range(3):
        frames = frames_of(TWO, 2)
        answer = student.network(*(frames[sensor.name] + 0.1 * step for sensor in (RGB, NDSM)))
        optimizer.zero_grad()
        answer.square().mean().backward()
        optimizer.step()
    student.network.eval()


@pytest.mark.parametrize("given_up", [0.0, 0.4])
def test_both_sensors_have_one_set_of_integers_before_and_after_tuning(given_up):
    student = student_of(csknet(given_up))
    assert_shared(student)
    before = {name: one.integers() for name, (one, _) in pairs_of(student).items()}
    begin(student, dataclasses.replace(RECIPE, learned_scales=True))
    train_a_little(student)
    assert_shared(student)
    settle(student)
    assert_shared(student)
    assert sum(not torch.equal(one.integers(), before[name]) for name, (one, _) in pairs_of(student).items()) > 5


def test_both_signs_and_channels_that_one_sensor_does_not_compute_are_among_them():
    pairs = pairs_of(student_of(csknet()))
    signs = [unit._norm_now()[0].sign() for pair in pairs.values() for unit in pair]
    assert {-1.0, 1.0} <= set(torch.cat(signs).tolist())
    assert any(one.rows is not None and len(one.rows) != len(other.rows) for one, other in pairs.values())
    assert any(one.columns is not None for one, _ in pairs.values())


def test_convolutions_that_are_not_shared_are_trained_apart():
    network = networks.build(dataclasses.replace(CSKNET, shared_convs=False), TWO).eval()
    assert all(one.kernel is not other.kernel for one, other in pairs_of(student_of(network)).values())


@pytest.mark.parametrize("kind", ["csknet", "dis2"])
def test_a_rounded_unit_says_the_same_when_gain_and_sign_are_folded_into_a_kernel_of_its_own(kind, lived_in):
    student = student_of(csknet() if kind == "csknet" else lived_in(kind, TWO))
    found = [unit for unit in student.network.modules() if type(unit) is QuantConvUnit]
    assert len(found) > 20
    for unit in found:
        x = torch.randn(1, unit.weight.shape[1], 9, 9)
        before, integers = unit(x), unit.integers()
        unit.fold()
        assert torch.equal(unit.integers(), integers)
        assert torch.allclose(unit(x), before, atol=1e-5)
        unit.kernel.steps.copy_(scale_in_half(unit.steps))  # as the dialect `trt` does
        assert torch.equal(unit.integers(), integers)


def test_a_unit_cut_from_a_convolution_computes_the_channels_that_it_was_cut_to():
    whole = ConvUnit(6, 8).eval()
    part = ConvUnit(6, 3).eval()
    part.cut = Cut(whole.conv, outputs=(5, 0, 7), inputs=(3, 1, 2, 0, 5, 4))
    x = torch.randn(1, 6, 7, 7)
    shared = Kernel(whole.conv.weight)
    expected = QuantConvUnit(whole, shared)(x)[:, [5, 0, 7]]
    assert torch.allclose(QuantConvUnit(part, shared)(x[:, [3, 1, 2, 0, 5, 4]]), expected, atol=1e-5)


def test_a_channel_of_hardly_any_gain_keeps_its_bias_and_does_not_pass_what_sums_hold():
    unit = ConvUnit(4, 20).eval()
    with torch.no_grad():
        unit.norm.weight.fill_(1.0)
        unit.norm.weight[3] = 1e-9
        unit.norm.bias.fill_(0.7)
    integer = units.IntegerConv(QuantConvUnit(unit), Step(0.01, 0), Step(0.01, 0))
    assert integer.bias.abs().max() <= units.LARGEST_SUM
    answer = integer(torch.full((1, 5, 5, 4), 255, dtype=torch.uint8))
    assert (answer[..., 3] == 70).all()
    assert (answer[..., 4].unique().numel()) > 1
