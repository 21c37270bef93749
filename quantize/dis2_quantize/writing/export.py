"""Write one scenario's network as an ONNX file of the `ort` dialect, io `frame`."""

from __future__ import annotations

import dataclasses
import io
import json
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import fx
from torch.onnx.errors import UnsupportedOperatorError

from dis2_edge.errors import InternalError
from dis2_edge.files import write_bytes
from dis2_edge.sensors import Sensor
from dis2_edge.task import Task
from dis2_quantize.rounding import placement
from dis2_quantize.writing.unknown import unknown_operators
from dis2_quantize.writing.wrap import FrameModel, fuse_attention

OPSET = 17
"""Within what ONNX Runtime 1.23 and TensorRT 10.3 read."""
IR_VERSION = 10


def export(network: fx.GraphModule, task: Task, scenario: str, file: Path, metadata: Mapping[str, str]) -> None:
    """Write `network` (FP32 or with fake quantisation) for `scenario` to `file`; `metadata` goes into the file too.

    Inputs are named by sensor; weights that are rounded are stored as int8.
    """
    sensors = task.used(scenario)
    network = fuse_attention(placement.without_taps(network)).cpu().eval()
    frames = tuple(torch.zeros(*task.grid, sensor.channels) for sensor in sensors)
    model = _traced(FrameModel(network, sensors), frames, [sensor.name for sensor in sensors])
    _take_native_types(model, sensors)
    _store_integers(model)
    model.ir_version = min(model.ir_version, IR_VERSION)
    props = {"scenario": scenario, "classes": json.dumps(task.classes), "colours": json.dumps(task.colours)}
    props |= {"ignore": str(task.ignore), **metadata}
    onnx.helper.set_model_props(
        model, {**props, "sensors": json.dumps([dataclasses.asdict(sensor) for sensor in sensors])}
    )
    onnx.checker.check_model(model)
    write_bytes(file, model.SerializeToString(deterministic=True))


def _traced(model: FrameModel, frames: tuple[torch.Tensor, ...], names: list[str]) -> onnx.ModelProto:
    """The exporter's answer; an operator that it does not know raises ExportError, another fault InternalError.

    The tracing exporter is deprecated, but unlike its heir it keeps Q/DQ where they were placed.
    """
    with unknown_operators(model), warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        file = io.BytesIO()
        names_out = ["mask", "confidence"]
        try:
            torch.onnx.export(
                model,
                frames,
                file,  # type: ignore[arg-type]  # it takes a buffer too, and a full disk has no part in it
                opset_version=OPSET,
                dynamo=False,
                autograd_inlining=False,  # the fused attention stands for a node; its body must not be traced
                input_names=names,
                output_names=names_out,
            )
        except UnsupportedOperatorError:
            raise
        except Exception as cause:
            raise InternalError(f"the network cannot be exported: {cause}") from cause
        return onnx.load_from_string(file.getvalue())


def _take_native_types(model: onnx.ModelProto, sensors: tuple[Sensor, ...]) -> None:
    """Let each input have its sensor's own dtype, cast to float at once; the exporter itself knows no uint16."""
    for value, sensor in zip(model.graph.input, sensors, strict=True):
        if sensor.dtype == "float32":
            continue
        for node in model.graph.node:
            node.input[:] = [f"{sensor.name}_float" if name == sensor.name else name for name in node.input]
        cast = onnx.helper.make_node("Cast", [sensor.name], [f"{sensor.name}_float"], to=onnx.TensorProto.FLOAT)
        model.graph.node.insert(0, cast)
        value.type.tensor_type.elem_type = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(sensor.dtype))


def _store_integers(model: onnx.ModelProto) -> None:
    """Replace each rounded weight's QuantizeLinear by the integers it gives: a quarter of the bytes."""
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    constants = {node.output[0]: node.attribute[0].t for node in graph.node if node.op_type == "Constant"}
    values = {**constants, **weights}
    for node in [node for node in graph.node if node.op_type == "QuantizeLinear" and node.input[0] in weights]:
        weight, scale = (numpy_helper.to_array(values[name]) for name in node.input[:2])
        axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)
        shape = [-1 if place == axis else 1 for place in range(weight.ndim)]
        rounded = np.rint(weight / scale.reshape(shape)).clip(-127, 127).astype(np.int8)
        graph.initializer.append(numpy_helper.from_array(rounded, node.output[0]))
        graph.node.remove(node)
        graph.initializer.remove(weights.pop(node.input[0]))
