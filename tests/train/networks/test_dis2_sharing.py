"""Weights shared between the branches of DIS2's scenarios, and steps that train them all."""

import dataclasses

import pytest
import torch
from torch import nn

from dis2_edge.errors import CheckpointError, RecipeError
from dis2_edge.recipe import Recipe
from dis2_edge.sensors import Sensor
from dis2_edge.task import Task
from dis2_train import checkpoint, networks

OPT, SAR = Sensor("opt", "optical", 3, "uint8", "DN", 0, 255), Sensor("sar", "radar", 1, "uint8", "DN", 0, 255)
TASK = Task((OPT, SAR), ("dry", "flood", "roof"), ("#000000", "#0000ff", "#ff0000"), (32, 32))
RECIPE = Recipe(width=0.25, distill_weight=1.0, distill_after=0.0, shared="branch", every_scenario=False)
NORMS = (nn.BatchNorm2d, nn.LayerNorm)


def frames(batch=2):
    random = torch.Generator().manual_seed(0)
    return {s.name: torch.randn(batch, s.channels, 32, 32, generator=random) for s in TASK.sensors}


def target(batch=2):
    return torch.randint(0, 3, (batch, 32, 32), generator=torch.Generator().manual_seed(1))


def test_all_but_the_norms_are_one_set_of_weights():
    network = networks.build(RECIPE, TASK)
    branches = [network.branches[scenario] for scenario in TASK.scenarios]
    shared = apart = 0
    for modules in zip(*(branch.modules() for branch in branches), strict=True):
        for tensors in zip(*(module.parameters(recurse=False) for module in modules), strict=True):
            same = tensors[0] is tensors[1] is tensors[2]
            assert same != isinstance(modules[0], NORMS)
            shared, apart = shared + same, apart + (not same)
    assert shared > 40
    assert apart > 40


@pytest.mark.parametrize("shared", ["encoders", "nothing"])
def test_without_shared_branches_each_scenario_has_its_own(shared):
    network = networks.build(dataclasses.replace(RECIPE, shared=shared), TASK)
    named = [dict(network.branches[scenario].named_parameters()) for scenario in TASK.scenarios]
    assert all(named[0][name] is not named[1][name] for name in named[0])
    assert sum(p.numel() for p in network.parameters()) > sum(
        p.numel() for p in networks.build(RECIPE, TASK).parameters()
    )


def touched(network, loss):
    """Names of the parts that `loss` moves, by the first two words of their parameters."""
    network.zero_grad(set_to_none=True)
    loss.backward()
    return {".".join(name.split(".")[:2]) for name, p in network.named_parameters() if p.grad is not None}


def test_sharing_nothing_keeps_the_lone_scenarios_and_the_full_one_apart():
    network = networks.build(dataclasses.replace(RECIPE, shared="nothing"), TASK).train()
    of_sar = {"branches.sar", "lone_encoders.sar", "stand_ins.opt"}
    terms = network.losses(frames(), target(), "sar", 0.5)
    assert touched(network, terms["missing"]) == of_sar
    terms = network.losses(frames(), target(), "sar", 0.5)
    assert touched(network, terms["distill"]) == of_sar
    terms = network.losses(frames(), target(), "sar", 0.5)
    assert touched(network, terms["full"]) == {"branches.opt+sar", "encoders.opt", "encoders.sar"}
    assert "auxiliary_sar_alone" in terms
    assert "auxiliary_opt_alone" not in terms  # the scenario that was not drawn


def test_shares_of_scenarios_say_nothing_where_every_step_trains_them_all():
    for changes in ({"scenario_share": (0.4, 0.6)}, {"scenario_sampling": "worst"}):
        with pytest.raises(RecipeError, match=rf"{next(iter(changes))} has nothing to say.*every_scenario=false"):
            networks.build(dataclasses.replace(RECIPE, **changes, every_scenario=True), TASK)
        networks.build(dataclasses.replace(RECIPE, **changes), TASK)


def test_features_of_the_teacher_are_heard_on_request():
    network = networks.build(dataclasses.replace(RECIPE, distill_features=0.5), TASK).train()
    plain = networks.build(RECIPE, TASK).train()
    for module in [*network.modules(), *plain.modules()]:
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    found, without = (net.losses(frames(), target(), "sar", 0.5)["distill"] for net in (network, plain))
    assert found > without + 0.01


@pytest.mark.parametrize("shared", ["nothing", "encoders", "branch"])
def test_what_flies_answers_as_the_network_does(shared):
    network = networks.build(dataclasses.replace(RECIPE, shared=shared), TASK).eval()
    for scenario in TASK.scenarios:
        flown = network.deployable(scenario).eval()
        answer = flown(*(frames()[name] for name in scenario.split("+")))
        assert torch.allclose(answer, network(frames(), scenario).logits)


def test_a_step_of_one_scenario_moves_the_answer_of_the_other():
    network = networks.build(RECIPE, TASK).train()
    before = network.eval()(frames(), "opt").logits
    network.train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    found = network.losses(frames(), target(), "sar", 0.5)
    found["missing"].backward()
    optimizer.step()
    assert not torch.allclose(network.eval()(frames(), "opt").logits, before)


@pytest.mark.parametrize("shared", ["encoders", "nothing"])
def test_every_scenario_adds_up_the_terms_of_each(shared):
    one = networks.build(dataclasses.replace(RECIPE, shared=shared), TASK).train()
    every = networks.build(dataclasses.replace(RECIPE, shared=shared, every_scenario=True), TASK).train()
    for module in [*one.modules(), *every.modules()]:
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    opt, sar = (one.losses(frames(), target(), name, 0.5) for name in ("opt", "sar"))
    both = every.losses(frames(), target(), "opt", 0.5)
    for term in ("missing", "disentangle", "distill"):
        assert torch.allclose(both[term], opt[term] + sar[term], rtol=1e-4)
    assert torch.allclose(both["full"], opt["full"], rtol=1e-4)


def test_a_run_comes_back_as_it_was_and_unshared_weights_are_refused(tmp_path):
    network = networks.build(RECIPE, TASK).eval()
    table = {"split": "test", "images": 0, "scenarios": {}}
    checkpoint.save(tmp_path / "run", network, recipe=RECIPE, statistics=(), metrics=table)
    again = checkpoint.load(tmp_path / "run").network
    assert all(torch.equal(again(frames(), s).logits, network(frames(), s).logits) for s in TASK.scenarios)
    own = networks.build(dataclasses.replace(RECIPE, shared="encoders"), TASK)
    checkpoint.save(tmp_path / "own", own, recipe=RECIPE, statistics=(), metrics=table)
    with pytest.raises(CheckpointError, match='shared = "encoders"'):
        checkpoint.load(tmp_path / "own")


def test_weights_of_a_diverged_training_are_read_as_what_they_are(tmp_path):
    network = networks.build(RECIPE, TASK).eval()
    with torch.no_grad():
        next(network.parameters()).fill_(torch.nan)
    table = {"split": "test", "images": 0, "scenarios": {}}
    checkpoint.save(tmp_path / "run", network, recipe=RECIPE, statistics=(), metrics=table)
    assert next(checkpoint.load(tmp_path / "run").network.parameters()).isnan().all()
