"""The recipes of baselines: DIS2's own budget, its operations within 10 %, and a table in the docs that says so."""

import dataclasses

import pytest
import torch

from benchmarks import baselines
from benchmarks.reproduce.recorded import OF_DIS2
from dis2_edge.recipe import Recipe, load
from dis2_train import networks

NETWORK_KEYS = {"network", "preset", "width", "sensors", "classwise", "hierarchical"}
FILES = [*baselines.CSKNET.values(), *sorted((baselines.RECIPES / "baselines").glob("*.toml"))]
LIGHTER = ("less_classwise", "less_hierarchical")


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def data_of(path):
    return path.stem.partition("_")[0]


def budget(recipe: Recipe, unread: set[str]):
    return {key: value for key, value in dataclasses.asdict(recipe).items() if key not in NETWORK_KEYS | unread}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_baseline_has_the_budget_of_dis2_says_what_for_and_is_trained(path):
    recipe, base = load(path), load(baselines.BASES[data_of(path)])
    unread = set() if recipe.network == "dis2" else OF_DIS2
    differs = {key for key, value in budget(recipe, unread).items() if value != budget(base, unread)[key]}
    allowed = {"disentangling": {"disentangle_weight"}, "distilling": {"distill_weight"}}
    allowed["paper"] = {"crop", "distill_weight"}  # the released network keeps its own losses
    assert differs == allowed.get(path.stem.rpartition("_")[2], set())
    assert path.read_text("utf-8").startswith("# ")
    task = dataclasses.replace(baselines.task_of(data_of(path), recipe), grid=(32, 32))
    network = networks.build(dataclasses.replace(recipe, crop=0, texture_weight=0.0), task)  # no teacher is here
    frames = {sensor.name: torch.randn(2, sensor.channels, 32, 32) for sensor in task.sensors}
    target = torch.randint(0, len(task.classes), (2, 32, 32))
    terms = network.losses(frames, target, network.training_scenarios[-1], 0.0)
    assert torch.isfinite(sum(terms.values()))


@pytest.mark.parametrize("data", baselines.TASKS)
def test_what_is_compared_costs_the_same_within_ten_percent(data):
    base, *others = baselines.rows(data)
    rivals = {"csknet", "deeplabv3", "single", "early_fusion", "feature_mean"}
    assert {row.recipe.network for row in others} - {"dis2"} == rivals
    for row in others:
        for scenario, found in row.costs.items():
            whole = base.costs[scenario].gflop
            if row.recipe.network == "csknet" and "+" in scenario:
                continue
            if row.name.endswith(LIGHTER):
                assert 0.6 * whole < found.gflop <= whole, (row.name, scenario)
            elif row.recipe.preset == "default":
                assert found.gflop == pytest.approx(whole, rel=0.1), (row.name, scenario)


@pytest.mark.parametrize("data", baselines.TASKS)
def test_csknet_with_one_sensor_costs_what_deeplabv3_costs_and_twice_that_with_both(data):
    (csknet,) = (row for row in baselines.rows(data) if row.recipe.network == "csknet")
    both, *alone = baselines.TASKS[data].scenarios
    for scenario in alone:
        (plain,) = (
            row
            for row in baselines.rows(data)
            if row.recipe.network == "deeplabv3" and row.recipe.sensors == (scenario,)
        )
        assert plain.costs[scenario] == csknet.costs[scenario]
    ours = baselines.rows(data)[0].costs[both].gflop
    assert 1.6 * ours < csknet.costs[both].gflop < 2.2 * ours


def test_each_sensor_has_every_network_of_its_own():
    for data, task in baselines.TASKS.items():
        alone = {
            (row.recipe.network, row.recipe.sensors) for row in baselines.rows(data) if len(row.recipe.sensors) == 1
        }
        assert alone == {
            (kind, (name,)) for kind in ("single", "early_fusion", "deeplabv3") for name in task.sensor_names
        }


def test_the_table_in_the_docs_is_what_the_command_prints():
    text = baselines.PAGE.read_text("utf-8")
    assert text == baselines.filled(text), "run: python -m benchmarks.baselines --write"
