"""A file that TensorRT's rules have nothing against, and ways to change it."""

import json

import numpy as np
from onnx import TensorProto, helper, numpy_helper

H = TensorProto.FLOAT16
RGB = {"name": "rgb", "kind": "optical", "channels": 3}
PROPS = {"scenario": "rgb", "classes": '["road"]', "colours": '["#000000"]', "ignore": "255", "recipe_hash": "abc"}


def q(made, name, scale="s"):
    """Q and DQ behind the tensor `made`, ending in `name`."""
    return [
        helper.make_node("QuantizeLinear", [made, scale, "z"], [f"{name}_q"], name=f"q_{name}"),
        helper.make_node("DequantizeLinear", [f"{name}_q", scale, "z"], [name], name=f"dq_{name}"),
    ]


def lawful():
    """A strongly typed FP16 file with an FP16 stem, an integer block with a residual, a concatenation and a head."""
    random = np.random.default_rng(0)
    weights = {
        "s": np.float16(0.1),
        "s2": np.float16(0.2),
        "z": np.int8(0),
        "stem_w": random.normal(size=(16, 3, 3, 3)).astype(np.float16),
        "conv_w": random.integers(-9, 9, (16, 16, 3, 3)).astype(np.int8),
        "conv_s": np.full(16, 0.1, np.float16),
        "conv_z": np.zeros(16, np.int8),
        "up_w": random.integers(-9, 9, (32, 4, 2, 2)).astype(np.int8),
        "up_s": np.full(4, 0.1, np.float16),
        "head_w": random.normal(size=(1, 4, 1, 1)).astype(np.float16),
    }
    nodes = [
        helper.make_node("Conv", ["rgb", "stem_w"], ["stem"], name="stem", pads=[1] * 4),
        *q("stem", "a"),
        helper.make_node("DequantizeLinear", ["conv_w", "conv_s", "conv_z"], ["conv_wf"], name="dq_conv_w", axis=0),
        helper.make_node("Conv", ["a", "conv_wf"], ["conv"], name="conv", pads=[1] * 4),
        helper.make_node("Add", ["conv", "a"], ["sum"], name="sum"),
        helper.make_node("Relu", ["sum"], ["relu"], name="relu"),
        *q("relu", "b"),
        helper.make_node("Concat", ["a", "b"], ["both"], name="both", axis=1),
        *q("both", "c"),
        helper.make_node("DequantizeLinear", ["up_w", "up_s"], ["up_wf"], name="dq_up_w", axis=1),
        helper.make_node("ConvTranspose", ["c", "up_wf"], ["up"], name="up", strides=[2, 2]),
        helper.make_node("Softmax", ["up"], ["soft"], name="soft", axis=1),
        helper.make_node("Conv", ["soft", "head_w"], ["logits"], name="head"),
    ]
    graph = helper.make_graph(
        nodes,
        "lawful",
        [helper.make_tensor_value_info("rgb", H, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("logits", H, [1, 1, 16, 16])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=10)
    helper.set_model_props(model, {**PROPS, "sensors": json.dumps([RGB])})
    return model


def node(model, name):
    return next(entry for entry in model.graph.node if entry.name == name)


def weight(model, name, array):
    """Put `array` in the place of the weight `name`, or beside the others."""
    for tensor in model.graph.initializer:
        if tensor.name == name:
            tensor.CopyFrom(numpy_helper.from_array(array, name))
            return
    model.graph.initializer.append(numpy_helper.from_array(array, name))


def insert(model, before, *nodes):
    """Put `nodes` before the node named `before`."""
    place = next(at for at, entry in enumerate(model.graph.node) if entry.name == before)
    for entry in reversed(nodes):
        model.graph.node.insert(place, entry)


def prop(model, key, value):
    next(entry for entry in model.metadata_props if entry.key == key).value = value
