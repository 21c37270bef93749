"""A released checkpoint's tensors reach the parts of ours that have their role."""

import pytest
import torch
from torch import Tensor

from dis2_edge.errors import CheckpointError
from dis2_edge.recipe import Recipe
from dis2_train.networks.paper import PaperDis2
from dis2_train.networks.paper.official import from_official
from tests.train.paper_tasks import NDSM, RGB, frames_of, released_shapes, task_of

GRID, CLASSES = (32, 48), 4


@pytest.fixture
def state() -> dict[str, Tensor]:
    """Random weights in the released format, variances above zero."""
    generator = torch.Generator().manual_seed(3)
    shapes = released_shapes(CLASSES, GRID)
    return {name: 0.1 * torch.rand(shape, generator=generator) + 0.01 for name, shape in shapes.items()}


@pytest.fixture
def network() -> PaperDis2:
    return PaperDis2(Recipe(preset="paper"), task_of(RGB, NDSM, classes=CLASSES, grid=GRID)).eval()


def test_an_unknown_tensor_is_refused_by_name(state: dict[str, Tensor]) -> None:
    state["full_fuse.conv_res3.0.weight"] = torch.zeros(1)
    with pytest.raises(CheckpointError, match=r"conv_res3\.0\.weight"):
        from_official(state)


def test_a_lacking_tensor_is_missed_by_the_network(state: dict[str, Tensor], network: PaperDis2) -> None:
    del state["miss_rgb_fuse.unify.bias"]
    with pytest.raises(RuntimeError, match=r"branches\.2\.fusion\.deep\.unify\.bias"):
        network.load_state_dict(from_official(state))


def test_every_tensor_of_ours_is_filled_and_only_unread_ones_are_left(
    state: dict[str, Tensor], network: PaperDis2
) -> None:
    ours = from_official(state)
    network.load_state_dict(ours, strict=True)
    kept = {tensor.data_ptr() for tensor in ours.values()}
    left = {name.rpartition(".")[0] or name for name, tensor in state.items() if tensor.data_ptr() not in kept}
    assert len(ours) == len(kept), "two names of ours hold one released tensor"
    assert all(name.endswith(("seg_d4", "e1_conv_up.conv", "pool_e3")) or ".attn_pools." in name for name in left)


@pytest.mark.parametrize(("branch", "scenario"), [("full", "rgb+ndsm"), ("miss_ndsm", "rgb"), ("miss_rgb", "ndsm")])
def test_each_branch_serves_its_scenario(
    branch: str, scenario: str, state: dict[str, Tensor], network: PaperDis2
) -> None:
    state[f"{branch}_classwise_decoder.final_conv.bias"][2] = 1000
    network.load_state_dict(from_official(state))
    frames = frames_of(network.task)
    with torch.no_grad():
        sure = {each: bool((network(frames, each).logits.argmax(1) == 2).all()) for each in network.task.scenarios}
    assert sure[scenario]
    assert sum(sure.values()) == 1, sure


@pytest.mark.parametrize(
    ("part", "scenarios"),
    [
        ("rgb_encoder.e1", {"rgb+ndsm", "rgb"}),
        ("ndsm_encoder.e1", {"rgb+ndsm", "ndsm"}),
        ("rgb_else.e1", {"rgb"}),
        ("ndsm_else.e1", {"ndsm"}),
        ("rgb_encoder.d5.0", set()),
        ("full_fusion_pool.attn_pools.0.mlp.0", set()),
    ],
)
def test_each_encoder_is_read_in_its_scenarios(
    part: str, scenarios: set[str], state: dict[str, Tensor], network: PaperDis2
) -> None:
    frames = frames_of(network.task)
    before, after = {}, {}
    for answers in (before, after):
        network.load_state_dict(from_official(state))
        with torch.no_grad():
            answers.update({each: network(frames, each).logits.clone() for each in network.task.scenarios})
        state[f"{part}.weight"].mul_(-3)
    assert {each for each in before if not torch.equal(before[each], after[each])} == scenarios
