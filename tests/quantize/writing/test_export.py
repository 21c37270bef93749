"""Export: a file says what its network says, its convolutions fuse to integers, its interface is the contract's."""

import json

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from small import ONE, THREE, TWO, frames_of

from dis2_edge.scenario import sensors_of
from dis2_quantize.rounding import placement
from dis2_quantize.writing.export import export
from dis2_quantize.writing.wrap import normalised
from dis2_runtime.engines.onnx_runtime import open_model

CASES = [
    ("dis2", TWO, "rgb+ndsm"),
    ("dis2", TWO, "ndsm"),
    ("early_fusion", THREE, "rgb+thermal"),
    ("single", ONE, "ndsm"),
    ("feature_mean", THREE, "rgb+thermal"),
]
STEMS = {"dis2": 2, "early_fusion": 1, "single": 1, "feature_mean": 4}


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
    inputs = [normalised(torch.from_numpy(raw[sensor.name].astype(np.float32)), sensor) for sensor in used]
    plain = placement.trace(network.deployable(scenario))
    rounded = placement.place(placement.trace(network.deployable(scenario)), "minmax")
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
    kinds = [node.op_type for node in onnx.load(tmp_path / "fused.onnx").graph.node]
    written = [node.op_type for node in onnx.load(tmp_path / "m.onnx").graph.node]
    stems = STEMS[kind]
    assert kinds.count("QLinearConv") == written.count("Conv") - stems - 1  # all but the stems and the head
    assert kinds.count("Conv") + kinds.count("FusedConv") == stems + 1
    assert written.count("MultiHeadAttention") == (2 if kind in ("dis2", "single") else 0)


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
    assert sizes["int8"] < 0.4 * sizes["fp32"]
