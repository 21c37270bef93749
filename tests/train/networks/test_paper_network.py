"""The paper preset behind the network seam: refusals, scenarios, what flies, what trains, and its faults kept."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import fx

from dis2_edge.errors import RecipeError
from dis2_edge.recipe import Recipe
from dis2_edge.scenario import sensors_of
from dis2_edge.task import Task
from dis2_train import networks
from dis2_train.networks.paper import PaperDis2
from dis2_train.networks.paper.attention import ClasswiseAttention
from dis2_train.networks.paper.prenorm import PreNormConv
from tests.train.paper_tasks import HEAT, NDSM, OPT, RGB, SAR, frames_of, labels_of, task_of

PAPER = Recipe(preset="paper")
SCENARIOS = ("opt+sar", "opt", "sar")
TRAINING_ONLY = ("auxiliaries", "side_heads", "branch_pools", "present_pools", "stand_in_pools")


@pytest.fixture(scope="module")
def network() -> PaperDis2:
    """Unlike sensors, an oblong grid, three classes; batch norms that have seen something. Tests must not change it."""
    torch.manual_seed(0)
    network = PaperDis2(PAPER, task_of(OPT, SAR)).train()
    with torch.no_grad():
        network.losses(frames_of(network.task), labels_of(network.task), "opt", 0.0)
        network.losses(frames_of(network.task), labels_of(network.task), "sar", 0.0)
    return network.eval()


@pytest.mark.parametrize(
    ("recipe", "task", "says"),
    [
        (PAPER, task_of(OPT, SAR, HEAT), "two-sensor network"),
        (PAPER, task_of(OPT), "two-sensor network"),
        (PAPER, task_of(OPT, SAR, grid=(32, 40)), "multiples of 16"),
        (Recipe(preset="paper", crop=32), task_of(OPT, SAR, grid=(32, 48)), "crop is 32"),
    ],
)
def test_what_the_released_network_cannot_be_is_refused(recipe: Recipe, task: Task, says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        PaperDis2(recipe, task)


def test_a_crop_as_large_as_the_grid_is_no_crop() -> None:
    assert PaperDis2(Recipe(preset="paper", crop=32), task_of(OPT, SAR, grid=(32, 32))).task.grid == (32, 32)


def test_unknown_words_name_the_nearest(network: PaperDis2) -> None:
    frames = frames_of(network.task)
    with pytest.raises(RecipeError, match=r"unknown scenario 'opt\+sra'.*opt\+sar"):
        network(frames, "opt+sra")
    with pytest.raises(RecipeError, match=r"unknown tap 'tokn'.*token"):
        network.deployable("opt", ("tokn",))
    with pytest.raises(RecipeError, match=r"cannot train in scenario 'opt\+sar'"):
        network.losses(frames, labels_of(network.task), "opt+sar", 0.0)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_scenario_reads_its_own_sensors_only(network: PaperDis2, scenario: str) -> None:
    frames = frames_of(network.task)
    used = {name: frames[name] for name in sensors_of(scenario)}
    with torch.no_grad():
        output = network(used, scenario, network.tap_names(scenario))
        changed = network({**used, sensors_of(scenario)[-1]: -frames[sensors_of(scenario)[-1]]}, scenario)
    assert output.logits.shape == (2, 3, 32, 48)
    assert not torch.equal(output.logits, changed.logits)
    shapes = {name: tuple(tap.shape[1:]) for name, tap in output.taps.items()}
    levels = {"f1": (32, 16, 24), "f2": (64, 8, 12), "f3": (128, 4, 6), "f4": (256, 2, 3)}
    assert shapes == {**levels, "token": (256,), "penultimate": (32, 32, 48)}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_what_flies_is_traceable_equal_and_holds_nothing_of_training(network: PaperDis2, scenario: str) -> None:
    frames = frames_of(network.task)
    inputs = [frames[name] for name in sensors_of(scenario)]
    flight = network.deployable(scenario, ("f2", "penultimate"))
    traced = fx.symbolic_trace(flight)
    with torch.no_grad():
        expected = network(frames, scenario, ("f2", "penultimate"))
        for logits, *taps in (flight(*inputs), traced(*inputs)):
            torch.testing.assert_close(logits, expected.logits, rtol=0, atol=0)
            torch.testing.assert_close(tuple(taps), tuple(expected.taps.values()), rtol=0, atol=0)
        assert torch.equal(network.deployable(scenario)(*inputs), expected.logits)
    owned = {parameter.data_ptr() for parameter in network.parameters()}
    trained = {p.data_ptr() for part in TRAINING_ONLY for p in network.get_submodule(part).parameters()}
    flown = {parameter.data_ptr() for parameter in flight.parameters()}
    assert flown <= owned - trained


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_blocks_are_parts_of_what_flies_and_cover_its_weights(network: PaperDis2, scenario: str) -> None:
    flight, blocks = network.deployable(scenario), network.blocks(scenario)
    for block in blocks:
        flight.get_submodule(block)
    names = [name for name, _ in flight.named_parameters()]
    assert [name for name in names if not name.startswith(tuple(f"{block}." for block in blocks))] == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore")  # the tracing exporter is deprecated
def test_onnx_says_the_same(network: PaperDis2, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    frame, file = frames_of(network.task, batch=1)["sar"], tmp_path / "sar.onnx"
    flight = network.deployable("sar")
    torch.onnx.export(flight, (frame,), file, input_names=["sar"], opset_version=17, dynamo=False)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"sar": frame.numpy()})
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(found), flight(frame), rtol=0, atol=1e-4)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_run_as_released_gives_the_same_answer_and_the_unused_ones(network: PaperDis2, scenario: str) -> None:
    frames = frames_of(network.task)
    with torch.no_grad():
        answer = network.forward_as_released({name: frames[name] for name in sensors_of(scenario)}, scenario)
        expected = network(frames, scenario).logits.softmax(dim=1)
    torch.testing.assert_close(answer.probabilities, expected, rtol=0, atol=0)
    assert len(answer.sides) == 4
    assert len(answer.auxiliaries) == len(sensors_of(scenario))
    for prediction in (*answer.sides, *answer.auxiliaries):
        assert prediction.shape == expected.shape
        torch.testing.assert_close(prediction.sum(dim=1), torch.ones(2, 32, 48))


def test_every_weight_trains_but_the_teachers_pools() -> None:
    torch.manual_seed(0)
    network = PaperDis2(PAPER, task_of(OPT, SAR)).train()
    for scenario in network.training_scenarios:
        sum(network.losses(frames_of(network.task), labels_of(network.task), scenario, 0.5).values()).backward()
    still = {name for name, p in network.named_parameters() if p.grad is None}
    assert still == {name for name, _ in network.named_parameters() if name.startswith("branch_pools.0.")}
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


def test_distillation_waits_and_weights_scale_their_terms() -> None:
    task = task_of(OPT, SAR)
    torch.manual_seed(0)
    network = PaperDis2(Recipe(preset="paper", distill_after=0.3, distill_weight=2.0), task).eval()
    frames, labels = frames_of(task), labels_of(task)
    with torch.no_grad():
        before, after = (network.losses(frames, labels, "sar", progress) for progress in (0.29, 0.3))
        network.recipe = Recipe(preset="paper", distill_after=0.3, distill_weight=6.0, disentangle_weight=4.0)
        heavier = network.losses(frames, labels, "sar", 0.3)
    assert float(before["distill"]) == 0 < float(after["distill"])
    assert float(heavier["distill"]) == pytest.approx(3 * float(after["distill"]))
    assert float(heavier["disentangle"]) == pytest.approx(4 * float(after["disentangle"]))
    assert set(after) == {
        *("full", "missing", "auxiliary_opt", "auxiliary_sar"),
        *("full_sides", "missing_sides", "disentangle", "distill"),
    }


def test_a_few_steps_lower_the_supervised_losses() -> None:
    torch.manual_seed(0)
    task = task_of(RGB, NDSM, classes=2, grid=(32, 32))
    network = PaperDis2(PAPER, task).train()
    frames = frames_of(task)
    labels = (frames["rgb"].mean(dim=1) > 0).long()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.02, momentum=0.9)
    totals = []
    for _ in range(8):
        terms = network.losses(frames, labels, "rgb", 0.0)
        totals.append((terms["full"] + terms["missing"] + terms["auxiliary_rgb"]).item())
        optimizer.zero_grad()
        sum(terms.values()).backward()
        optimizer.step()
    assert totals[-1] < 0.97 * totals[0], totals


def test_released_fault_kept_class_maps_are_far_below_unit_scale() -> None:
    torch.manual_seed(0)
    attention = ClasswiseAttention(256, 5, (32, 32))
    maps = attention(torch.randn(1, 256, 32, 32))
    assert len(maps) == 5
    assert all(float(each.detach().var()) < 1e-5 for each in maps), (
        "weights are about 1 / 1024 and nothing is scaled back"
    )


def test_released_fault_kept_normalisation_spans_channels_and_space() -> None:
    block = PreNormConv(8, 4)
    features = torch.randn(3, 8, 6, 6) + torch.arange(8.0)[None, :, None, None]
    flat = features.flatten(1)
    by_hand = (flat - flat.mean(1, keepdim=True)) / (flat.var(1, correction=0, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(block.norm(features), by_hand.view_as(features))


@pytest.mark.parametrize("scenario", ["opt+sar", "opt", "sar"])
def test_a_narrower_one_has_the_same_parts(scenario: str) -> None:
    wide, narrow = (networks.build(Recipe(preset="paper", width=w), task_of(OPT, SAR)) for w in (1.0, 0.25))
    assert [name for name, _ in narrow.named_parameters()] == [name for name, _ in wide.named_parameters()]
    assert sum(p.numel() for p in narrow.parameters()) < 0.2 * sum(p.numel() for p in wide.parameters())
    frames = {s.name: torch.randn(1, s.channels, *narrow.task.grid) for s in narrow.task.sensors}
    assert narrow.eval()(frames, scenario).logits.shape == (1, len(narrow.task.classes), *narrow.task.grid)
