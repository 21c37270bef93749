"""What a launcher would launch, without launching it: how TensorRT is told of a kernel that it starts by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from dis2_edge.errors import EngineError
from dis2_runtime.driver import Argument, Device, Driver, Size3
from dis2_runtime.engines.tensorrt.plugins.operators import Call, Operator

__all__ = ["Launch", "launch_of"]

_FIRST, _STEP = 1 << 20, 1 << 20
"""Addresses by which inputs and output are known again, aligned to all that a kernel may ask for."""
_MOST_SHARED = 48 << 10
"""Bytes of dynamic shared memory that a kernel gets without being asked for more first."""


@dataclass(frozen=True)
class Launch:
    """One kernel launch: the kernel takes the inputs' addresses, then `scalars`, then the output's address."""

    kernel: str
    """Its name in the module."""
    grid: Size3
    """Blocks along x, y, z."""
    block: Size3
    """Threads of one."""
    shared: int
    """Bytes of dynamic shared memory."""
    scalars: tuple[int, ...] = ()
    """32-bit integers between the inputs and the output."""


def launch_of(operator: Operator, call: Call, device: Device) -> Launch:
    """The one launch that computes `call` on `device`; EngineError where TensorRT could not make it by itself."""
    listener = _Listener(device)
    work = operator.ready(cast(Driver, listener), listener, call)
    inputs = [_FIRST + _STEP * place for place in range(len(operator.inputs))]
    out = inputs[-1] + _STEP
    if not work.workspace_bytes:
        work.launch(listener, inputs, out, 0)
    if len(listener.heard) != 1:
        raise EngineError(f"{operator.name} takes more than one launch")
    kernel, grid, block, shared, arguments = listener.heard[0]
    scalars = arguments[len(inputs) : -1]
    order = [int(one) for one in (*arguments[: len(inputs)], arguments[-1])]
    if order != [*inputs, out] or not all(isinstance(one, np.int32) for one in scalars) or shared > _MOST_SHARED:
        raise EngineError(f"{kernel} takes what TensorRT cannot hand to it")
    return Launch(kernel, grid, block, shared, tuple(int(one) for one in scalars))


class _Listener:
    """Driver, module and stream at once; does nothing and remembers launches."""

    handle = 0

    def __init__(self, device: Device) -> None:
        self.device = device
        self.heard: list[tuple[str, Size3, Size3, int, Sequence[Argument]]] = []

    def function(self, name: str) -> Any:
        return name

    def synchronize(self) -> None:
        return None

    def launch(
        self, function: Any, grid: Size3, block: Size3, shared: int, stream: Any, arguments: Sequence[Argument]
    ) -> None:
        self.heard.append((function, grid, block, shared, arguments))
