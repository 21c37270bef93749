"""What the fake TensorRT refuses as the real one would: each rule broken once, in a model that is else taken."""

from __future__ import annotations

import types

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.runtime.pretend.fake_plans import _runner
from tests.runtime.pretend.fake_rules import faults_of

HALF, SINGLE = np.float16, np.float32


def model(
    scale: float = 0.5, zero: int = 0, weight: type = HALF, size: int = 4, scale_type: type = HALF
) -> onnx.ModelProto:
    """x, rounded and back, times a constant, summed."""
    values = {
        "s": np.array(scale, scale_type),
        "z": np.array(zero, np.int8),
        "back": np.array(scale, HALF),
        "w": np.ones(4, weight),
        "axis": np.array([-1], np.int64),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], "q"),
        helper.make_node("DequantizeLinear", ["q", "back", "z"], ["d"], "d"),
        helper.make_node("Mul", ["d", "w"], ["m"], "m"),
        helper.make_node("ReduceSum", ["m", "axis"], ["y"], "r"),
    ]
    graph = helper.make_graph(
        nodes,
        "rules",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT16, [1, size or "n"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT16, None)],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=10)


def test_a_lawful_model_is_taken() -> None:
    assert not list(faults_of(model()))


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (model(scale=0.0), "must all be positive"),
        (model(zero=3), "only supports symmetric"),
        (model(weight=SINGLE), "inputs must have the same type"),
        (model(scale_type=SINGLE), "input and scale must have the same type"),
        (model(size=0), "no optimization profile"),
    ],
)
def test_a_broken_rule_is_told(broken: onnx.ModelProto, message: str) -> None:
    assert any(message in text for _, _, text in faults_of(broken))


def test_axes_that_are_computed_are_refused() -> None:
    computed = model()
    computed.graph.node.insert(0, helper.make_node("Identity", ["axis"], ["axes"], "i"))
    computed.graph.node[-1].input[1] = "axes"
    assert [node for node, _, _ in faults_of(computed)] == ["r"]


def test_the_fake_rounds_half_precision_as_tensorrt_does_and_not_as_onnx_runtime() -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], "q"),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["logits"], "d"),
    ]
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT16, [1, 6]) for name in ("x", "logits")]
    values = {"s": np.array(0.5, HALF), "z": np.array(0, np.int8)}
    constants = [numpy_helper.from_array(value, name) for name, value in values.items()]
    graph = helper.make_graph(nodes, "half", ports[:1], ports[1:], constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=10).SerializeToString()
    x = np.array([[0.24, 0.26, 0.74, -0.26, -0.74, 1.2]], HALF)
    world = types.SimpleNamespace(registry=types.SimpleNamespace(creators={}))
    (found,) = _runner(world, made)({"x": x})
    assert np.array_equal(found, np.rint(x.astype(SINGLE) / 0.5).astype(HALF) * HALF(0.5))
