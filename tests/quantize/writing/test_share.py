"""What is equal is stored once, and nothing that is computed changes."""

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper
from written import model_of

from dis2_quantize.writing.share import share_initializers

X = {"x": (TensorProto.FLOAT, [2, 3])}


def answer(model, x):
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


def test_equal_tensors_become_one_and_others_stay():
    weights = {
        "one": np.eye(3, dtype=np.float32),
        "twin": np.eye(3, dtype=np.float32),
        "flat": np.eye(3, dtype=np.float32).reshape(1, 9),
        "whole": np.eye(3, dtype=np.int64),
        "other": 2 * np.eye(3, dtype=np.float32),
    }
    nodes = [
        helper.make_node("MatMul", ["x", "one"], ["a"]),
        helper.make_node("MatMul", ["a", "twin"], ["b"]),
        helper.make_node("MatMul", ["b", "other"], ["c"]),
        helper.make_node("ReduceSum", ["whole"], ["n"]),
        helper.make_node("Cast", ["n"], ["m"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["flat"], ["f"]),
        helper.make_node("Add", ["c", "m"], ["d"]),
        helper.make_node("Add", ["d", "f"], ["y"]),
    ]
    model = model_of(nodes, X, weights)
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    before = answer(model, x)
    share_initializers(model)
    assert [tensor.name for tensor in model.graph.initializer] == ["one", "flat", "whole", "other"]
    assert model.graph.node[1].input[1] == "one"
    assert np.array_equal(answer(model, x), before)


def test_numbers_that_are_equal_but_not_the_same_bytes_stay_apart():
    nodes = [helper.make_node("Add", ["x", "plus"], ["a"]), helper.make_node("Div", ["a", "minus"], ["y"])]
    model = model_of(nodes, X, {"plus": np.float32([0.0, 0.0, 0.0]), "minus": np.float32([-0.0, -0.0, -0.0])})
    share_initializers(model)
    assert len(model.graph.initializer) == 2


def test_an_identity_of_a_weight_goes_and_one_of_a_value_or_an_answer_stays():
    nodes = [
        helper.make_node("Identity", ["w"], ["copy"]),
        helper.make_node("Identity", ["copy"], ["again"]),
        helper.make_node("Identity", ["x"], ["same"]),
        helper.make_node("Add", ["same", "again"], ["y"]),
        helper.make_node("Identity", ["w"], ["z"]),
    ]
    model = model_of(nodes, X, {"w": np.float32([1, 2, 3])}, outputs=("y", "z"))
    x = np.ones((2, 3), np.float32)
    before = answer(model, x)
    share_initializers(model)
    assert [node.output[0] for node in model.graph.node] == ["same", "y", "z"]
    assert np.array_equal(answer(model, x), before)
