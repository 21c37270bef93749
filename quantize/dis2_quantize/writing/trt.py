"""Write one scenario's network as an ONNX file of the `trt` dialect, io `tensor`: strongly typed, for TensorRT.

Inputs are named by sensor: normalised 1xCxHxW float32, cast to FP16 by the first node. FP32 at the border keeps one
interface for every precision, is what `dis2_edge.prepare.normalise` gives, and lets a sensor's first convolution be an
FP32 island without being fed numbers that were rounded before. The one output, `logits` 1xKxHxW, is float32 again.
Both attentions are nodes of the domain `dis2_edge` with a body of plain operators (`dis2_quantize.writing.functions`).
Opset 19 is the first whose QuantizeLinear takes FP16 values and scales; it lies within what TensorRT 10.3 reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import onnx
import torch
from torch import fx

from dis2_edge.errors import InternalError
from dis2_edge.files import write_bytes
from dis2_edge.task import Task
from dis2_quantize.writing.calls import with_calls
from dis2_quantize.writing.export import IR_VERSION, describe, traced
from dis2_quantize.writing.fold import fold_constants, share_names
from dis2_quantize.writing.functions import append_functions, declare_answers
from dis2_quantize.writing.integers import store_integers
from dis2_quantize.writing.norms import spell_norms
from dis2_quantize.writing.strict import type_strictly

OPSET = 19


def write(form: fx.GraphModule, task: Task, scenario: str, file: Path, metadata: Mapping[str, str]) -> None:
    """Write `form` (`dis2_quantize.rounding.form.typed_form`) for `scenario` to `file`, whole or not at all.

    The file is FP16, or INT8 where the form holds rounding; `metadata` goes into it. InternalError where the result is
    not a valid, wholly typed model of static shapes.
    """
    sensors = task.used(scenario)
    frames = tuple(torch.zeros(1, sensor.channels, *task.grid) for sensor in sensors)
    model = traced(with_calls(form), frames, [sensor.name for sensor in sensors], ["logits"], OPSET)
    append_functions(model)
    share_names(model.graph)
    store_integers(model)
    fold_constants(model)
    type_strictly(model)
    spell_norms(model)
    declare_answers(model)
    model.ir_version = min(model.ir_version, IR_VERSION)
    describe(model, task, scenario, {**metadata, "dialect": "trt", "io": "tensor"})
    _check(model)
    write_bytes(file, model.SerializeToString(deterministic=True))


def _check(model: onnx.ModelProto) -> None:
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as cause:
        raise InternalError(f"the file of the trt dialect is not a valid model: {cause}") from cause
