"""CSK-Net's parts against plain NumPy: shared convolutions, the gated spectral unit, texture."""

import numpy as np
import pytest
import torch
from torch import nn

from dis2_train.networks.csknet.sharing import OneForAll, SharedUnit
from dis2_train.networks.csknet.spectral import GatedSpectralUnit, PlainMean
from dis2_train.networks.csknet.texture import texture, texture_distance
from dis2_train.networks.deeplab.plan import Shape

SENSORS = ("rgb", "heat")
RANDOM = np.random.default_rng(3)


def lively(module):
    random = torch.Generator().manual_seed(4)
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.weight.data.uniform_(-1, 2, generator=random)
            norm.bias.data.uniform_(-1, 1, generator=random)
            norm.running_mean.uniform_(-1, 1, generator=random)
            norm.running_var.uniform_(0.5, 2, generator=random)
    return module.eval()


def convolved(x, weight, dilation=1):
    """A 3x3 or 1x1 convolution with zero padding, of x (B, C, H, W), position after position."""
    side = weight.shape[2]
    pad = side // 2 * dilation
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    out = np.zeros((len(x), len(weight), *x.shape[2:]))
    for row in range(side):
        for column in range(side):
            top, left = row * dilation, column * dilation
            part = padded[:, :, top : top + x.shape[2], left : left + x.shape[3]]
            out += np.einsum("oc,bchw->bohw", weight[:, :, row, column], part)
    return out


def normed(x, norm, mean=None, var=None):
    """gamma (x - mu) / sigma + beta by channel, with running statistics unless others are given."""
    mean = norm.running_mean.numpy() if mean is None else mean
    var = norm.running_var.numpy() if var is None else var
    scale, offset = norm.weight.detach().numpy(), norm.bias.detach().numpy()
    spread = [v[None, :, None, None] for v in (scale, mean, np.sqrt(var + norm.eps), offset)]
    return spread[0] * (x - spread[1]) / spread[2] + spread[3]


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("sensor", SENSORS)
def test_a_shared_unit_is_one_convolution_and_the_norm_of_that_sensor_there(sensor, full):
    unit = lively(SharedUnit(Shape(3, 4, dilation=2), SENSORS, shared=True, apart=True))
    x = RANDOM.normal(size=(2, 3, 5, 7)).astype(np.float32)
    (conv,) = unit.convs.values()
    norm = (unit.full_norms if full else unit.norms)[sensor]
    expected = np.maximum(normed(convolved(x, conv.weight.detach().numpy(), 2), norm), 0)
    found = unit.at(sensor, full)(torch.from_numpy(x)).detach().numpy()
    assert np.allclose(found, expected, atol=1e-5)


def test_four_sets_of_statistics_give_four_answers_from_one_weight():
    unit = lively(SharedUnit(Shape(3, 4), SENSORS, shared=True, apart=True))
    x = torch.randn(1, 3, 4, 4)
    answers = [unit.at(sensor, full)(x) for sensor in SENSORS for full in (False, True)]
    assert all(not torch.allclose(a, b) for place, a in enumerate(answers) for b in answers[:place])
    sum(answer.sum() for answer in answers).backward()
    assert sum(p.numel() for p in unit.parameters()) == 3 * 4 * 9 + 4 * 2 * 4


def test_one_sensors_step_moves_its_statistics_alone():
    unit = SharedUnit(Shape(3, 4), SENSORS, shared=True, apart=True).train()
    x = RANDOM.normal(size=(2, 3, 5, 7)).astype(np.float32)
    (conv,) = unit.convs.values()
    found = unit.at("heat", full=False)(torch.from_numpy(x)).detach().numpy()
    raw = convolved(x, conv.weight.detach().numpy())
    expected = normed(raw, unit.norms["heat"], raw.mean((0, 2, 3)), raw.var((0, 2, 3)))
    assert np.allclose(found, np.maximum(expected, 0), atol=1e-4)
    moved = [bool(norm.num_batches_tracked) for norms in (unit.norms, unit.full_norms) for norm in norms.values()]
    assert moved == [False, True, False, False]


def test_ablations_of_sharing_own_a_convolution_each_or_one_norm_for_both():
    own = SharedUnit(Shape(3, 4), SENSORS, shared=False, apart=False)
    assert own.at("rgb", True).conv is not own.at("heat", True).conv
    assert own.at("rgb", True).norm is own.at("rgb", False).norm
    one = SharedUnit(Shape(3, 4), SENSORS, shared=True, apart=True, one_norm=True)
    assert one.at("rgb", False).norm is one.at("heat", False).norm
    assert one.at("rgb", True).norm is one.at("heat", True).norm
    assert one.at("rgb", True).norm is not one.at("rgb", False).norm


def test_one_channel_in_the_place_of_each_costs_one_convolution_of_it():
    conv = nn.Conv2d(3, 4, 4, 2, 1, bias=False)
    one, x = OneForAll(conv), torch.randn(2, 1, 8, 6)
    expected = conv(x.repeat(1, 3, 1, 1))
    assert torch.allclose(one(x), expected, atol=1e-6)
    plain = one.summed()
    assert (type(plain), plain.in_channels, plain.weight.shape) == (nn.Conv2d, 1, (4, 1, 4, 4))
    assert torch.allclose(plain(x), expected, atol=1e-6)
    one(x).sum().backward()
    assert conv.weight.grad.abs().sum() > 0
    assert conv.weight.shape == (4, 3, 4, 4)


def test_the_gated_spectral_unit_adds_three_gated_tones():
    unit = lively(GatedSpectralUnit(4))
    optical, infrared = (abs(RANDOM.normal(size=(2, 4, 3, 5))).astype(np.float32) for _ in range(2))
    expected = 0
    for place, seen in enumerate((optical, infrared, optical + infrared)):
        tone, gate = (
            normed(convolved(seen, part[place].conv.weight.detach().numpy()), part[place].norm)
            for part in (unit.tone, unit.gate)
        )
        expected = expected + np.tanh(tone) / (1 + np.exp(-gate))
    found = unit(torch.from_numpy(optical), torch.from_numpy(infrared)).detach().numpy()
    assert np.allclose(found, expected, atol=1e-5)
    assert np.abs(found).max() <= 3


def test_without_gates_the_fusion_is_a_mean_and_has_no_weights():
    fusion = PlainMean()
    assert fusion(torch.full((1, 2, 2, 2), 3.0), torch.full((1, 2, 2, 2), 5.0)).unique().tolist() == [4.0]
    assert not list(fusion.parameters())


def texture_by_hand(maps, kind):
    """Position after position; beyond the edge stands nothing (high-pass) or the edge itself (gradient)."""
    height, width = maps.shape[2:]
    out = np.zeros_like(maps)
    for y in range(height):
        for x in range(width):
            if kind == "highpass":
                near = maps[:, :, max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
                out[:, :, y, x] = maps[:, :, y, x] - near.mean((2, 3))
            else:
                left, right = maps[:, :, y, max(0, x - 1)], maps[:, :, y, min(width - 1, x + 1)]
                up, below = maps[:, :, max(0, y - 1), x], maps[:, :, min(height - 1, y + 1), x]
                out[:, :, y, x] = abs(right - left) / 2 + abs(below - up) / 2
    return out


@pytest.mark.parametrize("kind", ["highpass", "gradient"])
@pytest.mark.parametrize("size", [(4, 6), (3, 5), (1, 1)])
def test_texture_is_what_a_small_mean_takes_away_or_the_gradient(kind, size):
    maps = RANDOM.normal(size=(2, 3, *size)).astype(np.float32)
    found = texture(torch.from_numpy(maps), kind).numpy()
    assert np.allclose(found, texture_by_hand(maps, kind), atol=1e-6)


@pytest.mark.parametrize("kind", ["highpass", "gradient"])
def test_the_distance_of_textures_is_one_less_their_cosine_image_by_image(kind):
    ours, theirs = (RANDOM.normal(size=(2, 3, 4, 6)).astype(np.float32) for _ in range(2))
    expected = []
    for a, b in zip(texture_by_hand(ours, kind), texture_by_hand(theirs, kind), strict=True):
        expected.append(1 - (a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum()))
    found = texture_distance(torch.from_numpy(ours), torch.from_numpy(theirs), kind)
    assert found.item() == pytest.approx(np.mean(expected), abs=1e-5)


@pytest.mark.parametrize("kind", ["highpass", "gradient"])
def test_brightness_and_contrast_are_no_texture_and_flat_maps_are_no_fault(kind):
    maps = torch.randn(2, 3, 4, 6, requires_grad=True)
    assert texture_distance(maps, 3 * maps + 7, kind).item() == pytest.approx(0, abs=1e-5)
    flat = texture_distance(maps, torch.ones(2, 3, 4, 6), kind)
    flat.backward()
    assert maps.grad.isfinite().all()


def test_the_teacher_is_told_nothing_by_its_student():
    student, teacher = (torch.randn(1, 2, 4, 4, requires_grad=True) for _ in range(2))
    texture_distance(student, teacher, "highpass").backward()
    assert teacher.grad is None
    assert student.grad.abs().sum() > 0
