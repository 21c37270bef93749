"""What sensors give each other, in the trt dialect: moved as integers, and small scales of norms do no harm."""

import collections

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from small import PAIR
from torch import nn
from typed_graphs import give_up_channels, inputs_of, lived_network, placed, raw_frames, traced

from dis2_boards.profile import load
from dis2_edge.recipe import Recipe
from dis2_quantize.costs import layer_costs
from dis2_quantize.judging.halves import HalfSegmenter, islands
from dis2_quantize.judging.tensor_model import TensorModel
from dis2_quantize.lint.check import check
from dis2_quantize.rounding import placement
from dis2_quantize.rounding.form import typed_form
from dis2_quantize.rounding.symmetric import MovedStrips
from dis2_quantize.writing.trt import write
from dis2_train import networks
from dis2_train.networks.blocks import Channels, Strips

CASE = ("csknet", PAIR, "rgb+thermal")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """The fp16 and the int8 file of both sensors."""
    folder, read = tmp_path_factory.mktemp("exchange"), {}
    for precision, graph in (("fp16", traced(*CASE)), ("int8", placed(*CASE))):
        write(typed_form(graph), PAIR, CASE[2], folder / f"{precision}.onnx", {"recipe_hash": "abc"})
        read[precision] = onnx.load(folder / f"{precision}.onnx")
    return read


def placed_at(graph, keep_float=()):
    """The graph, calibrated with `keep_float` left in floating point."""
    graph = placement.place(graph, "minmax", keep_float)
    with torch.no_grad():
        graph(*inputs_of(PAIR, CASE[2]))
    placement.freeze(graph)
    return graph


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_a_jetson_has_nothing_against_them(models, precision):
    assert not check(models[precision], load("orin-nx-16gb"))


def test_columns_are_chosen_in_fp16_and_moved_in_int8(models):
    kinds = {name: collections.Counter(node.op_type for node in model.graph.node) for name, model in models.items()}
    assert kinds["fp16"]["Where"] == 2
    assert kinds["int8"]["Where"] == 0
    assert kinds["int8"]["Slice"] == kinds["fp16"]["Slice"] + 4


def test_between_two_roundings_all_that_moves_is_counted_in_integers(models):
    costs = layer_costs(models["int8"])
    moved = [layer for layer in costs if layer.kind in ("Slice", "Concat", "Reshape")]
    assert len(moved) > 20
    assert {layer.format for layer in moved} == {"int8"}
    map_bytes = 16 * 16 * 16  # behind stage 2
    joined = [layer.bytes for layer in costs if layer.kind == "Concat" and "mix" in layer.name]
    assert joined == [2 * map_bytes, 2 * map_bytes]


def test_no_more_is_rounded_than_both_ends_of_the_exchange(models):
    made = {name: node for node in models["int8"].graph.node for name in node.output}
    for node in models["int8"].graph.node:
        if node.op_type == "QuantizeLinear" and made[node.input[0]].op_type in ("Slice", "Concat", "Reshape"):
            assert not made[node.input[0]].name.startswith("/mix") or made[node.input[0]].op_type == "Reshape"


@pytest.mark.parametrize("width", [8, 7])
def test_moved_columns_are_the_chosen_ones(width):
    even, odd = torch.randn(2, 3, 5, width), torch.randn(2, 3, 5, width)
    assert torch.equal(MovedStrips()(even, odd), Strips()(even, odd))
    assert not torch.equal(MovedStrips()(even, odd), Strips()(odd, even))


@pytest.mark.parametrize("kept", ["inner.encoder.sensors.0.outer3_1", "inner.fusion"])
def test_a_block_left_in_floats_beside_an_exchange_leaves_a_lawful_file(tmp_path, kept):
    graph = traced(*CASE)
    write(typed_form(placed_at(graph, (kept,))), PAIR, CASE[2], tmp_path / "m.onnx", {"recipe_hash": "abc"})
    assert not check(onnx.load(tmp_path / "m.onnx"), load("orin-nx-16gb"))
    answer = TensorModel(tmp_path / "m.onnx", PAIR.sensors, 1).run(raw_frames(PAIR))
    with torch.no_grad():
        mask = traced(*CASE)(*inputs_of(PAIR, CASE[2]))[0].argmax(0).numpy()
    assert (answer.mask == mask).mean() > 0.98


def test_scales_of_norms_that_training_pressed_to_nothing_leave_fp16_and_int8_exact(tmp_path):
    """Weights of channels that fly in spite of such a scale are subnormal, or zero: what is lost adds nothing."""
    network = lived_network.__wrapped__(*CASE[:2])
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(3)
        norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d) and module.affine]
        for size in (0.0, 1e-7):
            give_up_channels(norms, size)
    graph = placement.trace(network.deployable(CASE[2]))
    assert any(isinstance(module, Channels) for module in graph.modules())
    assert islands(graph, [inputs_of(PAIR, CASE[2])]) == ()
    with torch.no_grad():
        chances = graph(*inputs_of(PAIR, CASE[2])).softmax(1)[0]
    halves = HalfSegmenter(typed_form(graph), PAIR.sensors)
    told = halves.run(raw_frames(PAIR))
    assert not halves.ranges.too_large
    write(typed_form(placed_at(graph)), PAIR, CASE[2], tmp_path / "m.onnx", {})
    model = onnx.load(tmp_path / "m.onnx")
    scales = {node.input[1] for node in model.graph.node if node.op_type.endswith("eLinear")}
    found = [numpy_helper.to_array(one) for one in model.graph.initializer if one.name in scales]
    assert 0 < min(array.min() for array in found) < np.finfo(np.float16).smallest_normal
    rounded = TensorModel(tmp_path / "m.onnx", PAIR.sensors, 1).run(raw_frames(PAIR))
    for answer, share, gap in ((told, 0.999, 0.005), (rounded, 0.97, 0.05)):
        assert (answer.mask == chances.argmax(0).numpy()).mean() >= share
        assert np.quantile(np.abs(answer.confidence / 255 - chances.amax(0).numpy()), 0.99) < gap


def test_sensors_whose_convolutions_and_norms_are_one_share_their_integers(tmp_path):
    torch.manual_seed(0)
    network = networks.build(Recipe(network="csknet", width=0.25, norms="shared"), PAIR).eval()
    graph = placement.trace(network.deployable(CASE[2]))
    write(typed_form(placed_at(graph)), PAIR, CASE[2], tmp_path / "m.onnx", {"recipe_hash": "abc"})
    model = onnx.load(tmp_path / "m.onnx")
    assert not check(model, load("orin-nx-16gb"))
    weights = {one.name for one in model.graph.initializer}
    readers = collections.Counter(node.input[0] for node in model.graph.node if node.op_type == "DequantizeLinear")
    assert any(readers[name] == 2 for name in weights)
    TensorModel(tmp_path / "m.onnx", PAIR.sensors, 1).run(raw_frames(PAIR))
