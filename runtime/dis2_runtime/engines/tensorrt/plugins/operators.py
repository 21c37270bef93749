"""The operators of the domain `dis2_edge` as plug-ins see them: inputs, attributes, output, and who launches them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dis2_edge.errors import EngineError
from dis2_runtime.driver import Driver, Module, Stream
from dis2_runtime.kernels.classwise_attention import ClasswiseAttention
from dis2_runtime.kernels.fusion_attention import FusionAttention, Sizes

__all__ = ["DOMAIN", "FLOATS", "OPERATORS", "VERSION", "Call", "Operator", "Work"]

DOMAIN = "dis2_edge"
"""Domain of the nodes, and namespace of the plug-ins."""
VERSION = "1"
"""Version of the operators; every plug-in of them says so."""
FLOATS: dict[str, np.dtype[Any]] = {"HALF": np.dtype(np.float16)}
"""Types that the kernels take, by TensorRT's names."""

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Call:
    """One use of an operator: what is known when an engine is built."""

    shapes: tuple[Shape, ...]
    """Of the inputs."""
    dtype: np.dtype[Any]
    """Of inputs and output alike."""
    attributes: tuple[tuple[str, int], ...] = ()
    """Name and value of each."""


@dataclass(frozen=True)
class Work:
    """A call made ready."""

    launch: Callable[[Stream, Sequence[int], int, int], None]
    """Puts it on a stream: addresses of the inputs, of the output, of the workspace."""
    workspace_bytes: int = 0
    """Memory that it needs beside these."""


@dataclass(frozen=True)
class Operator:
    """One operator."""

    name: str
    """Its op_type, and the plug-in's name."""
    source: str
    """Kernel source that computes it."""
    inputs: tuple[str, ...]
    """Names of its inputs, in order."""
    attributes: tuple[str, ...]
    """Names of its attributes, all integers."""
    output: Callable[[Sequence[Sequence[Any]], Callable[[Any, Any], Any]], list[Any]]
    """Sizes of the output from those of the inputs; the second argument multiplies two sizes."""
    ready: Callable[[Driver, Module, Call], Work]
    """Makes a call ready; EngineError where the kernels have no answer, and the node's body must do."""


def _fusion(driver: Driver, module: Module, call: Call) -> Work:
    (batch, queries, width), (_, keys, _) = call.shapes[:2]
    sizes = Sizes(batch, queries, keys, dict(call.attributes)["heads"], width)
    kernel = FusionAttention(driver, module, sizes, call.dtype)
    return Work(lambda stream, inputs, out, workspace: kernel.launch(stream, inputs[0], inputs[1], inputs[2], out))


def _classwise(driver: Driver, module: Module, call: Call) -> Work:
    (batch, channels, height, width), (classes, _) = call.shapes
    if call.dtype != np.float16:
        raise EngineError(f"class-wise attention of {call.dtype}", expected="float16")
    kernel = ClasswiseAttention(driver, module, (batch, channels, height, width), classes)
    return Work(
        lambda stream, inputs, out, workspace: kernel.launch(stream, inputs[0], inputs[1], out, workspace),
        kernel.workspace_bytes,
    )


OPERATORS: dict[str, Operator] = {
    operator.name: operator
    for operator in (
        Operator(
            "FusionAttention",
            "fusion_attention",
            ("q", "k", "v"),
            ("heads",),
            lambda sizes, _: list(sizes[0]),
            _fusion,
        ),
        Operator(
            "ClasswiseAttention",
            "classwise_attention",
            ("f4", "queries"),
            (),
            lambda sizes, times: [times(sizes[0][0], sizes[1][0]), *list(sizes[0])[1:]],
            _classwise,
        ),
    )
}
"""By op_type."""
