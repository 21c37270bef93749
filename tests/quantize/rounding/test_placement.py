"""Placement: the policy holds for every network behind the seam, and taps can be left off without a trace."""

import pytest
import torch
from small import ONE, THREE, TWO, frames_of
from torch import fx, nn

from dis2_edge.recipe import Recipe
from dis2_edge.scenario import sensors_of
from dis2_quantize.rounding import placement
from dis2_quantize.rounding.fake import ActivationQuant, QuantConvUnit
from dis2_quantize.rounding.linear import QuantLinear
from dis2_quantize.rounding.stem import QuantStem
from dis2_train import networks
from dis2_train.networks.blocks import Concat, ConvUnit, Enlarge, Regroup

CASES = [("dis2", TWO, s) for s in TWO.scenarios] + [("early_fusion", THREE, s) for s in THREE.scenarios]
CASES += [("single", ONE, "ndsm"), ("feature_mean", THREE, "ndsm"), ("feature_mean", THREE, "rgb+ndsm")]


def inputs(task, scenario, batch=1):
    frames = frames_of(task, batch)
    return [frames[name] for name in sensors_of(scenario)]


def placed(network, scenario, keep_float=()):
    traced = placement.trace(network.deployable(scenario, network.tap_names(scenario)))
    return placement.place(traced, "minmax", keep_float, network.task.used(scenario))


def modules_at(graph: fx.GraphModule) -> list[tuple[fx.Node, nn.Module]]:
    return [(n, graph.get_submodule(str(n.target))) for n in graph.graph.nodes if n.op == "call_module"]


@pytest.mark.parametrize(("kind", "task", "scenario"), CASES)
def test_tracing_changes_nothing(lived_in, kind, task, scenario):
    network = lived_in(kind, task)
    taps = network.tap_names(scenario)
    expected = network(frames_of(task, 2), scenario, taps)
    found = placement.trace(network.deployable(scenario, taps))(*inputs(task, scenario, 2))
    assert torch.allclose(found[0], expected.logits, atol=1e-5)
    for name, tap in zip(taps, found[1:], strict=True):
        assert torch.allclose(tap, expected.taps[name], atol=1e-5)


@pytest.mark.parametrize(("kind", "task", "scenario"), CASES)
def test_every_integer_convolution_reads_rounded_tensors_and_is_rounded(lived_in, kind, task, scenario):
    graph = placed(lived_in(kind, task), scenario)
    convolutions = [(node, module) for node, module in modules_at(graph) if isinstance(module, QuantConvUnit)]
    assert len(convolutions) > 10
    for node, _ in convolutions:
        (source,) = node.args
        if not isinstance(graph.get_submodule(str(node.target)), QuantStem):
            assert isinstance(graph.get_submodule(str(source.target)), ActivationQuant)
        assert {type(graph.get_submodule(str(user.target))) for user in node.users} == {ActivationQuant}


@pytest.mark.parametrize(("kind", "task", "scenario"), CASES)
def test_only_stems_that_read_no_bytes_stay_floating_point_convolutions(lived_in, kind, task, scenario):
    graph = placed(lived_in(kind, task), scenario)
    floating = [node for node, module in modules_at(graph) if isinstance(module, ConvUnit)]
    stems = [node for node, module in modules_at(graph) if isinstance(module, QuantStem)]
    others = [name for name in sensors_of(scenario) if task.sensor(name).dtype != "uint8"]
    if kind == "early_fusion":  # one stem over all sensors
        assert (len(floating), len(stems)) == (1, 0)
    else:
        slots = 1 if kind == "single" else 2
        both = slots if kind == "feature_mean" or len(sensors_of(scenario)) == 1 else 1
        assert len(floating) == both * len(others)
        assert len(stems) == both * (len(sensors_of(scenario)) - len(others))


@pytest.mark.parametrize(("kind", "task", "scenario"), CASES)
def test_what_is_concatenated_shares_one_scale(lived_in, kind, task, scenario):
    graph = placed(lived_in(kind, task), scenario)
    found = 0
    for node, module in modules_at(graph):
        around = [*node.all_input_nodes, *node.users]
        targets = [value.target for value in around]
        if isinstance(module, Concat) and all(str(target).startswith("round_") for target in targets):
            found += 1
            assert len(set(targets)) == 1
    assert found or kind in ("feature_mean", "single")


def test_linear_layers_read_integers_but_where_they_are_kept(lived_in):
    network = lived_in("dis2", TWO)
    counts = []
    for kept in ((), ("inner.branch.fusion.attention.layers.0",)):
        modules = [module for _, module in placed(network, "rgb", kept).named_modules()]
        counts.append(sum(isinstance(module, QuantLinear) for module in modules))
        assert not any(isinstance(module, nn.Linear) and module.out_features >= 16 for module in modules) or kept
    assert counts[0] - counts[1] == 5


@pytest.mark.parametrize(
    ("kind", "task"), [("dis2", TWO), ("early_fusion", THREE), ("single", ONE), ("feature_mean", THREE)]
)
def test_what_only_moves_integers_keeps_their_scale(lived_in, kind, task):
    graph = placed(lived_in(kind, task), task.full)
    kinds = (Enlarge, Regroup)
    found = [node for node, module in modules_at(graph) if isinstance(module, kinds)]
    carriers = [node for node in found if "head" not in node.args[0].name]
    assert len(carriers) == len(found) - 1
    for node in carriers:
        (source,) = node.args
        (after,) = node.users
        assert after.target == source.target


@pytest.mark.parametrize("part", ["classwise", "hierarchical"])
def test_dis2_less_a_part_is_rounded_too(part):
    network = networks.build(Recipe(width=0.25, **{part: False}), TWO).eval()
    graph, frames = placed(network, "ndsm"), inputs(TWO, "ndsm")
    with torch.no_grad():
        graph(*frames)
        placement.freeze(graph)
        assert torch.isfinite(graph(*frames)[0]).all()
    assert sum(isinstance(module, QuantConvUnit) for _, module in modules_at(graph)) > 10


def test_a_kept_block_stays_floating_point(lived_in):
    network = lived_in("dis2", TWO)
    whole, partly = (placed(network, "rgb", keep) for keep in ((), ("inner.branch.decoder.stage3",)))
    count = [sum(isinstance(module, QuantConvUnit) for _, module in modules_at(graph)) for graph in (whole, partly)]
    assert count[0] - count[1] == 3
    partly(*inputs(TWO, "rgb"))
    placement.freeze(partly)
    assert torch.isfinite(partly(*inputs(TWO, "rgb"))[0]).all()


@pytest.mark.parametrize(
    ("kind", "task"), [("dis2", TWO), ("early_fusion", THREE), ("single", ONE), ("feature_mean", THREE)]
)
def test_blocks_name_modules_that_exist(lived_in, kind, task):
    network = lived_in(kind, task)
    for scenario in task.scenarios:
        names = {name for name, _ in network.deployable(scenario).named_modules()}
        assert set(network.blocks(scenario)) <= names


@pytest.mark.parametrize(("kind", "task", "scenario"), CASES)
def test_with_every_block_kept_nothing_is_rounded(lived_in, kind, task, scenario):
    """So blocks cover all that can be an integer: a choice between them is a choice between INT8 and FP32."""
    network = lived_in(kind, task)
    graph = placed(network, scenario, network.blocks(scenario))
    assert not placement.quantizers(graph)
    assert not [unit for unit in graph.modules() if isinstance(unit, (QuantConvUnit, QuantLinear))]


@pytest.mark.parametrize(("kind", "task", "scenario"), CASES)
def test_rounding_stays_close_and_does_something(lived_in, kind, task, scenario):
    network = lived_in(kind, task)
    graph, frames = placed(network, scenario), inputs(task, scenario)
    with torch.no_grad():
        graph(*frames)
        placement.freeze(graph)
        rounded = graph(*frames)[0]
        exact = network(frames_of(task), scenario).logits
    error = (rounded - exact).norm() / exact.norm()
    assert 1e-6 < error < 0.15


def test_without_taps_only_logits_are_left(lived_in):
    network = lived_in("dis2", TWO)
    graph = placed(network, "rgb+ndsm")
    bare = placement.without_taps(graph)
    frames = inputs(TWO, "rgb+ndsm")
    assert torch.equal(bare(*frames), graph(*frames)[0])
    assert isinstance(graph(*frames), tuple)


def test_the_network_itself_is_left_as_it_was(lived_in):
    network = lived_in("dis2", TWO)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    placed(network, "rgb")(*inputs(TWO, "rgb"))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
