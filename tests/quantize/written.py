"""Small ONNX files written node by node, and files of our own exporter."""

import onnx
import torch
from onnx import helper, numpy_helper
from small import frames_of

from dis2_edge.scenario import sensors_of
from dis2_quantize.rounding import placement
from dis2_quantize.writing.export import export


def model_of(nodes, inputs, weights=(), outputs=("y",), functions=()):
    """A model of opset 19 with inputs {name: (type, shape)}, weights {name: array} and untyped outputs."""
    graph = helper.make_graph(
        list(nodes),
        "small",
        [helper.make_tensor_value_info(name, *typed) for name, typed in inputs.items()],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in dict(weights).items()],
    )
    domains = [helper.make_opsetid(*entry) for entry in (("", 19), ("com.microsoft", 1), ("dis2_edge", 1))]
    return helper.make_model(graph, opset_imports=domains, functions=list(functions), ir_version=10)


def exported(network, task, scenario, precision, file):
    """What our exporter writes of `network` for the engine of `host`, calibrated on one frame."""
    graph = placement.trace(network.deployable(scenario))
    if precision == "int8":
        graph = placement.place(graph, "minmax")
        frames = frames_of(task)
        with torch.no_grad():
            graph(*(frames[name] for name in sensors_of(scenario)))
        placement.freeze(graph)
    export(graph, task, scenario, file, {"recipe_hash": "abc"})
    return onnx.load(file)
