"""Fake quantisation: folding changes nothing, rounding is what the engine will do, faults are named."""

import pytest
import torch

from dis2_edge.errors import DataError, InternalError
from dis2_quantize.rounding.fake import ActivationQuant, QuantConvUnit
from dis2_quantize.rounding.folding import folded
from dis2_train.networks.blocks import ConvUnit


def lived_in_unit() -> ConvUnit:
    unit = ConvUnit(3, 5)
    with torch.no_grad():
        unit.norm.weight.copy_(torch.linspace(-1, 2, 5))
        unit.norm.bias.copy_(torch.linspace(1, -1, 5))
        for _ in range(5):
            unit(4 * torch.randn(2, 3, 9, 7) + 1)
    return unit.eval()


def test_a_folded_convolution_equals_convolution_and_norm():
    unit, x = lived_in_unit(), torch.randn(2, 3, 9, 7)
    weight, bias = folded(unit)
    assert torch.allclose(unit.act(torch.conv2d(x, weight, bias, 1, 1)), unit(x), atol=1e-5)


def test_rounded_weights_differ_by_at_most_half_a_step():
    unit = lived_in_unit()
    rounded = QuantConvUnit(unit)
    exact = folded(unit)[0]
    used = rounded.integers() * rounded.steps.view(-1, 1, 1, 1)
    assert ((used - exact).abs().amax((1, 2, 3)) <= rounded.steps / 2 + 1e-7).all()
    assert torch.allclose(rounded.steps, exact.abs().amax((1, 2, 3)) / 127)


def test_leaving_training_takes_the_steps_of_the_weights_as_they_are_then():
    rounded = QuantConvUnit(lived_in_unit()).train()
    rounded(torch.randn(1, 3, 9, 7))
    with torch.no_grad():
        rounded.kernel.weight.mul_(3)
    rounded.eval()
    assert torch.allclose(rounded.steps, rounded.weight.detach().abs().amax((1, 2, 3)) / 127)


def test_a_norm_without_statistics_cannot_be_folded():
    unit = ConvUnit(1, 1)
    unit.norm = torch.nn.BatchNorm2d(1, track_running_stats=False)
    with pytest.raises(InternalError, match="statistics"):
        folded(unit)


@pytest.mark.parametrize(("low", "signed"), [(0.0, False), (-1.0, True)])
def test_what_is_never_negative_gets_the_whole_byte(low, signed):
    quant = ActivationQuant("here", "minmax")
    x = torch.linspace(low, 2, 1000)
    assert quant(x) is x
    quant.freeze()
    assert quant.signed is signed
    assert quant.scale == pytest.approx(2 / (127 if signed else 255), rel=0.01)
    assert (quant(x) - x).abs().max() <= quant.scale * 0.6
    assert len(quant(x).unique()) <= 256
    assert quant(torch.zeros(1)) == 0


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite_is_refused_with_the_layer_named(bad):
    with pytest.raises(DataError, match="round_mix"):
        ActivationQuant("round_mix", "mse")(torch.tensor([1.0, bad]))


def test_a_layer_that_no_sample_reached_is_named():
    with pytest.raises(DataError, match="round_lost"):
        ActivationQuant("round_lost", "mse").freeze()


def test_rounding_lets_gradients_through_within_the_range_only():
    quant = ActivationQuant("here", "minmax")
    quant(torch.tensor([0.0, 1.0]))
    quant.freeze()
    x = torch.tensor([0.5, 3.0], requires_grad=True)
    quant(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1.0, 0.0]
