"""Costs of a file: what torch counts for the network, in the formats and bytes that the file stores."""

import json

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper, inliner
from small import ONE, THREE, TWO
from typed_graphs import CASES, traced
from written import exported, model_of

from dis2_edge.costs import read_costs
from dis2_edge.errors import CheckpointError
from dis2_edge.recipe import Recipe
from dis2_quantize.costs import layer_costs
from dis2_quantize.rounding.form import typed_form
from dis2_quantize.rounding.placement import trace
from dis2_quantize.run import quantize
from dis2_quantize.writing.trt import write
from dis2_train import networks
from dis2_train.networks.cost import operations

H, F, I8, U8 = TensorProto.FLOAT16, TensorProto.FLOAT, TensorProto.INT8, TensorProto.UINT8
WEIGHTED = ("Conv", "QLinearConv", "MatMulIntegerToFloat", "MatMul", "Gemm", "FusedMatMul", "MultiHeadAttention")


def total(layers, kinds=()):
    return sum(layer.operations for layer in layers if not kinds or layer.kind in kinds)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize(
    ("kind", "task", "scenario"),
    [("dis2", TWO, "rgb+ndsm"), ("dis2", TWO, "ndsm"), ("early_fusion", THREE, "rgb+thermal"), ("single", ONE, "ndsm")],
)
def test_the_sum_is_what_torch_counts(tmp_path, kind, task, scenario, precision):
    network = networks.build(Recipe(network=kind, width=0.5), task).eval()
    layers = layer_costs(exported(network, task, scenario, precision, tmp_path / "m.onnx"))
    graph = trace(network.deployable(scenario)).to("meta")  # what is written: rewritten already
    frames = [torch.empty(1, sensor.channels, *task.grid, device="meta") for sensor in task.used(scenario)]
    counted = operations(graph, *frames)
    filled = 1.1 if precision == "int8" else 1.0  # convolutions of few outputs are filled up with zeros
    assert 0.99 * counted < total(layers, WEIGHTED) < 1.01 * filled * counted
    # Torch counts neither the activations fused behind a convolution nor sums and enlargements: these nets are narrow.
    assert total(layers, WEIGHTED) < total(layers) < 1.06 * filled * counted


def test_a_file_that_onnx_runtime_has_fused_costs_as_much(lived_in, tmp_path):
    written = layer_costs(exported(lived_in("dis2", TWO), TWO, "rgb+ndsm", "int8", tmp_path / "m.onnx"))
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(tmp_path / "fused.onnx")
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    ort.InferenceSession(tmp_path / "m.onnx", options, providers=["CPUExecutionProvider"])
    fused = layer_costs(onnx.load(tmp_path / "fused.onnx"))
    assert total(fused) == pytest.approx(total(written), rel=0.03)
    integer = [sum(layer.format == "int8" and "Conv" in layer.kind for layer in file) for file in (written, fused)]
    assert integer[0] == integer[1] > 10
    assert sum(layer.bytes for layer in fused) == pytest.approx(sum(layer.bytes for layer in written), rel=0.1)


def rounded(kind, real, tail=(), zero=I8):
    """DQ(x), DQ(w) into `kind` with a bias, `tail` behind it, then Q and DQ: as both dialects write a convolution."""
    numpy_zero = np.int8(0) if zero == I8 else np.uint8(0)
    scale = np.array(0.1, helper.tensor_dtype_to_np_dtype(real))
    weights = {"s": scale, "z": numpy_zero, "w": np.zeros((8, 4, 3, 3), np.int8), "zw": np.int8(0)}
    weights["b"] = np.zeros(8, scale.dtype)
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "s", "z"], ["xf"]),
        helper.make_node("DequantizeLinear", ["w", "s", "zw"], ["wf"]),
        helper.make_node(kind, ["xf", "wf", "b"], ["c0"], name="layer", pads=[1] * 4),
        *[helper.make_node(act, [f"c{i}"], [f"c{i + 1}"]) for i, act in enumerate(tail)],
        helper.make_node("QuantizeLinear", [f"c{len(tail)}", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    return nodes, weights


@pytest.mark.parametrize(("real", "zero"), [(F, U8), (H, I8)])
def test_roundings_and_activation_vanish_into_the_convolution_whose_bytes_are_integers(real, zero):
    nodes, weights = rounded("Conv", real, ("Relu",), zero)
    layers = layer_costs(model_of(nodes, {"x": (zero, [1, 4, 6, 6])}, weights))
    assert [layer.kind for layer in layers] == ["Conv", "DequantizeLinear"]  # the last one answers: it stays a layer
    conv = layers[0]
    assert (conv.name, conv.format) == ("layer", "int8")
    assert conv.operations == 2 * 9 * 4 * 8 * 36 + 8 * 36
    real_bytes = 4 if real == F else 2
    scales = real_bytes + 1  # of the output's rounding, with its zero-point
    assert conv.bytes == 4 * 36 + 8 * 4 * 9 + 8 * 36 + 8 * real_bytes + scales


def test_a_convolution_whose_answer_is_not_rounded_is_integer_for_tensorrt_alone():
    for real, expected in ((F, "fp32"), (H, "int8")):
        nodes, weights = rounded("Conv", real)
        nodes[2].output[0] = "y"
        layers = layer_costs(model_of(nodes[:3], {"x": (I8, [1, 4, 6, 6])}, weights))
        assert [layer.format for layer in layers] == [expected]


def test_a_tensor_read_as_integer_and_as_float_is_written_twice():
    nodes, weights = rounded("Conv", H)
    nodes += [helper.make_node("Softmax", ["c0"], ["y2"], name="soft")]
    alone = layer_costs(model_of(nodes[:-1], {"x": (I8, [1, 4, 6, 6])}, weights))[0]
    shared = layer_costs(model_of(nodes, {"x": (I8, [1, 4, 6, 6])}, weights, ("y", "y2")))[0]
    assert shared.name == alone.name == "layer"
    assert shared.bytes == alone.bytes + 2 * 8 * 36


def test_half_precision_files_cost_half_the_bytes():
    sizes = {}
    for real in (F, H):
        weights = {"w": np.zeros((8, 4, 3, 3), helper.tensor_dtype_to_np_dtype(real))}
        nodes = [helper.make_node("Conv", ["x", "w"], ["c"]), helper.make_node("Softmax", ["c"], ["y"])]
        layers = layer_costs(model_of(nodes, {"x": (real, [1, 4, 6, 6])}, weights))
        assert {layer.format for layer in layers} == {"fp32" if real == F else "fp16"}
        sizes[real] = sum(layer.bytes for layer in layers)
    assert sizes[F] == 2 * sizes[H]


def test_softmax_between_roundings_stays_floating_point():
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "s", "z"], ["f"]),
        helper.make_node("Softmax", ["f"], ["p"], name="soft"),
        helper.make_node("QuantizeLinear", ["p", "s", "z"], ["y"]),
    ]
    (layer,) = layer_costs(model_of(nodes, {"x": (U8, [2, 5])}, {"s": np.float32(1), "z": np.uint8(0)}))
    assert (layer.name, layer.format) == ("soft", "fp32")
    assert layer.bytes == 10 + 10 + 5


@pytest.mark.parametrize(
    ("nodes", "inputs", "operations"),
    [
        ([helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2])], [1, 8, 5, 5], 2 * 8 * 4 * 9 * 25),
        ([helper.make_node("Transpose", ["x"], ["y"])], [1, 8, 5, 5], 0),
        ([helper.make_node("Cast", ["x"], ["y"], to=H)], [1, 8, 5, 5], 0),
        ([helper.make_node("Exp", ["x"], ["y"])], [1, 8, 5, 5], 200),
        ([helper.make_node("Einsum", ["x", "x"], ["y"], equation="nm,km->nk")], [6, 7], 2 * 6 * 6 * 7),
        ([helper.make_node("MatMul", ["x", "v"], ["y"])], [2, 6, 3], 2 * 2 * 6 * 3),
        (
            [helper.make_node("MultiHeadAttention", ["x", "x", "x"], ["y"], domain="com.microsoft", num_heads=2)],
            [1, 9, 8],
            2 * 2 * 9 * 9 * 8,
        ),
    ],
    ids=["transposed", "moved", "cast", "other", "einsum", "vector", "attention"],
)
def test_operations_by_kind(nodes, inputs, operations):
    weights = {"w": np.zeros((8, 4, 3, 3), np.float32), "v": np.zeros(3, np.float32)}
    (layer,) = layer_costs(model_of(nodes, {"x": (F, inputs)}, weights))
    assert layer.operations == operations


def test_an_attention_is_one_layer_in_the_type_it_reads_whatever_its_body_holds(tmp_path):
    kind, task, scenario = CASES[0]
    write(typed_form(traced(kind, task, scenario)), task, scenario, tmp_path / "m.onnx", {})
    model = onnx.load(tmp_path / "m.onnx")
    layers = {layer.kind: layer for layer in layer_costs(model) if layer.kind.endswith("Attention")}
    fusion, classes = layers["FusionAttention"], layers["ClasswiseAttention"]
    assert (fusion.operations, fusion.bytes) == (4 * 34 * 10 * 64, 2 * (34 + 10 + 10 + 34) * 64)
    assert (classes.operations, classes.bytes) == (3 * 3 * 64 * 16, 2 * (64 * 16 + 3 * 64 + 3 * 64 * 16))
    assert {fusion.format, classes.format} == {"fp16"}
    stripped = onnx.ModelProto.FromString(model.SerializeToString())
    del stripped.functions[:]
    assert layer_costs(stripped) == layer_costs(model)


def test_an_attention_as_one_layer_counts_the_operations_of_its_body_less_the_softmax(tmp_path):
    kind, task, scenario = CASES[0]
    write(typed_form(traced(kind, task, scenario)), task, scenario, tmp_path / "m.onnx", {})
    called = onnx.load(tmp_path / "m.onnx")
    whole, parts = layer_costs(called), layer_costs(inliner.inline_local_functions(called))
    assert total(whole, (*WEIGHTED, "FusionAttention")) == pytest.approx(total(parts, WEIGHTED), rel=1e-3)
    assert 0.99 * total(parts) < total(whole) < total(parts)
    assert sum(layer.bytes for layer in whole) < sum(layer.bytes for layer in parts)


def test_a_norm_that_is_spelt_out_is_one_layer_and_leaves_nothing_between_in_memory(tmp_path):
    kind, task, scenario = CASES[0]
    write(typed_form(traced(kind, task, scenario)), task, scenario, tmp_path / "m.onnx", {})
    norms = [layer for layer in layer_costs(onnx.load(tmp_path / "m.onnx")) if layer.kind == "LayerNormalization"]
    assert len(norms) == 4
    halves, constants = 2 * 34 * 64 * 2, 2 * 64 * 4 + 4 + 8  # in and out; scale, bias, epsilon, axis
    assert {layer.bytes for layer in norms} == {halves + constants}


def test_what_is_held_while_a_layer_computes_is_what_was_made_and_is_still_read():
    nodes = [
        helper.make_node("Exp", ["x"], ["a"]),
        helper.make_node("Exp", ["a"], ["b"]),
        helper.make_node("Reshape", ["a", "flat"], ["v"]),  # a's own bytes
        helper.make_node("Exp", ["b"], ["c"]),
        helper.make_node("Concat", ["v", "z"], ["d"], axis=0),
        helper.make_node("Exp", ["c"], ["y"]),
    ]
    inputs, weights = {"x": (F, [4, 5]), "z": (F, [8])}, {"flat": np.array([20])}
    layers = layer_costs(model_of(nodes, inputs, weights, ("y", "d")))
    one, z, d = 4 * 20, 4 * 8, 4 * 28
    expected = {"Exp": [2 * one + z, 2 * one + z, 3 * one + z, 2 * one + d], "Reshape": [2 * one + z]}
    expected["Concat"] = [2 * one + z + d]
    for kind, held in expected.items():
        assert [layer.alive for layer in layers if layer.kind == kind] == held, kind
    assert [layer.weights for layer in layers if layer.kind == "Reshape"] == [8]


def test_the_most_that_is_held_is_less_than_all_and_more_than_any_layer_touches(lived_in, tmp_path):
    layers = layer_costs(exported(lived_in("dis2", TWO), TWO, "rgb+ndsm", "fp32", tmp_path / "m.onnx"))
    moved = [layer.bytes - layer.weights for layer in layers]
    assert max(moved) <= max(layer.alive for layer in layers) < sum(moved) / 4
    weights = sum(layer.weights for layer in layers)
    assert 0.9 < weights / (tmp_path / "m.onnx").stat().st_size < 1.1


def test_a_node_whose_shapes_cannot_be_told_is_named():
    node = helper.make_node("Strange", ["x"], ["y"], name="odd", domain="other")
    with pytest.raises(CheckpointError, match="node 'odd': the operator other::Strange is unknown"):
        layer_costs(model_of([node], {"x": (F, [2])}))


def test_quantize_leaves_costs_beside_each_file(trained, aerial, tmp_path):
    run = trained("early_fusion")
    done = quantize(run, run.recipe, aerial, tmp_path / "q", ["int8"])
    for row in json.loads((done.path / "quantized.json").read_text())["models"]:
        file = done.path / row["file"]
        assert read_costs(file.with_suffix(".costs.json")) == layer_costs(onnx.load(file))
