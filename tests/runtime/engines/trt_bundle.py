"""A bundle for a board with TensorRT, in miniature: linear classifiers of io `tensor`, with goldens.

`attention=True` puts our FusionAttention between sensors and logits, as a function with a body of plain operators.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from proven_bundle import make_proven
from tiny_bundle import NDSM, RGB, frames_of, task_of

from dis2_edge import bundle as bundles
from dis2_edge.bundle import Bundle, Golden, ModelRow
from dis2_edge.goldens import write_golden
from dis2_edge.prepare import normalise
from dis2_edge.scenario import sensors_of
from dis2_edge.task import Task
from dis2_runtime.engine import Answer
from dis2_runtime.kernels.decide import answer_of

TASK = task_of(RGB, NDSM, grid=(24, 48))
HEADS = 3


def make_trt(
    folder: Path,
    task: Task = TASK,
    *,
    precisions: tuple[str, ...] = ("fp16",),
    attention: bool = False,
    fallback: bool = True,
) -> Bundle:
    """A bundle at `folder` with `trt` rows, and with `fallback` the rows of ONNX Runtime beside them."""
    made = make_proven(folder, task, precisions=("int8",))
    rows = list(made.manifest.models) if fallback else []
    for scenario in task.scenarios:
        for precision in precisions:
            file = f"models/{scenario.replace('+', '-')}-{precision}-trt-tensor.onnx"
            onnx.save(tensor_model(task, scenario, attention), folder / file)
            rows.append(ModelRow(scenario, precision, "trt", "tensor", file, 0.99, 0.05, miou=0.7))  # type: ignore[arg-type]
    goldens = [Golden(f"seed{seed}", f"goldens/seed{seed}.npz") for seed in (1, 2)]
    for seed, golden in zip((1, 2), goldens, strict=True):
        frames = frames_of(task, seed)
        arrays = dict(np.load(folder / golden.file))
        for row in (row for row in rows if row.dialect == "trt"):
            answer = reference(folder / row.file, task, row.scenario, frames)
            arrays[f"{row.scenario}/{row.precision}/trt/mask"] = answer.mask
            arrays[f"{row.scenario}/{row.precision}/trt/confidence"] = answer.confidence
        write_golden(folder / golden.file, arrays)
    manifest = dataclasses.replace(made.manifest, models=tuple(rows), goldens=tuple(goldens), board="orin-nx-16gb")
    return bundles.write(folder, manifest)


def reference(file: Path, task: Task, scenario: str, frames: dict[str, np.ndarray]) -> Answer:
    """What the file says of `frames` under ONNX Runtime alone."""
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    feed = {sensor.name: normalise(frames[sensor.name], sensor)[None] for sensor in task.used(scenario)}
    return answer_of(session.run(["logits"], feed)[0][0])


def tensor_model(task: Task, scenario: str, attention: bool = False) -> onnx.ModelProto:
    """Normalised 1xCxHxW float32 of each sensor to `logits` 1x2xHxW float32, in FP16 between."""
    height, width = task.grid
    nodes, weights, scores = [], {}, []
    for sensor in task.used(scenario):
        name = sensor.name
        kernel = np.zeros((2, sensor.channels, 1, 1), np.float16)
        kernel[1] = 1 / sensor.channels
        weights[f"{name}_w"] = kernel
        nodes.append(helper.make_node("Cast", [name], [f"{name}_half"], to=TensorProto.FLOAT16, name=f"half_{name}"))
        nodes.append(helper.make_node("Conv", [f"{name}_half", f"{name}_w"], [f"{name}_score"], name=f"conv_{name}"))
        scores.append(f"{name}_score")
    nodes.append(helper.make_node("Sum", scores, ["sum"], name="sum"))
    last = "sum"
    if attention:
        weights |= {"rows": np.array([1, height, 2 * width]), "maps": np.array([1, 2, height, width])}
        weights["share"] = np.float16(0.25)
        nodes += [
            helper.make_node("Reshape", ["sum", "rows"], ["q"], name="rows"),
            helper.make_node("FusionAttention", ["q", "q", "q"], ["a"], "attend", domain="dis2_edge", heads=HEADS),
            helper.make_node("Mul", ["a", "share"], ["part"], name="part"),
            helper.make_node("Add", ["part", "q"], ["b"], name="residual"),
            helper.make_node("Reshape", ["b", "maps"], ["back"], name="maps"),
        ]
        last = "back"
    nodes.append(helper.make_node("Cast", [last], ["logits"], to=TensorProto.FLOAT, name="single"))
    shapes = {name: [1, task.sensor(name).channels, height, width] for name in sensors_of(scenario)}
    graph = helper.make_graph(
        nodes,
        "tensor",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 2, height, width])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    domains = [helper.make_opsetid("", 19), helper.make_opsetid("dis2_edge", 1)]
    functions = [_body(2 * width)] if attention else []
    return helper.make_model(graph, opset_imports=domains, ir_version=10, functions=functions)


def _body(width: int) -> onnx.FunctionProto:
    """FusionAttention in plain operators, for that width and `HEADS` heads."""
    size = width // HEADS
    split = helper.make_node("Constant", [], ["split"], value_ints=[0, 0, HEADS, size])
    joined = helper.make_node("Constant", [], ["joined"], value_ints=[0, 0, width])
    scale = helper.make_node("Constant", [], ["wide"], value_float=size**-0.5)
    nodes = [split, joined, scale, helper.make_node("CastLike", ["wide", "q"], ["scale"])]
    for name, order in (("q", (0, 2, 1, 3)), ("k", (0, 2, 3, 1)), ("v", (0, 2, 1, 3))):
        nodes.append(helper.make_node("Reshape", [name, "split"], [f"{name}_split"]))
        nodes.append(helper.make_node("Transpose", [f"{name}_split"], [f"{name}_heads"], perm=order))
    nodes += [
        helper.make_node("MatMul", ["q_heads", "k_heads"], ["products"]),
        helper.make_node("Mul", ["products", "scale"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["weights"], axis=-1),
        helper.make_node("MatMul", ["weights", "v_heads"], ["heads_out"]),
        helper.make_node("Transpose", ["heads_out"], ["out_split"], perm=(0, 2, 1, 3)),
        helper.make_node("Reshape", ["out_split", "joined"], ["out"]),
    ]
    opset = [helper.make_opsetid("", 19)]
    return helper.make_function("dis2_edge", "FusionAttention", ["q", "k", "v"], ["out"], nodes, opset, ["heads"])
