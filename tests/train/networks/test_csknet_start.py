"""The weights that CSK-Net begins with: drawn, or its teacher's."""

import pytest
import torch

from dis2_edge.task import Task
from dis2_train import networks
from tests.train.networks.csk_pairs import HEAT, RGB, TASK, built, frames, target, taught


def begun(**changes):
    """A network that begins as its teacher, and the teacher; no tensor of it is as it was drawn."""
    network = built(begin_with="teacher", **changes)
    teacher = networks.build(network.taught_by(), Task((RGB,), TASK.classes, TASK.colours, TASK.grid))
    teacher.train().losses(frames(), target(), "rgb", 0.0)
    with torch.no_grad():
        for weight in teacher.parameters():
            weight.add_(0.01)
    network.learn_from(teacher)
    assert not differ(network, built(begin_with="teacher", **changes).state_dict())  # having one changes nothing
    network.start_from_teacher()
    return network, teacher


def differ(network, before):
    """Names of the tensors of `network` that are not as they were."""
    return {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"norms": "sensor"},
        {"norms": "shared"},
        {"shared_convs": False},
        {"shared_stem": True},
        {"output_stride": 16},
    ],
    ids=str,
)
def test_the_optical_branch_begins_as_the_teacher(changes):
    network, teacher = begun(**changes)
    with torch.no_grad():
        ours, theirs = (each.eval()(frames(), "rgb").logits for each in (network, teacher))
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("changes", [{}, {"norms": "sensor"}, {"shared_convs": False}], ids=str)
def test_all_else_begins_so_too_but_the_other_sensors_first_convolution_and_the_fusion(changes):
    network, teacher = begun(**changes)
    drawn = built(begin_with="teacher", **changes)
    kept = {name for name, _ in drawn.named_parameters()} - differ(network, drawn.state_dict())
    apart = ("stems.heat.", "fusion.", f"heads.{TASK.full}.", "lesson.")
    assert kept == {name for name, _ in drawn.named_parameters() if name.startswith(apart)}
    theirs, ours = teacher.alone(), network.lone("heat")
    assert torch.equal(ours.head.weight, theirs.head.weight)
    inner = [alone.encoder.sensors[0]["inner3_1"] for alone in (ours, theirs)]
    assert torch.equal(inner[0].conv.weight, inner[1].conv.weight)
    assert torch.equal(inner[0].norm.running_mean, inner[1].norm.running_mean)


def test_side_by_side_both_branches_have_the_teachers_batch_norms():
    network, teacher = begun()
    theirs = teacher.alone()
    both = network.both()
    for branch, decoder in zip(both.encoder.sensors, both.decoders, strict=True):
        assert torch.equal(branch["outer4_1"].norm.running_var, theirs.encoder.sensors[0]["outer4_1"].norm.running_var)
        assert torch.equal(decoder.units["refine"].norm.running_var, theirs.decoder.units["refine"].norm.running_var)


def test_by_default_nothing_of_the_teacher_is_taken():
    network = taught()
    network.start_from_teacher()
    assert not differ(network, built().state_dict())


def test_a_beginning_asks_for_a_teacher_where_texture_asks_for_none():
    assert built(texture_weight=0.0).taught_by() is None
    network, _ = begun(texture_weight=0.0, contrast_trusts="labels")
    terms = network.train().losses(frames(), target(), HEAT.name, 0.5)
    assert network.taught_by() is None
    assert "texture" not in terms
