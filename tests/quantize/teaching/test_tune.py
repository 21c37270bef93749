"""Tuning: who teaches, what lives until when, what is kept, and faults that are named."""

import copy
import dataclasses

import numpy as np
import onnx
import pytest
import torch
from small import RECIPE, frames_of

from dis2_edge.errors import DataError, RecipeError
from dis2_edge.recipe import Recipe
from dis2_quantize.rounding.fake import ActivationQuant, QuantConvUnit
from dis2_quantize.rounding.placement import quantizers
from dis2_quantize.teaching import tune as tuning
from dis2_quantize.teaching.keeper import Keeper
from dis2_quantize.teaching.lesson import lesson, taught
from dis2_quantize.teaching.student import calibrate, make_student
from dis2_quantize.teaching.tune import begin, freeze_norms, settle, tune
from dis2_quantize.writing.export import export
from dis2_runtime.engines.onnx_runtime import open_model
from dis2_train.data.batches import Sampler, Split, whole_images
from dis2_train.networks.blocks import Enlarge, Regroup
from dis2_train.networks.losses import feature_distance
from dis2_train.networks.seam import Output

CPU = torch.device("cpu")
ALL = dataclasses.replace(RECIPE, learned_scales=True, quantize_freeze_norms=0.5, quantize_learning_rate=1e-3)


class Asked:
    """A teacher that remembers what it was asked."""

    def __init__(self, network):
        self.network, self.task, self.scenarios = network, network.task, []

    def eval(self):
        pass

    def __call__(self, frames, scenario, taps=()):
        self.scenarios.append((scenario, bool(taps)))
        return self.network(frames, scenario, taps)


@pytest.fixture
def school(trained, aerial):
    """A run, its training split, and a maker of calibrated students."""
    run = trained("dis2")
    train = Split(aerial, "train", run.task, CPU)

    def enrol(scenario="rgb", recipe=RECIPE):
        student = make_student(run.network, scenario, recipe)
        calibrate([student], train, 4)
        return student

    return run, train, enrol


def state_of(student):
    return {name: value.clone() for name, value in student.network.state_dict().items()}


def moved(student, before):
    return [name for name, value in student.network.state_dict().items() if not torch.equal(value, before[name])]


@pytest.mark.parametrize(
    ("which", "scenario", "asked"),
    [
        ("labels", "rgb", set()),
        ("distillation", "rgb", {("rgb+ndsm", False), ("rgb", True)}),
        ("distillation", "rgb+ndsm", {("rgb+ndsm", True)}),
    ],
)
def test_labels_ask_no_teacher_distillation_asks_all_sensors_for_logits_and_the_own_ones_for_taps(
    school, which, scenario, asked
):
    run, train, enrol = school
    teacher = Asked(run.network)
    tune([enrol(scenario)], teacher, train, None, dataclasses.replace(RECIPE, quantize_lesson=which))
    assert set(teacher.scenarios) == asked


@torch.no_grad()
def test_the_taps_told_are_those_that_the_student_had_before_rounding(school):
    run, train, enrol = school
    batch = Sampler(train, RECIPE).batch(0, 0)
    for scenario in run.task.scenarios:
        student = enrol(scenario)
        answer = taught(run.network, batch, student, RECIPE)
        found, full = student(batch.frames).taps, run.network(batch.frames, run.task.full, student.taps)
        assert torch.allclose(answer.logits, full.logits, atol=1e-5)
        own, other = (
            [float(feature_distance(found[name], taps[name])) for name in student.taps]
            for taps in (answer.taps, full.taps)
        )
        assert max(own) < 0.3
        assert own == other if scenario == run.task.full else sum(own) < 0.2 * sum(other)


def test_the_rate_rises_and_then_falls_to_nothing():
    rates, weight = [], torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.AdamW([{"params": [weight], "peak": 2.0}])
    for step in range(100):
        tuning._step(optimizer, weight.sum(), (step + 0.5) / 100)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates[0] < 0.06 * 2.0
    assert 8 <= rates.index(max(rates)) <= 11
    assert max(rates) > 0.9 * 2.0
    assert 0 < rates[-1] < 0.001 * 2.0


def test_the_lesson_hears_the_teacher_class_by_class_or_pixel_by_pixel():
    random = torch.Generator().manual_seed(0)
    logits, other = (Output(torch.randn(1, 3, 8, 8, generator=random)) for _ in range(2))
    target = torch.zeros(1, 8, 8, dtype=torch.int64)
    target[:, 0] = 1
    heard = {
        b: lesson(logits, other, target, dataclasses.replace(RECIPE, distill_balance=b), 255) for b in (True, False)
    }
    assert heard[True] != heard[False]


@pytest.mark.parametrize(
    "changes", [{"quantize_epochs": 0}, {"quantize_learning_rate": 0.0, "quantize_freeze_norms": 0.0}]
)
@pytest.mark.parametrize("learned", [True, False])
def test_no_epochs_or_no_rate_leave_the_student_as_it_was(school, changes, learned):
    run, train, enrol = school
    student = enrol()
    before = state_of(student)
    tune([student], run.network, train, None, dataclasses.replace(RECIPE, learned_scales=learned, **changes))
    assert not moved(student, before)


@pytest.mark.parametrize(("share", "moving"), [(0.0, 0), (0.5, 2), (1.0, 4)])
def test_statistics_move_only_before_the_freeze(school, monkeypatch, share, moving):
    run, train, enrol = school
    student, means = enrol(), []
    take = tuning._step

    def watched(*given):
        means.append(statistics(student))
        take(*given)

    monkeypatch.setattr(tuning, "_step", watched)
    # 2 batches an epoch, 2 epochs; what a step moves has moved when it calls the optimiser.
    recipe = dataclasses.replace(RECIPE, quantize_freeze_norms=share, quantize_epochs=2)
    assert Sampler(train, recipe).steps == 2
    probe = copy.deepcopy(student)
    begin(probe, recipe)
    tune([student], run.network, train, None, recipe)
    steps = zip([statistics(probe), *means[:-1]], means, strict=True)
    assert [not torch.equal(before, after) for before, after in steps] == [place < moving for place in range(4)]


def statistics(student):
    norms = [module for module in student.network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    return torch.cat([torch.zeros(1), *(norm.running_mean for norm in norms)])


def test_unfrozen_in_eval_frozen_in_training_and_settled_all_say_the_same(school):
    _, train, enrol = school
    student = enrol(recipe=ALL)
    plain = copy.deepcopy(student.network)
    frames = next(whole_images(train, 1)).frames
    expected = student(frames).logits
    begin(student, dataclasses.replace(ALL, learned_scales=False))
    assert torch.equal(student(frames).logits, expected)
    student.network.train()
    freeze_norms(student.network)
    for module in student.network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.eval()
    assert torch.equal(student(frames).logits, expected)
    student.network.eval()
    settle(student)
    assert torch.equal(student(frames).logits, expected)
    assert set(student.network.state_dict()) == set(plain.state_dict())


def test_the_keeper_gives_back_weights_ranges_and_statistics(school):
    _, train, enrol = school
    student = enrol(recipe=ALL)
    begin(student, ALL)
    frames = next(whole_images(train, 1)).frames
    keeper = Keeper(student, train)
    expected = student(frames).logits
    with torch.no_grad():
        for value in student.network.state_dict().values():
            if value.is_floating_point():
                value.add_(0.3)
    assert not torch.equal(student(frames).logits, expected)
    keeper.restore()
    assert torch.equal(student(frames).logits, expected)


def test_learned_scales_move_stay_shared_by_what_carries_them_and_are_exported_as_ever(school, tmp_path):
    run, train, enrol = school
    student = enrol("rgb+ndsm", ALL)
    ends = {quant.name: float(quant.amax) for quant in quantizers(student.network)}
    untuned = files_operators(student, run.task, tmp_path / "untuned.onnx")
    tune([student], run.network, train, None, ALL)
    found = {quant.name: float(quant.amax) for quant in quantizers(student.network)}
    assert all(end > 0 for end in found.values())
    assert sum(end != ends[name] for name, end in found.items()) > len(ends) / 2
    for node in student.network.graph.nodes:
        if node.op == "call_module" and isinstance(student.network.get_submodule(str(node.target)), (Enlarge, Regroup)):
            (source,) = node.args
            if isinstance(student.network.get_submodule(str(source.target)), ActivationQuant):
                assert {user.target for user in node.users} == {source.target}
    assert files_operators(student, run.task, tmp_path / "tuned.onnx") == untuned
    agree(student, run.task, tmp_path / "tuned.onnx")


def files_operators(student, task, file):
    export(student.network, task, student.scenario, file, {})
    kinds = [node.op_type for node in onnx.load(file).graph.node]
    return {kind: kinds.count(kind) for kind in ("QuantizeLinear", "DequantizeLinear", "Conv", "BatchNormalization")}


def agree(student, task, file):
    normalised = frames_of(task)
    raw = {}
    for name, x in normalised.items():
        sensor = task.sensor(name)
        pixels = x[0].permute(1, 2, 0).numpy() * np.array(sensor.std) + np.array(sensor.mean)
        raw[name] = np.clip(pixels, sensor.valid_min, sensor.valid_max).astype(sensor.dtype)
        back = (raw[name].astype(np.float32) - np.array(sensor.mean)) / np.array(sensor.std)
        normalised[name] = torch.from_numpy(back.astype(np.float32)).permute(2, 0, 1)[None]
    with torch.no_grad():
        expected = student(normalised).logits.argmax(1)[0].numpy()
    assert (open_model(file, threads=1).run(raw).mask == expected).mean() > 0.98


def test_a_student_that_falls_apart_is_one_error_that_names_the_layer(school):
    run, train, enrol = school
    student = enrol()
    unit = next(m for m in student.network.modules() if isinstance(m, QuantConvUnit))
    with torch.no_grad():
        unit.kernel.weight[0] = float("nan")
    with pytest.raises(DataError, match=r"[\w.]+ gives a value that is not finite.*quantize_learning_rate"):
        tune([student], run.network, train, None, dataclasses.replace(RECIPE, quantize_freeze_norms=0.0))


def test_a_loss_that_is_not_finite_names_the_scenario(school):
    run, train, enrol = school
    student = enrol()
    with torch.no_grad():
        list(student.network.parameters())[-1].fill_(float("inf"))  # the head, behind the last rounding
    with pytest.raises(DataError, match="rgb"):
        tune([student], run.network, train, None, RECIPE)


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(RecipeError, match=r"quantize_freeze_norms.*0\.\.1"):
        Recipe(quantize_freeze_norms=share)
