"""The benchmark of a training step: its contestants compute what they claim, turn by turn, each weighed apart."""

import pytest
import torch

from benchmarks import train_step
from benchmarks.released import PositionsFirst, with_released_operators
from benchmarks.train_step import CONTESTANTS, Setting, Step, compare, main, take_turns
from dis2_edge.recipe import Recipe
from dis2_train.networks.paper import PaperDis2

TINY = Setting(size=32, classes=2)


@pytest.mark.parametrize("contestant", CONTESTANTS)
def test_two_steps_move_every_weight(contestant):
    step = Step(contestant, TINY)
    before = {name: value.clone() for name, value in step.network.named_parameters()}
    terms = step(0), step(1)
    assert all(bool(torch.isfinite(value)) for found in terms for value in found.values())
    still = [name for name, value in step.network.named_parameters() if torch.equal(value, before[name])]
    # A bias before a norm or a softmax has no effect, and the released teacher's pools get no gradient.
    assert all(name.endswith(".bias") or name.startswith("branch_pools.0.") for name in still), still


def test_the_released_formulation_has_the_losses_and_gradients_of_the_paper_preset():
    torch.manual_seed(0)
    paper = PaperDis2(Recipe(preset="paper"), TINY.task)
    released = with_released_operators(paper, TINY.batch)
    assert any(isinstance(module, PositionsFirst) for module in released.modules())
    paper.eval()  # dropout off, so that both see the same
    inputs = Step("paper", TINY)
    sums = []
    for network in (paper, released):
        terms = network.losses(inputs.frames, inputs.target, "ndsm", 0.5)
        torch.stack(list(terms.values())).sum().backward()
        sums.append(terms)
    for name, value in sums[0].items():
        torch.testing.assert_close(sums[1][name], value, rtol=1e-4, atol=1e-5)
    for one, other in zip(paper.encoders.parameters(), released.encoders.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-2, atol=1e-5)


def test_contestants_take_turns_and_warm_up_is_not_timed():
    calls = []
    steps = {name: lambda turn, name=name: calls.append((name, turn)) for name in "ab"}
    taken = take_turns(steps, 3)
    assert calls == [(name, turn) for turn in range(train_step.WARM_UP + 3) for name in "ab"]
    assert [latency.n for latency, _ in taken.values()] == [3, 3]


def test_equal_work_is_the_full_scenario_and_one_lone_one():
    drawn, whole = (Step(name, TINY)(0) for name in ("drawn", "default"))
    assert "auxiliary_ndsm_alone" in whole
    assert "auxiliary_ndsm_alone" not in drawn
    assert set(drawn) - {"distill"} <= set(whole)
    assert "distill" in drawn


def test_memory_is_measured_in_a_process_of_its_own():
    assert train_step.peak_apart("default", TINY) > 10e6  # gradients and AdamW's moments alone are more


def test_ratios_are_against_the_released_formulation(monkeypatch, capsys):
    peaks = {"released": 8e6, "paper": 6e6, "drawn": 2e6, "default": 7e6}
    monkeypatch.setattr(train_step, "peak_apart", lambda name, _: peaks[name])
    monkeypatch.setattr(train_step, "Step", lambda name, _: lambda turn: None)
    figures = compare(TINY, 2)
    assert [figure.memory_share for figure in figures] == [1.0, 0.75, 0.25, 0.875]
    assert figures[0].ratio == figures[0].cpu_ratio == 1.0
    train_step.show(figures, TINY)
    shown = capsys.readouterr().out
    assert "peak memory: at most 0.6 of it: met" in shown
    assert "32x32" in shown


def test_a_missing_gpu_is_told(capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["--device", "cuda"]) == 2
    assert "no CUDA device" in capsys.readouterr().err
