"""How near integer convolutions come to what this machine can do: operations a second against its measured peak."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from benchmarks.operators import Share
from dis2_quantize.costs import layer_costs

SHAPES = ((1, 64, 256, 256), (1, 32, 512, 512), (5, 32, 256, 256), (5, 64, 128, 128))
"""Batch, side, inputs and outputs of 3x3 convolutions that a kernel has no reason to be slow at."""
BETWEEN = ("QLinearAdd", "QLinearConcat", "Concat", "Slice", "Transpose")
"""What stands between integer convolutions in a file of the `ort` dialect."""
WARM_UP, RUNS = 3, 15


def peak_gops(threads: int) -> float:
    """The most 10^9 operations a second that ONNX Runtime's integer convolution reaches on any of `SHAPES`."""
    return max(_gops(*shape, threads) for shape in SHAPES)


def achieved_gops(file: Path, shares: Sequence[Share]) -> float:
    """Operations of the integer convolutions of `file` over the time of these and of what stands between them."""
    layers = layer_costs(onnx.load(file))
    operations = sum(layer.operations for layer in layers if layer.kind == "QLinearConv")
    ms = sum(share.ms for share in shares if share.kind in ("QLinearConv", *BETWEEN))
    return operations / ms / 1e6


def _gops(batch: int, side: int, inputs: int, outputs: int, threads: int) -> float:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    model = _convolution(batch, side, inputs, outputs)
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feed = {"x": np.zeros((batch, side, side, inputs), np.uint8)}
    taken_s = []
    for _ in range(WARM_UP + RUNS):
        start = time.perf_counter()
        session.run(None, feed)
        taken_s.append(time.perf_counter() - start)
    return 2 * 9 * batch * side**2 * inputs * outputs / float(np.median(taken_s[WARM_UP:])) / 1e9


def _convolution(batch: int, side: int, inputs: int, outputs: int) -> onnx.ModelProto:
    """One 3x3 QLinearConv, channels last, with weights of every size."""
    weights = np.random.default_rng(0).integers(-127, 128, (outputs, inputs, 3, 3)).astype(np.int8)
    held = {"w": weights, "ws": np.full(outputs, 1e-3, np.float32), "wz": np.zeros(outputs, np.int8)}
    held |= {"s": np.float32(0.1), "z": np.uint8(0), "b": np.zeros(outputs, np.int32)}
    names = ["x", "s", "z", "w", "ws", "wz", "s", "z", "b"]
    node = helper.make_node(
        "QLinearConv", names, ["y"], domain="com.microsoft", channels_last=1, kernel_shape=[3, 3], pads=[1] * 4
    )
    graph = helper.make_graph(
        [node],
        "peak",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [batch, side, side, inputs])],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, [batch, side, side, outputs])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in held.items()],
    )
    domains = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=domains, ir_version=10)
