"""While a student is tuned, norms live and scales learn; when that ends, nothing is rounded otherwise than before."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dis2_quantize.rounding.fake import ActivationQuant, QuantConvUnit
from dis2_quantize.rounding.learning import FARTHEST, Change, round_tensor
from dis2_train.networks.blocks import ConvUnit


def lived_in_unit(gains=(-1.0, 2.0)) -> ConvUnit:
    unit = ConvUnit(3, 5)
    with torch.no_grad():
        unit.norm.weight.copy_(torch.linspace(*gains, 5))
        unit.norm.bias.copy_(torch.linspace(1, -1, 5))
        for _ in range(5):
            unit(4 * torch.randn(2, 3, 9, 7) + 1)
    return unit.eval()


def frame() -> torch.Tensor:
    return 4 * torch.randn(2, 3, 9, 7) + 1


def revived() -> tuple[QuantConvUnit, QuantConvUnit]:
    """A unit whose norm lives, and the same folded."""
    unit = lived_in_unit()
    living, plain = QuantConvUnit(unit), QuantConvUnit(unit)
    living.revive()
    return living, plain


def test_a_living_norm_in_eval_and_a_frozen_one_in_training_equal_the_folded_form_exactly():
    living, plain = revived()
    x = frame()
    expected = plain.eval()(x)
    assert torch.equal(living.eval()(x), expected)
    living.train()
    living.norm.eval()
    assert torch.equal(living(x), expected)


def test_a_living_norm_in_training_normalises_by_the_batch():
    living, _ = revived()
    living.train()
    living.act = torch.nn.Identity()
    out = living(frame())
    assert torch.allclose(out.mean((0, 2, 3)), living.norm.bias, atol=1e-5)
    expected = living.norm.weight.abs()
    assert torch.allclose(out.std((0, 2, 3), correction=0), expected, rtol=0.02, atol=1e-4)


def test_statistics_move_only_while_the_norm_is_not_frozen():
    living, _ = revived()
    living.train()
    before = living.norm.running_mean.clone()
    living(frame())
    moved = living.norm.running_mean.clone()
    assert not torch.equal(moved, before)
    living.norm.eval()
    living(frame())
    assert torch.equal(living.norm.running_mean, moved)


def test_a_channel_whose_gain_is_zero_stays_finite_and_gradients_with_it():
    unit = lived_in_unit((0.0, 1.0))
    living = QuantConvUnit(unit)
    living.revive()
    living.train()(frame()).sum().backward()
    assert all(torch.isfinite(value.grad).all() for name, value in living.named_parameters() if name != "bias")


@pytest.mark.parametrize("learn", [True, False])
@pytest.mark.parametrize("revive", [True, False])
def test_settling_changes_no_answer_and_leaves_the_plain_form(revive, learn):
    living = QuantConvUnit(lived_in_unit())
    if revive:
        living.revive()
    if learn:
        living.learn()
    train_a_little(living)
    x = frame()
    before = living.eval()(x)
    living.settle()
    assert torch.equal(living(x), before)
    assert [name for name, _ in living.named_parameters()] == ["bias", "kernel.weight"]
    assert set(living.state_dict()) == {"gain", "bias", "kernel.weight", "kernel.steps", "kernel.zeros"}
    assert (living.weight.abs().amax((1, 2, 3)) <= 127.001 * living.steps).all()
    assert torch.equal(living.train().eval()(x), before) or learn


def test_the_state_holds_all_that_a_living_unit_is():
    living, other = (QuantConvUnit(lived_in_unit()) for _ in range(2))
    for unit in (living, other):
        unit.revive()
        unit.learn()
    train_a_little(living)
    other.load_state_dict(living.state_dict())
    x = frame()
    assert torch.equal(other.eval()(x), living.eval()(x))


def train_a_little(unit: QuantConvUnit) -> None:
    optimizer = torch.optim.SGD(unit.parameters(), lr=0.01)
    unit.train()
    for _ in range(3):
        optimizer.zero_grad()
        unit(frame()).square().mean().backward()
        optimizer.step()


def quantizer(low: float) -> ActivationQuant:
    quant = ActivationQuant("here", "minmax")
    quant(torch.linspace(low, 2.0, 1000))
    quant.freeze()
    return quant


@pytest.mark.parametrize("low", [0.0, -1.0])
def test_a_learned_scale_rounds_as_the_frozen_one_that_is_exported(low):
    quant = quantizer(low)
    x = torch.randn(2, 50)
    expected = quant.eval()(x)
    quant.learn()
    assert torch.allclose(quant.train()(x), expected)
    assert torch.allclose(quant.eval()(x), expected)


def test_a_learned_scale_follows_its_gradient_and_a_fixed_one_does_not_move():
    quant = quantizer(0.0).train()
    assert not list(quant.parameters())
    quant.learn()
    optimizer = torch.optim.Adam(quant.parameters(), lr=0.05)
    x = torch.full((1, 64), 3.0)  # beyond the range: it should grow
    for _ in range(20):
        optimizer.zero_grad()
        (quant(x) - x).square().sum().backward()
        optimizer.step()
    before = quant.scale
    assert before > 1.3 * 2.0 / 255
    quant.settle()
    assert quant.scale == pytest.approx(before, rel=1e-6)
    assert not list(quant.parameters())
    assert set(quant.state_dict()) == {"amax"}


def test_the_gradient_of_a_step_is_that_of_lsq():
    scale = torch.tensor(0.1, requires_grad=True)
    x = torch.tensor([[0.33, 9.0, 50.0, -4.0]])
    round_tensor(x, scale, 0, 0, 255).sum().backward()
    inside = (round(3.3) - 3.3) + (90 - 90)  # equation 3: round(v) - v within the range, its ends beyond
    assert scale.grad.item() == pytest.approx((inside + 255 + 0) / (4 * 255) ** 0.5, rel=1e-4)


@given(rate=st.floats(1e-3, 1e9), downwards=st.booleans())
def test_a_scale_stays_positive_at_any_rate(rate, downwards):
    change = Change((3,))
    optimizer = torch.optim.SGD(change.parameters(), lr=rate)
    for _ in range(3):
        optimizer.zero_grad()
        (change(torch.ones(3)).sum() * (1 if downwards else -1)).backward()
        optimizer.step()
    found = change(torch.ones(3))
    assert (found >= torch.tensor(-FARTHEST).exp() * 0.999).all()
    assert (found <= torch.tensor(FARTHEST).exp() * 1.001).all()


def test_a_value_that_is_not_finite_is_named_in_training_though_rounding_would_hide_it():
    from dis2_edge.errors import DataError

    quant = quantizer(0.0)
    bad = torch.tensor([1.0, float("nan")])
    assert torch.isfinite(quant.eval()(bad)).all()
    with pytest.raises(DataError, match=r"here gives a value that is not finite.*quantize_learning_rate"):
        quant.train()(bad)
