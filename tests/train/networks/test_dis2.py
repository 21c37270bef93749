"""DIS2, default preset: its scenarios, its losses, and the mended faults of the released code."""

import dataclasses

import pytest
import torch
from torch import nn

from dis2_edge.errors import RecipeError
from dis2_edge.recipe import Recipe
from dis2_edge.sensors import Sensor
from dis2_edge.task import Task
from dis2_train import networks
from dis2_train.networks import losses
from dis2_train.networks.blocks import ConvUnit
from dis2_train.networks.dis2.classwise import ClasswiseAttention, ClasswiseStage, SideHeads
from dis2_train.networks.dis2.fusion import Keys

OPT = Sensor("opt", "optical", 3, "uint8", "DN", 0, 255)
SAR = Sensor("sar", "radar", 1, "uint8", "DN", 0, 255)
TASK = Task((OPT, SAR), ("dry", "flood", "roof"), ("#000000", "#0000ff", "#ff0000"), (64, 96))
RECIPE = Recipe(width=0.25, distill_weight=1.0, distill_after=0.5)


@pytest.fixture
def network():
    return networks.build(RECIPE, TASK).eval()


def frames(height=64, width=96, batch=2):
    random = torch.Generator().manual_seed(0)
    return {s.name: torch.randn(batch, s.channels, height, width, generator=random) for s in TASK.sensors}


def target(height=64, width=96, batch=2):
    return torch.randint(0, 3, (batch, height, width), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("scenario", TASK.scenarios)
@pytest.mark.parametrize("size", [(64, 96), (32, 32), (128, 64), (16, 16)])
def test_logits_have_the_size_of_the_frames_whatever_it_is(network, scenario, size):
    found = network(frames(*size), scenario, network.tap_names(scenario))
    assert found.logits.shape == (2, 3, *size)
    assert set(found.taps) == set(network.tap_names(scenario))


@pytest.mark.parametrize(("scenario", "gone"), [("opt", "sar"), ("sar", "opt")])
def test_a_lost_sensor_is_not_read(network, scenario, gone):
    given = frames()
    alone = {name: x for name, x in given.items() if name != gone}
    assert torch.equal(network(given, scenario).logits, network(alone, scenario).logits)
    with pytest.raises(KeyError):
        network(alone, TASK.full)


def test_scenarios_give_different_answers_and_an_unknown_one_is_refused(network):
    answers = [network(frames(), scenario).logits for scenario in TASK.scenarios]
    assert not torch.allclose(answers[0], answers[1])
    assert not torch.allclose(answers[1], answers[2])
    with pytest.raises(RecipeError, match="unknown scenario"):
        network(frames(), "lidar")


def test_it_says_that_it_is_a_two_sensor_network():
    three = Task((OPT, SAR, Sensor("heat", "thermal", 1, "uint16", "K", 0, 9)), TASK.classes, TASK.colours, TASK.grid)
    with pytest.raises(RecipeError, match=r"two-sensor network.*has 3: opt, sar, heat"):
        networks.build(RECIPE, three)


@pytest.mark.parametrize("scenario", TASK.scenarios[1:])
def test_every_term_is_there_finite_and_reaches_every_part_it_should(network, scenario):
    network.train()
    terms = network.losses(frames(), target(), scenario, 1.0)
    both = {f"auxiliary_{sensor}{where}" for sensor in ("opt", "sar") for where in ("", "_alone")}
    assert set(terms) == {"full", "missing", "scales", "disentangle", "distill"} | both
    assert all(torch.isfinite(term) for term in terms.values())
    torch.stack(list(terms.values())).sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


def test_distillation_waits_and_never_moves_the_teacher(network):
    assert "distill" not in network.losses(frames(), target(), "sar", 0.4)
    network.losses(frames(), target(), "sar", 0.6)["distill"].backward()
    student = {id(parameter) for parameter in network.branches["sar"].parameters()}
    teacher = [p for p in network.branches[TASK.full].parameters() if id(p) not in student]
    assert teacher
    assert all(p.grad is None for p in teacher)
    assert any(p.grad is not None for p in network.branches["sar"].parameters())


def test_distillation_moves_nothing_of_a_teacher_that_shares_nothing():
    network = networks.build(dataclasses.replace(RECIPE, shared="nothing"), TASK)
    network.losses(frames(), target(), "sar", 0.6)["distill"].backward()
    assert all(p.grad is None for p in network.branches[TASK.full].parameters())
    assert any(p.grad is not None for p in network.branches["sar"].parameters())


def test_ignored_pixels_count_nowhere():
    logits = torch.randn(2, 3, 8, 8)
    truth = torch.randint(0, 3, (2, 8, 8))
    truth[:, :4] = 255
    other = logits.clone()
    other[:, :, :4] = torch.randn(2, 3, 4, 8)
    known = losses.Truth.of(truth, 3, 255)
    assert torch.allclose(losses.supervised(logits, known), losses.supervised(other, known))
    assert torch.isfinite(losses.supervised(logits, losses.Truth.of(torch.full((2, 8, 8), 255), 3, 255)))


def test_a_right_answer_costs_less_than_a_wrong_one():
    truth = torch.randint(0, 3, (2, 8, 8))
    right = 10 * nn.functional.one_hot(truth, 3).movedim(-1, 1).float()
    known = losses.Truth.of(truth, 3, 255)
    assert losses.supervised(right, known) < 0.05 < 1 < losses.supervised(-right, known)


def test_cross_entropy_and_dice_follow_their_formulas():
    logits, truth = torch.randn(2, 3, 4, 4), torch.randint(0, 3, (2, 4, 4))
    truth[0, :2] = 255
    known = (truth != 255)[:, None].float()
    hot = nn.functional.one_hot(torch.where(truth == 255, 0, truth), 3).movedim(-1, 1) * known
    share = hot.sum((2, 3)) / hot.sum((1, 2, 3))[:, None]
    p = logits.softmax(1)
    entropy = -((1 - share)[:, :, None, None] * hot * p.log()).sum() / known.sum()
    dice = 1 - ((2 * (hot * p).sum((0, 2, 3)) + 1) / ((hot + p * known).sum((0, 2, 3)) + 1)).mean()
    assert torch.allclose(losses.supervised(logits, losses.Truth.of(truth, 3, 255)), entropy + dice)


def test_disentanglement_is_nought_for_orthogonal_maps_and_one_for_equal_ones():
    a = torch.zeros(1, 4, 3, 3)
    b = torch.zeros(1, 4, 3, 3)
    a[:, 0], b[:, 1] = 2.0, 3.0
    assert losses.disentanglement(a, b) == pytest.approx(0)
    assert losses.disentanglement(a, 5 * a) == pytest.approx(1)


def test_distances_are_nought_between_equals_and_grow():
    x, y = torch.randn(2, 4, 5, 5), torch.randn(2, 4, 5, 5)
    assert losses.feature_distance(x, 3 * x) == pytest.approx(0, abs=1e-5)
    truth = losses.Truth.of(torch.randint(0, 4, (2, 5, 5)), 4, 255)
    assert losses.logit_distance(x, x, 2.0, truth) == pytest.approx(0, abs=1e-6)
    assert losses.feature_distance(x, y) > 0.5
    assert losses.logit_distance(x, y, 2.0, truth) > 0.1


def test_a_teacher_is_heard_class_by_class_and_not_where_labels_are_ignored():
    """One answer for nine pixels of the common class and one of the rare: the best one is half of each, not a tenth."""
    labels = torch.tensor([[[0] * 9 + [1]]])
    teacher = 20 * nn.functional.one_hot(labels, 2).movedim(-1, 1).float()
    rare = torch.linspace(0.01, 0.99, 99)
    truth = losses.Truth.of(labels, 2, 255)
    answers = torch.stack([1 - rare, rare], 1).log()[..., None, None].expand(-1, -1, 1, 10)
    costs = [float(losses.logit_distance(answer[None], teacher, 1.0, truth)) for answer in answers]
    assert rare[int(torch.tensor(costs).argmin())] == pytest.approx(0.5, abs=0.011)
    labels = torch.tensor([[[0] * 5 + [255] * 4 + [1]]])
    truth, other = losses.Truth.of(labels, 2, 255), teacher.clone()
    other[..., 5:9] *= -1
    student = torch.randn(1, 2, 1, 10)
    for balance in (True, False):
        found = [losses.logit_distance(student, heard, 1.0, truth, balance) for heard in (other, teacher)]
        assert found[0] == found[1]


def test_a_teacher_heard_pixel_by_pixel_is_the_mean_of_the_paper():
    labels = torch.randint(0, 3, (2, 6, 6))
    x, y = torch.randn(2, 3, 6, 6), torch.randn(2, 3, 6, 6)
    kl = nn.functional.kl_div((x / 3).log_softmax(1), (y / 3).softmax(1), reduction="none").sum(1).mean()
    assert torch.allclose(losses.logit_distance(x, y, 3.0, losses.Truth.of(labels, 3, 255), balance=False), 9 * kl)


def test_uniform_class_attention_leaves_f4_at_its_scale_at_every_size():
    attention = ClasswiseAttention(2, 8)
    with torch.no_grad():
        attention.queries.zero_()
    for size in (4, 16):
        f4 = torch.randn(3, 8, size, size)
        maps = attention(f4).unflatten(0, (3, 2))
        assert torch.allclose(maps[:, 0], f4, atol=1e-5)


def test_all_classes_as_one_batch_equal_one_class_after_the_other():
    stage = ClasswiseStage(8, 6, 4, lateral=5).eval()
    maps, fused = torch.randn(2, 3, 8, 4, 4), torch.randn(2, 5, 8, 8)
    together = stage(maps.flatten(0, 1), fused).unflatten(0, (2, 3))
    for k in range(3):
        assert torch.allclose(together[:, k], stage(maps[:, k], fused), atol=1e-5)


def test_a_convolution_of_two_maps_is_the_sum_of_one_on_each():
    whole = nn.Conv2d(8 + 5, 4, 3, padding=1, bias=False)
    a, b = torch.randn(2, 8, 6, 6), torch.randn(2, 5, 6, 6)
    parts = nn.functional.conv2d(a, whole.weight[:, :8], padding=1) + nn.functional.conv2d(
        b, whole.weight[:, 8:], padding=1
    )
    assert torch.allclose(whole(torch.cat([a, b], 1)), parts, atol=1e-5)


def test_side_heads_look_at_their_own_class_only():
    heads = SideHeads(3, (4,))
    maps = torch.randn(2 * 3, 4, 5, 5)
    before = heads((maps,))[0]
    maps[1] += 1.0  # class 1 of image 0
    changed = (heads((maps,))[0] - before).abs().amax((2, 3)) > 0
    assert changed.tolist() == [[False, True, False], [False, False, False]]


def test_keys_are_means_of_two_by_two_positions_of_each_slot():
    height, width, channels = 4, 6, 3
    slots = torch.randn(2, 2, channels, height, width)
    ends = torch.randn(2, 2, channels)
    tokens = torch.cat([ends[:, :1], slots.flatten(3).transpose(2, 3).flatten(1, 2), ends[:, 1:]], 1)
    keys = Keys()(tokens, height, width)
    assert keys.shape == (2, 2 + 2 * 6, channels)
    assert torch.equal(keys[:, 0], ends[:, 0])
    assert torch.equal(keys[:, -1], ends[:, 1])
    expected = nn.functional.avg_pool2d(slots[:, 1], 2).flatten(2).transpose(1, 2)
    assert torch.allclose(keys[:, 7:-1], expected, atol=1e-6)


@pytest.mark.parametrize(("side", "keys"), [(4, 2), (8, 4), (16, 8), (20, 7), (32, 8), (64, 8)])
def test_a_slot_has_no_more_than_eight_by_eight_keys_at_any_size(side, keys):
    tokens = torch.randn(1, 2 * side * side + 2, 4)
    assert Keys()(tokens, side, side).shape == (1, 2 * keys * keys + 2, 4)


def test_a_unit_halves_the_size_by_stride_two_and_keeps_it_by_one():
    x = torch.randn(1, 2, 16, 12)
    assert ConvUnit(2, 3, kernel=4, stride=2)(x).shape == (1, 3, 8, 6)
    assert ConvUnit(2, 3)(x).shape == (1, 3, 16, 12)
