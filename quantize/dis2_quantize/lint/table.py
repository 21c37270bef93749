"""The rules, as a table: what each looks at, how grave a fault is, and how it is mended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dis2_edge.manifest import Dialect
from dis2_quantize.lint import contract, fusing, roundings, tensorrt
from dis2_quantize.lint.finding import Fault, Severity
from dis2_quantize.lint.subject import Subject

BOTH: tuple[Dialect, ...] = ("ort", "trt")


@dataclass(frozen=True)
class Rule:
    """A rule of the lint; its first docstring line says what it looks at."""

    name: str
    """Its name in findings."""
    severity: Severity
    """How grave a fault is."""
    dialects: tuple[Dialect, ...]
    """Dialects of the boards that it is for."""
    find: Callable[[Subject], Iterator[Fault]]
    """Finds the faults of a file."""
    mend: str
    """What to do about one."""

    @property
    def looks_at(self) -> str:
        """What the rule looks at, in words."""
        return (self.find.__doc__ or "").strip().split("\n")[0].rstrip(".")


RULES = (
    Rule("dialect", "error", BOTH, contract.dialect, "check or deploy the file of the board's own dialect"),
    Rule("ir-version", "error", BOTH, contract.ir_version, "write IR version 10 or older"),
    Rule("opset", "error", BOTH, contract.opset, "export with opset 20 or older"),
    Rule("metadata", "error", BOTH, contract.metadata, "quantize again; a file of another origin must be given them"),
    Rule("input-names", "error", BOTH, contract.inputs, "name the inputs by sensor, in the scenario's order"),
    Rule("output-names", "error", BOTH, contract.outputs, "name them `logits`, or `mask` and `confidence`"),
    Rule("static-shapes", "error", BOTH, contract.static_shapes, "export with every dimension fixed"),
    Rule("inference", "error", BOTH, contract.inference, "export again, with the types that this opset allows"),
    Rule("custom-domain", "error", BOTH, contract.custom_domain, "append a function of plain operators by that name"),
    Rule("whole-file", "error", BOTH, contract.whole, "save the model as one file"),
    Rule("trt-operator", "error", ("trt",), tensorrt.operator, "write it with operators that the parser knows"),
    Rule("mixed-types", "error", ("trt",), tensorrt.mixed_types, "cast to one type before they meet"),
    Rule("double", "error", ("trt",), tensorrt.double, "compute in FP16 or FP32"),
    Rule("int64", "warning", ("trt",), tensorrt.int64, "cast indices to int32 where they are made"),
    Rule("input-types", "error", ("trt",), tensorrt.input_types, "take FP16 or FP32, and convert outside the file"),
    Rule("zero-point", "error", ("trt",), roundings.zero_point, "quantise symmetrically, with zero-point 0"),
    Rule("int8", "error", ("trt",), roundings.symmetric_int8, "round to int8 (a Q without zero-point makes uint8)"),
    Rule("weight-axis", "error", ("trt",), roundings.weight_axis, "axis 0 for Conv, 1 for ConvTranspose"),
    Rule("weight-scales", "warning", ("trt",), roundings.weight_granularity, "one scale an output channel"),
    Rule("activation-scale", "error", ("trt",), roundings.activation_scale, "one scale for the whole tensor"),
    Rule("concat-scale", "error", ("trt",), roundings.concat_scale, "give all inputs one scale"),
    Rule("residual", "warning", ("trt",), roundings.residual, "round it before the sum, so that the sum fuses"),
    Rule("floats-only", "error", ("trt",), roundings.floats_only, "leave it in FP16"),
    Rule("no-int8", "warning", ("trt",), roundings.no_int8, "move with Reshape, Slice and Concat, or leave it in FP16"),
    Rule("lone-quantize", "error", ("trt",), roundings.lone_quantize, "let DequantizeLinear follow, and nothing else"),
    Rule("few-channels", "warning", ("trt",), roundings.few_channels, "leave convolutions under 16 channels in FP16"),
    Rule("ort-loads", "error", ("ort",), fusing.loads, "mend what ONNX Runtime says, or export again"),
    Rule("ort-fuses", "error", ("ort",), fusing.fuses, "round to uint8 with int8 weights around this convolution"),
    Rule("ort-floats", "warning", ("ort",), fusing.floats_between, "give it a form that ONNX Runtime has in integers"),
    Rule("ort-unrounded", "warning", ("ort",), fusing.rounded_for_nothing, "round its answer, or leave it in FP32"),
)
"""In the order in which they are applied."""
