"""Run a model file of io `tensor` with ONNX Runtime: raw frames in, mask and confidence out, as for io `frame`.

ONNX Runtime up to 1.29 cuts off where QuantizeLinear should round, if its input is FP16 (issue 18576, mended by pull
request 32452), and fuses FP16 Q/DQ to integer operators that do not take them. So the file is read, every FP16
QuantizeLinear is given its very numbers in FP32, where rounding is right, and nothing is fused. Otherwise the file is
run as it is; what ONNX Runtime's CPU has no FP16 kernel for it computes in FP32: this proves integers, and no range.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from dis2_edge.errors import EngineError
from dis2_edge.prepare import normalise
from dis2_edge.sensors import Sensor
from dis2_runtime.engine import Answer, Frames, frame_for
from dis2_runtime.engines.onnx_runtime import declared, first_line, open_session
from dis2_runtime.kernels.decide import answer_of


class TensorModel:
    """One model file of io `tensor`, loaded; it normalises frames by the statistics of `sensors`."""

    def __init__(self, file: Path, sensors: tuple[Sensor, ...], threads: int = 0) -> None:
        self._file = file
        self._sensors = {sensor.name: sensor for sensor in sensors}
        self._session, self._failures = open_session(file, threads, rounding_right(_loaded(file)))
        self.inputs = {value.name: declared(file, value)[0] for value in self._session.get_inputs()}
        if set(self.inputs) != set(self._sensors):
            raise EngineError(f"{file.name} takes {sorted(self.inputs)}", expected=f"{sorted(self._sensors)}")
        outputs = {value.name: declared(file, value)[0] for value in self._session.get_outputs()}
        if set(outputs) != {"logits"} or len(outputs["logits"]) != 4:
            raise EngineError(f"{file.name} gives {outputs}", expected="logits, 1xKxHxW float32 (io tensor)")
        self.grid = outputs["logits"][2:]

    def run(self, frames: Frames) -> Answer:
        """Mask and confidence of `frames`: one raw HxWxC array a sensor, in its own dtype; others are not read."""
        feed = {name: self._ready(name, frames) for name in self.inputs}
        try:
            (logits,) = self._session.run(["logits"], feed)
        except self._failures as error:
            raise EngineError(f"{self._file.name} failed while running: {first_line(error)}") from error
        return answer_of(logits[0])

    def _ready(self, name: str, frames: Frames) -> npt.NDArray[np.float32]:
        """The frame for input `name`, checked and normalised: 1xCxHxW."""
        sensor = self._sensors[name]
        shape = (*self.inputs[name][2:], self.inputs[name][1])
        frame = frame_for(frames, name, shape, sensor.numpy_dtype, self._file.name)
        return normalise(frame, sensor)[None]


def rounding_right(model: onnx.ModelProto) -> bytes:
    """`model` with every FP16 QuantizeLinear computed in FP32, for the reason told above; it is changed itself."""
    graph = model.graph
    halves = {one.name: one for one in graph.initializer if one.data_type == TensorProto.FLOAT16}
    nodes: list[NodeProto] = []
    for node in graph.node:
        if node.op_type == "QuantizeLinear" and node.input[1] in halves:
            value, scale = f"{node.output[0]}_value", f"{node.output[0]}_scale"
            wide = numpy_helper.to_array(halves[node.input[1]]).astype(np.float32)
            graph.initializer.append(numpy_helper.from_array(wide, scale))
            nodes.append(helper.make_node("Cast", [node.input[0]], [value], to=TensorProto.FLOAT))
            node.input[:2] = [value, scale]
        nodes.append(node)
    rewritten = helper.make_graph(nodes, graph.name, graph.input, graph.output, graph.initializer)
    model.graph.CopyFrom(rewritten)
    return bytes(model.SerializeToString())


def _loaded(file: Path) -> onnx.ModelProto:
    try:
        return onnx.load(file)
    except Exception as error:  # protobuf's own exceptions share no base but this
        raise EngineError(f"{file} cannot be loaded by ONNX Runtime: {first_line(error)}") from error
