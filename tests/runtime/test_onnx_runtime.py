"""The ONNX Runtime engine: what it refuses first, then that its answers are the model's, in every scenario."""

from __future__ import annotations

import importlib
import os
import time

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from tiny_bundle import HEAT, NDSM, RGB, expected, frames_of, linear_model, make_bundle, task_of

from dis2_edge.bundle import Bundle
from dis2_edge.errors import EngineError
from dis2_runtime.engine import Answer
from dis2_runtime.engines import onnx_runtime, open_engine
from dis2_runtime.engines.onnx_runtime import open_model


@pytest.fixture
def model(tmp_path):
    """The camera-and-height model, opened on its own."""
    task = task_of(RGB, NDSM)
    onnx.save(linear_model(task, task.full), tmp_path / "m.onnx")
    return open_model(tmp_path / "m.onnx", threads=1)


def test_scenario_that_is_not_served_is_refused(two: Bundle) -> None:
    with open_engine(two, threads=1) as engine, pytest.raises(EngineError, match="scenario 'rbg' is not served"):
        engine.infer("rbg", {})


def test_precision_that_the_bundle_lacks_names_the_one_it_has(tmp_path) -> None:
    bundle = make_bundle(tmp_path / "b", task_of(RGB, NDSM), precisions=("fp32",))
    with pytest.raises(EngineError, match=r"no int8 model.*try --precision fp32"):
        open_engine(bundle)


@pytest.mark.parametrize("content", [b"", b"no model at all", b"\x08\x0a"])
def test_broken_model_file_is_an_engine_error(tmp_path, content) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(EngineError, match=r"m\.onnx"):
        open_model(tmp_path / "m.onnx")


def test_absent_model_file_is_an_engine_error(tmp_path) -> None:
    with pytest.raises(EngineError, match=r"m\.onnx cannot be loaded"):
        open_model(tmp_path / "m.onnx")


def test_operator_that_nobody_knows_is_an_engine_error(tmp_path) -> None:
    task = task_of(RGB)
    graph = linear_model(task, "rgb")
    graph.graph.node[0].domain = "nobody"
    graph.opset_import.append(helper.make_opsetid("nobody", 1))
    onnx.save(graph, tmp_path / "m.onnx")
    with pytest.raises(EngineError, match=r"m\.onnx cannot be loaded"):
        open_model(tmp_path / "m.onnx")


def test_failure_inside_the_graph_is_an_engine_error(tmp_path) -> None:
    values = [helper.make_tensor_value_info(n, TensorProto.UINT8, [8, 8]) for n in ("heat", "mask", "confidence")]
    nodes = [
        helper.make_node("Cast", ["heat"], ["index"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "index"], ["mask"]),  # a table of 4: any value above 3 fails
        helper.make_node("Identity", ["mask"], ["confidence"]),
    ]
    table = numpy_helper.from_array(np.arange(4, dtype=np.uint8), "table")
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], [table])
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), tmp_path / "m.onnx")
    model = open_model(tmp_path / "m.onnx", threads=1)
    with pytest.raises(EngineError, match=r"m\.onnx failed while running"):
        model.run({"heat": np.full((8, 8), 200, np.uint8)})


def test_model_of_another_io_is_refused(tmp_path) -> None:
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 3, 8, 8]) for n in ("x", "logits")]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["logits"])], "g", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(EngineError, match="expected mask and confidence"):
        open_model(tmp_path / "m.onnx")


def test_missing_frame_is_named(model) -> None:
    with pytest.raises(EngineError, match=r"no frame for input 'ndsm'; expected 24x32x1 float32"):
        model.run({"rgb": np.zeros((24, 32, 3), np.uint8)})


@pytest.mark.parametrize(
    ("frame", "found"),
    [
        (np.zeros((24, 31, 3), np.uint8), "24x31x3 uint8"),
        (np.zeros((24, 32, 3), np.float32), "24x32x3 float32"),
        (np.zeros((24, 32), np.uint8), "24x32 uint8"),
    ],
)
def test_frame_that_does_not_fit_is_named(model, frame, found) -> None:
    frames = frames_of(task_of(RGB, NDSM)) | {"rgb": frame}
    with pytest.raises(EngineError, match=f"input 'rgb' is {found}; expected 24x32x3 uint8"):
        model.run(frames)


def test_buffer_of_another_size_is_never_written(model) -> None:
    with pytest.raises(EngineError, match="buffer 'mask'"):
        model.run(frames_of(task_of(RGB, NDSM)), into=Answer.empty(8, 8))


def test_every_failure_of_the_installed_onnx_runtime_is_mapped() -> None:
    state = importlib.import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    own = {n for n, v in vars(state).items() if isinstance(v, type) and issubclass(v, Exception)}
    assert own <= set(onnx_runtime.FAILURES)


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_answers_are_those_of_the_model_in_every_scenario(three: Bundle, precision) -> None:
    task = three.manifest.task
    with open_engine(three, precision, threads=1) as engine:
        assert engine.scenarios == task.scenarios
        for seed, scenario in enumerate(task.scenarios):
            frames = frames_of(task, seed)
            answer = engine.infer(scenario, frames)
            np.testing.assert_array_equal(answer.mask, expected(task, scenario, frames))
            assert answer.confidence.min() >= 127


def test_answers_are_not_overwritten_by_the_next_one(model) -> None:
    task = task_of(RGB, NDSM)
    first = model.run(frames_of(task, 1))
    kept = first.mask.copy()
    model.run(frames_of(task, 2))
    np.testing.assert_array_equal(first.mask, kept)


def test_given_buffers_are_filled_and_views_of_frames_are_accepted(model) -> None:
    task = task_of(RGB, NDSM)
    frames = frames_of(task, 3)
    turned = {name: np.asfortranarray(frame) for name, frame in frames.items()}
    buffer = Answer.empty(*task.grid)
    assert model.run(turned, into=buffer) is buffer
    np.testing.assert_array_equal(buffer.mask, expected(task, task.full, frames))


def test_other_sessions_in_the_process_keep_their_freedom(three: Bundle, tmp_path) -> None:
    onnx.save(linear_model(task_of(RGB), "rgb"), tmp_path / "m.onnx")
    with open_engine(three, threads=2):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 3
        session = onnxruntime.InferenceSession(str(tmp_path / "m.onnx"), options, providers=["CPUExecutionProvider"])
        assert session.run(["mask"], {"rgb": np.zeros((24, 32, 3), np.uint8)})[0].shape == (24, 32)


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one core has no second thread to spin")
def test_idle_threads_leave_the_cores_alone(three: Bundle) -> None:
    with open_engine(three, threads=2) as engine:
        engine.infer("heat", frames_of(three.manifest.task))
        before = time.process_time()
        time.sleep(0.1)
        assert time.process_time() - before < 0.02


def test_sensors_are_named_by_the_file(model) -> None:
    assert set(model.inputs) == {"rgb", "ndsm"}
    assert HEAT.name not in model.inputs
