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
from torch import fx
from torch.onnx.errors import UnsupportedOperatorError

from dis2_edge.errors import InternalError
from dis2_edge.files import write_bytes
from dis2_edge.sensors import Sensor
from dis2_edge.task import Task
from dis2_quantize.rounding import placement
from dis2_quantize.writing.ort.weave import weave
from dis2_quantize.writing.share import share_initializers
from dis2_quantize.writing.unknown import unknown_operators
from dis2_quantize.writing.wrap import FrameModel, FromFrames, fuse_attention

OPSET = 17
"""Within what ONNX Runtime 1.23 and TensorRT 10.3 read."""
IR_VERSION = 10


def export(network: fx.GraphModule, task: Task, scenario: str, file: Path, metadata: Mapping[str, str]) -> None:
    """Write `network` (FP32 or with fake quantisation) for `scenario` to `file`; `metadata` goes into the file too.

    Inputs are named by sensor; weights that are rounded are stored as int8.
    """
    sensors = task.used(scenario)
    network = placement.without_taps(network).cpu().eval()
    rounded = bool(placement.quantizers(network))
    flown = fuse_attention(weave(network, sensors) if rounded else FromFrames(network, sensors))
    frames = tuple(torch.zeros(*task.grid, sensor.channels, dtype=_traced_type(sensor)) for sensor in sensors)
    names = [sensor.name for sensor in sensors]
    model = traced(FrameModel(flown), frames, names, ["mask", "confidence"])
    _take_native_types(model, sensors)
    _say_sizes(model, task)
    share_initializers(model)
    model.ir_version = min(model.ir_version, IR_VERSION)
    describe(model, task, scenario, metadata)
    onnx.checker.check_model(model)
    write_bytes(file, model.SerializeToString(deterministic=True))


def describe(model: onnx.ModelProto, task: Task, scenario: str, metadata: Mapping[str, str]) -> None:
    """Let the file say what it reads and what it answers, beside `metadata`."""
    props = {"scenario": scenario, "classes": json.dumps(task.classes), "colours": json.dumps(task.colours)}
    props |= {"ignore": str(task.ignore), **metadata}
    onnx.helper.set_model_props(
        model, {**props, "sensors": json.dumps([dataclasses.asdict(sensor) for sensor in task.used(scenario)])}
    )


def traced(
    model: torch.nn.Module,
    frames: tuple[torch.Tensor, ...],
    names: list[str],
    answers: list[str],
    opset: int = OPSET,
) -> onnx.ModelProto:
    """The exporter's answer; an operator that it does not know raises ExportError, another fault InternalError.

    The tracing exporter is deprecated, but unlike its heir it keeps Q/DQ where they were placed.
    """
    with unknown_operators(model), warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        file = io.BytesIO()
        try:
            torch.onnx.export(
                model,
                frames,
                file,  # type: ignore[arg-type]  # it takes a buffer too, and a full disk has no part in it
                opset_version=opset,
                dynamo=False,
                autograd_inlining=False,  # the fused attention stands for a node; its body must not be traced
                input_names=names,
                output_names=answers,
            )
        except UnsupportedOperatorError:
            raise
        except Exception as cause:
            raise InternalError(f"the network cannot be exported: {cause}") from cause
        return onnx.load_from_string(file.getvalue())


def _traced_type(sensor: Sensor) -> torch.dtype:
    return torch.uint8 if sensor.dtype == "uint8" else torch.float32


def _say_sizes(model: onnx.ModelProto, task: Task) -> None:
    """Let each answer have the grid's size; behind some networks the exporter loses sight of it."""
    for value in model.graph.output:
        elements = value.type.tensor_type.elem_type
        value.CopyFrom(onnx.helper.make_tensor_value_info(value.name, elements, task.grid))


def _take_native_types(model: onnx.ModelProto, sensors: tuple[Sensor, ...]) -> None:
    """Let each input have its sensor's own dtype; what the exporter does not know is cast to float at once."""
    for value, sensor in zip(model.graph.input, sensors, strict=True):
        if sensor.dtype != "uint16":
            continue
        for node in model.graph.node:
            node.input[:] = [f"{sensor.name}_float" if name == sensor.name else name for name in node.input]
        cast = onnx.helper.make_node("Cast", [sensor.name], [f"{sensor.name}_float"], to=onnx.TensorProto.FLOAT)
        model.graph.node.insert(0, cast)
        value.type.tensor_type.elem_type = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(sensor.dtype))
