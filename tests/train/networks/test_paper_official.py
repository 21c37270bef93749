"""A released checkpoint's tensors reach the parts of ours that have their role."""

import pytest
import torch
from torch import Tensor

from dis2_edge.errors import CheckpointError
from dis2_edge.recipe import Recipe
from dis2_train.networks import load_official
from dis2_train.networks.paper import PaperDis2
from dis2_train.networks.paper.official import from_official
from tests.train.paper_tasks import NDSM, RGB, frames_of, lively_state, released_shapes, task_of

GRID, CLASSES = (32, 48), 4
PLACES = ((0, 3, 5), (0, 30, 44), (1, 17, 0), (1, 0, 47))
"""(image, row, column) at which the released code's answers were recorded."""
RECORDED = {
    "rgb+ndsm": (
        (0.42221, 0.15616, 0.16575, 0.25588),
        (0.33247, 0.18325, 0.12473, 0.35954),
        (0.38839, 0.14507, 0.16942, 0.29712),
        (0.30291, 0.17411, 0.11969, 0.40330),
    ),
    "rgb": (
        (0.64336, 0.11262, 0.13965, 0.10437),
        (0.78148, 0.09684, 0.04836, 0.07331),
        (0.64854, 0.13504, 0.11392, 0.10250),
        (0.60839, 0.15852, 0.14647, 0.08662),
    ),
    "ndsm": (
        (0.19057, 0.40003, 0.27071, 0.13869),
        (0.16552, 0.43776, 0.25731, 0.13940),
        (0.17015, 0.40932, 0.27978, 0.14075),
        (0.18023, 0.38401, 0.29094, 0.14482),
    ),
}
"""Class probabilities that the released code itself (nhikieu/DIS2, commit 497afc2) gave for `lively_state(4, GRID, 11)`
and the raw inputs below, with torch 2.13 on a CPU; five decimals."""


@pytest.fixture
def state() -> dict[str, Tensor]:
    """Random weights in the released format, variances above zero."""
    generator = torch.Generator().manual_seed(3)
    shapes = released_shapes(CLASSES, GRID)
    return {name: 0.1 * torch.rand(shape, generator=generator) + 0.01 for name, shape in shapes.items()}


@pytest.fixture
def network() -> PaperDis2:
    return PaperDis2(Recipe(preset="paper"), task_of(RGB, NDSM, classes=CLASSES, grid=GRID)).eval()


@pytest.mark.parametrize("scenario", RECORDED)
def test_the_probabilities_are_those_of_the_released_code(scenario: str) -> None:
    generator = torch.Generator().manual_seed(12)
    rgb = torch.randint(0, 256, (2, 3, *GRID), generator=generator).float()
    frames = {"rgb": rgb, "ndsm": 30 * torch.rand(2, 1, *GRID, generator=generator)}
    released = load_official(lively_state(CLASSES, GRID, 11), GRID)
    with torch.no_grad():
        found = released({name: frames[name] for name in scenario.split("+")}, scenario).logits.softmax(1)
    expected = torch.tensor(RECORDED[scenario])
    places = torch.stack([found[image, :, row, column] for image, row, column in PLACES])
    torch.testing.assert_close(places, expected, rtol=0, atol=1e-4)
    assert float(expected.std(dim=0).max()) > 10 * 1e-4, "places that all say the same would prove little"


@pytest.mark.parametrize(("grid", "size"), [((16, 16), (0, 0)), ((80, 80), (0, 0)), ((16, 64), (16, 64))])
def test_any_square_and_a_told_oblong_answer_at_their_size(grid: tuple[int, int], size: tuple[int, int]) -> None:
    network = load_official({"model_state_dict": lively_state(3, grid, 1)}, size)
    assert not network.training
    for scenario in network.task.scenarios:
        frames = {sensor.name: torch.rand(2, sensor.channels, *grid) for sensor in network.task.used(scenario)}
        with torch.no_grad():
            assert network(frames, scenario).logits.shape == (2, 3, *grid)


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
