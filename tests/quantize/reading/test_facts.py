"""Facts: shapes through foreign operators, functions and arithmetic on shapes; what cannot be told is a gap."""

import numpy as np
import pytest
from onnx import TensorProto, helper
from written import model_of

from dis2_quantize.reading.facts import gather

U8, I8, F, H = TensorProto.UINT8, TensorProto.INT8, TensorProto.FLOAT, TensorProto.FLOAT16
MS = "com.microsoft"


ONE, ZERO = np.float32(1), np.uint8(0)


def quantised(kind, weight, **attributes):
    """A node of integers with a weight: x, scale, zero, w, scale, zero, scale, zero."""
    weights = {"s": ONE, "z": ZERO, "w": weight}
    names = ["x", "s", "z", "w", "s", "z", "s", "z"]
    return helper.make_node(kind, names, ["y"], domain=MS, **attributes), weights


W = np.zeros((6, 4, 3, 3), np.int8)
CASES = {
    "conv": (*quantised("QLinearConv", W, pads=[1] * 4), {"x": (U8, [1, 4, 8, 10])}, (U8, (1, 6, 8, 10))),
    "conv, channels last": (
        *quantised("QLinearConv", W, pads=[1] * 4, strides=[2, 2], channels_last=1),
        {"x": (U8, [1, 8, 10, 4])},
        (U8, (1, 4, 5, 6)),
    ),
    "sum": (*quantised("QLinearAdd", np.zeros((1, 4, 1, 1), np.uint8)), {"x": (U8, [2, 4, 3, 3])}, (U8, (2, 4, 3, 3))),
    "concat": (
        helper.make_node("QLinearConcat", ["s", "z", "x", "s", "z", "x", "s", "z"], ["y"], domain=MS, axis=1),
        {"s": ONE, "z": ZERO},
        {"x": (I8, [1, 3, 2, 2])},
        (I8, (1, 6, 2, 2)),
    ),
    "matrix product to float": (
        helper.make_node("MatMulIntegerToFloat", ["x", "w", "s", "s"], ["y"], domain=MS),
        {"w": np.zeros((5, 7), np.int8), "s": ONE},
        {"x": (U8, [2, 9, 5])},
        (F, (2, 9, 7)),
    ),
    "gemm to float": (
        helper.make_node("QGemm", ["x", "s", "z", "w", "s", "z"], ["y"], domain=MS, transB=1),
        {"w": np.zeros((7, 5), np.uint8), "s": ONE, "z": ZERO},
        {"x": (U8, [9, 5])},
        (F, (9, 7)),
    ),
    "attention": (
        helper.make_node("MultiHeadAttention", ["x", "k", "v"], ["y"], domain=MS, num_heads=2),
        {},
        {"x": (H, [1, 9, 8]), "k": (H, [1, 5, 8]), "v": (H, [1, 5, 12])},
        (H, (1, 9, 12)),
    ),
    "attention of ours": (
        helper.make_node("FusionAttention", ["x", "k", "k"], ["y"], domain="dis2_edge", heads=2),
        {},
        {"x": (H, [1, 9, 8]), "k": (H, [1, 5, 8])},
        (H, (1, 9, 8)),
    ),
    "class maps": (
        helper.make_node("ClasswiseAttention", ["x", "k"], ["y"], domain="dis2_edge"),
        {"k": np.zeros((5, 8), np.float16)},
        {"x": (H, [2, 8, 3, 7])},
        (H, (10, 8, 3, 7)),
    ),
    "product, turned": (
        helper.make_node("FusedMatMul", ["x", "k"], ["y"], domain=MS, transB=1),
        {},
        {"x": (F, [2, 9, 5]), "k": (F, [7, 5])},
        (F, (2, 9, 7)),
    ),
    "pooling, channels last": (
        helper.make_node("NhwcMaxPool", ["x"], ["y"], domain=MS, kernel_shape=[2, 2], strides=[2, 2]),
        {},
        {"x": (U8, [1, 8, 6, 3])},
        (U8, (1, 4, 3, 3)),
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_foreign_operators_have_types_and_shapes(case):
    node, weights, inputs, expected = case
    facts = gather(model_of([node], inputs, weights))
    assert not facts.gaps
    assert (facts["y"].dtype, facts["y"].shape) == expected


def test_arithmetic_on_shapes_is_computed_and_what_it_feeds_is_fixed_in_shape_only():
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "first"], ["rows"]),
        helper.make_node("Concat", ["rows", "rest"], ["target"], axis=0),
        helper.make_node("Reshape", ["x", "target"], ["y"]),
    ]
    weights = {"first": np.array([0]), "rest": np.array([-1])}
    facts = gather(model_of(nodes, {"x": (F, [2, 3, 4])}, weights))
    assert facts["target"].value.tolist() == [2, -1]
    assert facts["y"].shape == (2, 12)
    assert facts["target"].fixed
    assert not facts["y"].fixed


def test_a_function_of_the_file_is_written_out():
    body = [helper.make_node("MatMul", ["a", "b"], ["c"]), helper.make_node("Softmax", ["c"], ["d"])]
    function = helper.make_function("dis2_edge", "Weigh", ["a", "b"], ["d"], body, [helper.make_opsetid("", 19)])
    node = helper.make_node("Weigh", ["x", "k"], ["y"], name="weigh", domain="dis2_edge")
    facts = gather(model_of([node], {"x": (H, [2, 4]), "k": (H, [4, 6])}, functions=[function]))
    assert [node.op_type for node in facts.model.graph.node] == ["MatMul", "Softmax"]
    assert (facts["y"].dtype, facts["y"].shape) == (H, (2, 6))


def test_a_function_that_stays_whole_is_a_node_and_others_are_written_out():
    opsets = [helper.make_opsetid("", 19)]
    nodes, bodies = [], []
    for name, kind in (("FusionAttention", "Mean"), ("Other", "Neg")):
        inputs = ["q", "k", "v"] if kind == "Mean" else ["q"]
        body = [helper.make_node(kind, inputs, ["out"])]
        bodies.append(helper.make_function("dis2_edge", name, inputs, ["out"], body, opsets))
        given = ["x"] * 3 if kind == "Mean" else ["a"]
        nodes.append(helper.make_node(name, given, ["a" if kind == "Mean" else "y"], domain="dis2_edge"))
    model = model_of(nodes, {"x": (H, [1, 2, 4])}, functions=bodies)
    facts = gather(model, [("dis2_edge", "FusionAttention")])
    assert [node.op_type for node in facts.model.graph.node] == ["FusionAttention", "Neg"]
    assert not facts.gaps
    assert (facts["y"].dtype, facts["y"].shape) == (H, (1, 2, 4))


@pytest.mark.parametrize(
    ("node", "shape", "reason"),
    [
        (helper.make_node("Strange", ["x"], ["y"], name="odd", domain="other"), [2], "other::Strange is unknown"),
        (
            helper.make_node("Strange", ["x"], ["y"], name="odd", domain="dis2_edge"),
            [2],
            "dis2_edge::Strange is unknown",
        ),
        (helper.make_node("ClasswiseAttention", ["x"], ["y"], name="odd", domain="dis2_edge"), [2], "none of a"),
        (helper.make_node("NonZero", ["x"], ["y"], name="odd"), [2], "not fixed"),
        (helper.make_node("Relu", ["x"], ["y"], name="odd"), ["n", 2], "nothing is known of its input x"),
        (helper.make_node("Relu", ["x"], ["y"], name="odd"), None, "nothing is known of its input x"),
        (helper.make_node("QLinearConv", ["x"], ["y"], name="odd", domain=MS), [2], "none of a QLinearConv"),
    ],
)
def test_what_cannot_be_told_is_a_gap_with_its_reason(node, shape, reason):
    facts = gather(model_of([node], {"x": (F, shape)}))
    ((found, told),) = facts.gaps
    assert found.name == "odd"
    assert reason in told
    assert "y" not in facts
