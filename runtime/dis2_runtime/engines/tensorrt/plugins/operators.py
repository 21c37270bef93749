"""The operators of the domain `dis2_edge` as plug-ins see them: inputs, attributes, output, and who launches them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dis2_runtime.driver import Driver, Module, Stream

__all__ = ["DOMAIN", "FLOATS", "OPERATORS", "VERSION", "Call", "Launch", "Launcher", "Operator"]

DOMAIN = "dis2_edge"
"""Domain of the nodes, and namespace of the plug-ins."""
VERSION = "1"
"""Version of the operators; every plug-in of them says so."""

FLOATS: dict[str, np.dtype[Any]] = {"FLOAT": np.dtype(np.float32), "HALF": np.dtype(np.float16)}
"""Types that the kernels take, by TensorRT's names."""

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Launch:
    """One kernel launch that TensorRT can make by itself: the kernel takes inputs, then `scalars`, then the output."""

    kernel: str
    """Its name in the module."""
    grid: tuple[int, int, int]
    """Blocks along x, y, z."""
    block: tuple[int, int, int]
    """Threads of one."""
    shared: int
    """Bytes of dynamic shared memory."""
    scalars: tuple[int, ...] = ()
    """32-bit integers between the inputs and the output."""


@dataclass(frozen=True)
class Call:
    """One use of an operator: what is known when an engine is built."""

    shapes: tuple[Shape, ...]
    """Of the inputs."""
    dtype: np.dtype[Any]
    """Of inputs and output alike: float32 or float16."""
    attributes: tuple[tuple[str, int], ...] = ()
    """Name and value of each."""


Launcher = Callable[[Driver, Module, Stream, Call, Sequence[int], int], None]
"""Launches a call on a stream: addresses of the inputs and of the output come last."""


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
    launch: Launcher | None = None
    """Launches it from Python; None while there is no kernel."""
    ahead: Callable[[Call], Launch] | None = None
    """The one launch by which TensorRT computes it without Python; None where it takes more than one."""


OPERATORS: dict[str, Operator] = {
    operator.name: operator
    for operator in (
        Operator("FusionAttention", "fusion_attention", ("q", "k", "v"), ("heads",), lambda sizes, _: list(sizes[0])),
        Operator(
            "ClasswiseAttention",
            "classwise_attention",
            ("f4", "queries"),
            (),
            lambda sizes, times: [times(sizes[0][0], sizes[1][0]), *list(sizes[0])[1:]],
        ),
    )
}
"""By op_type."""
