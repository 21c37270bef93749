"""Layer norms spelt out: the node's own answer, in FP32 within, at ends of either type."""

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator
from written import model_of

from dis2_quantize.writing.norms import spell_norms

RNG = np.random.default_rng(0)


def a_norm(kind, shift=True, **attributes):
    weights = {"w": RNG.normal(size=24).astype(kind), "b": RNG.normal(size=24).astype(kind)}
    node = onnx.helper.make_node("LayerNormalization", ["x", "w", "b"][: 2 + shift], ["y"], "n", **attributes)
    element = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    return model_of([node], {"x": (element, (1, 5, 24))}, dict(list(weights.items())[: 1 + shift]))


def exact(x, model, epsilon):
    w, *b = (onnx.numpy_helper.to_array(one).astype(np.float64) for one in model.graph.initializer)
    x = x.astype(np.float64)
    even = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + epsilon)
    return even * w + sum(b)


@pytest.mark.parametrize("kind", [np.float16, np.float32])
@pytest.mark.parametrize("shift", [True, False])
@pytest.mark.parametrize("attributes", [{}, {"axis": -1, "epsilon": 0.5}])
@pytest.mark.parametrize("size", [1.0, 3000.0])  # squares of the larger are beyond FP16
def test_it_answers_as_the_node_says(kind, shift, attributes, size):
    model = a_norm(kind, shift, **attributes)
    x = (RNG.normal(size=(1, 5, 24)) * size).astype(kind)
    wanted = exact(x, model, attributes.get("epsilon", 1e-5))
    spell_norms(model)
    assert not [node for node in model.graph.node if node.op_type == "LayerNormalization"]
    (found,) = ReferenceEvaluator(model).run(None, {"x": x})
    assert found.dtype == kind
    np.testing.assert_allclose(found, wanted, rtol=2e-3 if kind == np.float16 else 1e-4, atol=2e-3)


def test_nothing_is_computed_in_half():
    model = a_norm(np.float16)
    spell_norms(model)
    first, *within, last = model.graph.node
    assert (first.op_type, last.op_type) == ("Cast", "Cast")
    assert "Cast" not in {node.op_type for node in within}
    kinds = {tensor.data_type for tensor in model.graph.initializer}
    assert kinds == {onnx.TensorProto.FLOAT, onnx.TensorProto.INT64}


def test_a_norm_over_more_axes_stays():
    model = a_norm(np.float32, axis=1)
    before = model.SerializeToString()
    spell_norms(model)
    assert model.SerializeToString() == before
