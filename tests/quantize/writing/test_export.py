"""Export: a file says what its network says, its convolutions fuse to integers, its interface is the contract's."""

import json
from collections import Counter

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from small import ONE, THREE, TWO, frames_of

from dis2_edge.scenario import sensors_of
from dis2_quantize.rounding import placement
from dis2_quantize.rounding.fake import QuantConvUnit
from dis2_quantize.rounding.linear import QuantLinear
from dis2_quantize.rounding.stem import QuantStem
from dis2_quantize.writing.export import export
from dis2_quantize.writing.wrap import Normalise
from dis2_runtime.engines.onnx_runtime import open_model
from dis2_train.networks.blocks import ConvUnit

CASES = [
    ("dis2", TWO, "rgb+ndsm"),
    ("dis2", TWO, "ndsm"),
    ("early_fusion", THREE, "rgb+thermal"),
    ("single", ONE, "ndsm"),
    ("feature_mean", THREE, "rgb+thermal"),
]


def raw_frames(task):
    """HxWxC frames in each sensor's unit whose normalised form has structure."""
    frames = {}
    for name, x in frames_of(task).items():
        sensor = task.sensor(name)
        pixels = x[0].permute(1, 2, 0).numpy() * np.array(sensor.std) + np.array(sensor.mean)
        frames[name] = np.clip(pixels, sensor.valid_min, sensor.valid_max).astype(sensor.dtype)
    return frames


def graphs(network, task, scenario):
    """The plain and the rounded graph of one scenario, and normalised inputs."""
    raw = raw_frames(task)
    used = [task.sensor(name) for name in sensors_of(scenario)]
    inputs = [Normalise(sensor)(torch.from_numpy(raw[sensor.name].astype(np.float32))) for sensor in used]
    plain = placement.trace(network.deployable(scenario))
    rounded = placement.place(placement.trace(network.deployable(scenario)), "minmax", (), task.used(scenario))
    with torch.no_grad():
        rounded(*inputs)
    placement.freeze(rounded)
    return {"fp32": plain, "int8": rounded}, inputs, raw


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize(("kind", "task", "scenario"), CASES)
def test_a_file_answers_what_its_network_answers(lived_in, tmp_path, kind, task, scenario, precision):
    networks, inputs, raw = graphs(lived_in(kind, task), task, scenario)
    export(networks[precision], task, scenario, tmp_path / "m.onnx", {"recipe_hash": "abc"})
    answer = open_model(tmp_path / "m.onnx", threads=1).run(raw)
    with torch.no_grad():
        chances = networks[precision](*inputs).softmax(1)[0]
    least = 0.99 if precision == "int8" else 0.9999
    assert (answer.mask == chances.argmax(0).numpy()).mean() >= least
    error = np.abs(answer.confidence / 255 - chances.amax(0).numpy())
    assert np.quantile(error, 0.99) < (0.05 if precision == "int8" else 0.005)


@pytest.mark.parametrize(("kind", "task", "scenario"), CASES)
def test_integer_chains_are_whole_under_onnx_runtime(lived_in, tmp_path, kind, task, scenario):
    networks, _, _ = graphs(lived_in(kind, task), task, scenario)
    export(networks["int8"], task, scenario, tmp_path / "m.onnx", {})
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "fused.onnx")
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    ort.InferenceSession(tmp_path / "m.onnx", options, providers=["CPUExecutionProvider"])
    fused = onnx.load(tmp_path / "fused.onnx").graph
    kinds = Counter(node.op_type for node in fused.node)
    units = [type(module) for module in networks["int8"].modules()]
    assert kinds["QLinearConv"] == units.count(QuantConvUnit) + units.count(QuantStem)
    assert kinds["MatMulIntegerToFloat"] == units.count(QuantLinear)
    # In floating point: stems over other samples than bytes, and a head that reads a sum which no convolution reads.
    assert kinds["Conv"] + kinds["FusedConv"] == units.count(ConvUnit) + (kind == "feature_mean")
    assert kinds["MultiHeadAttention"] == (2 if kind in ("dis2", "single") else 0)
    assert not kinds["Resize"]  # the logits are so small here that products of matrices enlarge them


@pytest.mark.parametrize(("kind", "task", "scenario"), CASES)
def test_nothing_is_floating_point_between_integer_convolutions(lived_in, tmp_path, kind, task, scenario):
    """Between two integer convolutions lies no float but where an island or a first convolution makes it."""
    networks, _, _ = graphs(lived_in(kind, task), task, scenario)
    export(networks["int8"], task, scenario, tmp_path / "m.onnx", {})
    graph = onnx.load(tmp_path / "m.onnx").graph
    made = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        if node.op_type == "QLinearConv":
            source = made.get(node.input[0])
            while source is not None and source.op_type in MOVERS:
                source = made.get(source.input[0])
            if source is not None and source.op_type == "QuantizeLinear":
                assert not behind(made, source.input[0]) & {"QLinearConv"} or "attention" in source.input[0]


MOVERS = {"Transpose", "Reshape", "Concat", "Slice", "Unsqueeze", "QLinearAdd"}


def behind(made, name):
    """Kinds of node that `name` is made by, back to the first that computes with weights."""
    node = made.get(name)
    if node is None:
        return set()
    if node.op_type in ("QLinearConv", "Conv", "MatMulIntegerToFloat", "Gemm", "MatMul", "Softmax"):
        return {node.op_type}
    return set().union(*(behind(made, source) for source in node.input)) if node.input else set()


def test_the_file_keeps_the_contract(lived_in, tmp_path):
    networks, _, _ = graphs(lived_in("early_fusion", THREE), THREE, "rgb+ndsm+thermal")
    export(networks["int8"], THREE, "rgb+ndsm+thermal", tmp_path / "m.onnx", {"recipe_hash": "abc"})
    model = onnx.load(tmp_path / "m.onnx")
    assert model.ir_version <= 10
    assert all(entry.version <= 20 for entry in model.opset_import)
    assert [value.name for value in model.graph.input] == ["rgb", "ndsm", "thermal"]
    assert [value.name for value in model.graph.output] == ["mask", "confidence"]
    props = {entry.key: entry.value for entry in model.metadata_props}
    assert props["recipe_hash"] == "abc"
    assert props["scenario"] == "rgb+ndsm+thermal"
    assert json.loads(props["classes"]) == list(THREE.classes)
    assert json.loads(props["colours"]) == list(THREE.colours)
    assert props["ignore"] == "255"
    assert [sensor["name"] for sensor in json.loads(props["sensors"])] == ["rgb", "ndsm", "thermal"]


def test_integer_weights_take_a_quarter_of_the_bytes_and_equal_networks_give_equal_files(lived_in, tmp_path):
    sizes = {}
    for precision in ("fp32", "int8"):
        for turn in (1, 2):
            networks, _, _ = graphs(lived_in("early_fusion", THREE), THREE, "rgb")
            export(networks[precision], THREE, "rgb", tmp_path / f"{precision}{turn}.onnx", {})
        first, second = ((tmp_path / f"{precision}{turn}.onnx").read_bytes() for turn in (1, 2))
        assert first == second
        sizes[precision] = len(first)
    # So narrow a network has much that is filled up with zeros: 8 outputs to 16, and the first convolution.
    assert sizes["int8"] < 0.45 * sizes["fp32"]
