"""A file under the lint: its facts, wiring and metadata, read once for all rules."""

from __future__ import annotations

import importlib
import json
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import onnx

from dis2_boards.profile import Board
from dis2_edge.errors import MissingExtraError
from dis2_edge.manifest import Dialect
from dis2_quantize.reading.facts import Fact, Facts, gather
from dis2_quantize.reading.foreign import DOMAIN
from dis2_quantize.reading.wiring import Wiring, is_dequantize, is_quantize

_QUIET = 4
_REALS: dict[int, str] = {
    onnx.TensorProto.FLOAT: "FP32",
    onnx.TensorProto.FLOAT16: "FP16",
    onnx.TensorProto.BFLOAT16: "BF16",
    onnx.TensorProto.DOUBLE: "double",
}
_VALUE_AT = {"Resize": (0,), "Where": (1, 2), "Pad": (0,), "Cast": (), "CastLike": ()}
"""Places of the inputs that must agree in type, where it is not all."""


@dataclass
class Fused:
    """What ONNX Runtime makes of a file before it runs it."""

    wiring: Wiring | None
    """The graph as it will be computed; None where ONNX Runtime refuses the file."""
    fixed: frozenset[str]
    """Names of its weights."""
    refusal: str = ""
    """Why it refuses."""


class Subject:
    """A model file and the board that it is for."""

    def __init__(self, model: onnx.ModelProto, board: Board) -> None:
        self.model, self.board = model, board
        self.facts: Facts = gather(model)
        self.wiring = Wiring(self.facts.model.graph)
        self.props = {entry.key: entry.value for entry in model.metadata_props}
        weights = {tensor.name for tensor in model.graph.initializer}
        self.inputs = [value for value in model.graph.input if value.name not in weights]

    def fact(self, tensor: str) -> Fact | None:
        """What is known of `tensor`."""
        return self.facts.tensors.get(tensor)

    def is_fixed(self, tensor: str) -> bool:
        """Whether `tensor` is the same for every input."""
        fact = self.fact(tensor)
        return fact is not None and fact.fixed

    def changing(self, node: onnx.NodeProto) -> list[str]:
        """The inputs of `node` that are not fixed."""
        return [name for name in node.input if name and not self.is_fixed(name)]

    def real_types(self, node: onnx.NodeProto) -> list[str]:
        """The types of reals that meet in `node`; roundings and casts may have several and give none."""
        if is_quantize(node) or is_dequantize(node):
            return []
        places = _VALUE_AT.get(node.op_type, tuple(range(len(node.input))))
        facts = [self.fact(node.input[place]) for place in places if place < len(node.input)]
        return sorted({name for fact in facts if fact is not None and (name := _REALS.get(fact.dtype))})

    @cached_property
    def dialect(self) -> tuple[Dialect | None, str]:
        """The dialect that the file is written in, with what tells; None where it would do for both."""
        if self.props.get("dialect") in ("ort", "trt"):
            return ("ort" if self.props["dialect"] == "ort" else "trt"), "its metadata say so"
        if any(node.domain == DOMAIN for node in self.wiring.nodes):
            return "ort", "it holds ONNX Runtime's own operators"
        rounded = {fact.dtype for node in self.wiring.nodes if is_quantize(node) and (fact := self._rounded(node))}
        if rounded & {onnx.TensorProto.UINT8, onnx.TensorProto.UINT16}:
            return "ort", "it rounds to unsigned integers"
        if any(fact.dtype == onnx.TensorProto.FLOAT16 for fact in self.facts.tensors.values()):
            return "trt", "it computes in FP16, which ONNX Runtime's CPU engine does not"
        return ("trt", "it rounds to signed integers") if rounded else (None, "")

    def _rounded(self, node: onnx.NodeProto) -> Fact | None:
        return None if self.is_fixed(node.output[0]) else self.fact(node.output[0])

    @cached_property
    def fused(self) -> Fused:
        """The file after ONNX Runtime's extended fusing."""
        ort = _onnxruntime()
        options = ort.SessionOptions()
        options.log_severity_level = _QUIET
        options.intra_op_num_threads = 1
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        with tempfile.TemporaryDirectory() as folder:
            options.optimized_model_filepath = str(Path(folder) / "fused.onnx")
            try:
                ort.InferenceSession(self.model.SerializeToString(), options, providers=["CPUExecutionProvider"])
                fused = onnx.load(options.optimized_model_filepath)
            except Exception as cause:
                # ONNX Runtime has many exceptions of its own, with no common parent; each says why it refuses.
                return Fused(None, frozenset(), str(cause).strip().split("\n")[0] or type(cause).__name__)
        constants = [node.output[0] for node in fused.graph.node if node.op_type == "Constant"]
        return Fused(Wiring(fused.graph), frozenset((*(t.name for t in fused.graph.initializer), *constants)))

    def sensors(self) -> list[str] | None:
        """Names of the sensors that the metadata tell, in order; None where they tell none."""
        try:
            return [str(sensor["name"]) for sensor in json.loads(self.props["sensors"])]
        except (KeyError, TypeError, ValueError, RecursionError):
            return None


def label(node: onnx.NodeProto) -> str:
    """A node's name for people: its own, or what it makes."""
    return node.name or f"{node.op_type} -> {', '.join(node.output)}"


def _onnxruntime() -> Any:
    try:
        return importlib.import_module("onnxruntime")
    except ImportError as error:
        raise MissingExtraError("onnxruntime", "host") from error
