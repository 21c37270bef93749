"""Integer units: each says what the unit with fake quantisation says, and ONNX Runtime says what torch says."""

import numpy as np
import pytest
import torch
from small import NDSM
from torch import nn
from woven import bytes_of, lived_in_unit, same, written

from dis2_quantize.rounding.fake import ActivationQuant, QuantConvUnit
from dis2_quantize.rounding.linear import QuantLinear
from dis2_quantize.rounding.stem import reads_bytes
from dis2_quantize.writing.ort import units
from dis2_quantize.writing.ort.operators import Step, to_integers, to_values
from dis2_train.networks.blocks import Enlarge, Regroup

READ, MADE = Step(0.05, 3), Step(0.11, 128)


@pytest.mark.parametrize(("outputs", "kernel", "stride"), [(24, 3, 1), (4, 3, 1), (17, 4, 2), (16, 1, 1)])
def test_a_convolution(outputs, kernel, stride):
    unit = QuantConvUnit(lived_in_unit(5, outputs, kernel, stride)).eval()
    integer, x = units.IntegerConv(unit, READ, Step(0.02, 0)), bytes_of(2, 12, 10, 5)
    expected = to_integers(unit(to_values(x, READ).float().permute(0, 3, 1, 2)), Step(0.02, 0)).permute(0, 2, 3, 1)
    assert expected.float().std() > 5
    assert same(integer(x), expected, share=0.01)
    assert same(written(integer, x), integer(x), share=0.01)


@pytest.mark.parametrize(("outputs", "made"), [(4, 16), (16, 16), (17, 32), (49, 64)])
def test_outputs_are_filled_up_to_sixteens_for_the_kernel_and_cut_off_again(outputs, made):
    integer = units.IntegerConv(QuantConvUnit(lived_in_unit(5, outputs)), READ, MADE)
    assert len(integer.weight) == len(integer.steps) == len(integer.bias) == made
    assert integer(bytes_of(1, 8, 8, 5)).shape == (1, 8, 8, outputs)
    assert written(integer, bytes_of(1, 8, 8, 5)).shape == (1, 8, 8, outputs)


def test_a_stem_over_other_samples_stays_in_floating_point():
    assert not reads_bytes(lived_in_unit(1, 16, 4, 2), NDSM)


@pytest.mark.parametrize("shared", [3, 1])
def test_a_sum(shared):
    x, y = bytes_of(3, 6, 5, 8), bytes_of(shared, 6, 5, 8, seed=1)
    integer = units.IntegerAdd(READ, MADE, Step(0.2, 0))
    expected = to_integers(to_values(x, READ) + to_values(y, MADE), Step(0.2, 0))
    assert torch.equal(integer(x, y), expected)
    assert same(written(integer, x, y), expected, share=0.01)


@pytest.mark.parametrize("read", [(MADE, MADE), (READ, MADE)])
def test_a_concatenation_copies_what_shares_its_step_and_rounds_the_rest(read):
    x, y = bytes_of(1, 4, 5, 3), bytes_of(1, 4, 5, 2, seed=1)
    integer = units.IntegerConcat(read, MADE)
    expected = torch.cat([to_integers(to_values(part, step), MADE) for part, step in zip((x, y), read, strict=True)], 3)
    assert torch.equal(integer(x, y), expected)
    assert same(written(integer, x, y), expected, share=0.01)


@pytest.mark.parametrize("shape", [(2, 6, 5, 3), (1, 1, 4, 2), (1, 3, 1, 16)])
@pytest.mark.parametrize("step", [Step(0.3, 0), Step(0.3, 128)])
def test_an_enlargement_is_the_bilinear_one_to_one_step(shape, step):
    x = bytes_of(*shape)
    exact = Enlarge(2)(to_values(x, step).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    integer = units.IntegerEnlarge(step)
    for found in (integer(x), torch.from_numpy(written(integer, x))):
        assert (to_values(found, step) - exact).abs().max() <= 1.01 * step.scale  # half a step in each direction


def test_regrouping():
    x = bytes_of(3, 4, 5, 2)
    expected = Regroup(3)(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    assert torch.equal(units.IntegerRegroup(3)(x), expected)
    assert (written(units.IntegerRegroup(3), x) == expected.numpy()).all()


def test_a_linear_layer():
    torch.manual_seed(1)
    linear = QuantLinear(nn.Linear(24, 40), "round_here", "minmax").eval()
    x = torch.randn(1, 9, 24)
    linear(x)
    linear.input.freeze()
    integer = units.IntegerLinear(linear)
    assert torch.allclose(integer(x), linear(x), atol=1e-4)
    assert np.allclose(written(integer, x), integer(x).numpy(), atol=1e-4)
    assert (linear.plain()(x) - linear(x)).abs().max() > 1e-4


@pytest.mark.parametrize("signed", [False, True])
def test_a_rounding_tells_its_step(signed):
    rounding = ActivationQuant("here", "minmax")
    rounding(torch.tensor([-1.0 if signed else 0.0, 2.0]))
    rounding.freeze()
    step = units.step_of(rounding)
    x = torch.linspace(-1, 2, 50) if signed else torch.linspace(0, 2, 50)
    assert torch.allclose(to_values(to_integers(x, step), step).float(), rounding(x), atol=1e-6)
    assert step.zero == (128 if signed else 0)
