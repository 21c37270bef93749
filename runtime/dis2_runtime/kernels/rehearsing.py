"""A rehearsal: the cases of a kernel go through its launcher with no device, and the launches are noted.

That tells how many threads and how much dynamic shared memory a kernel is launched with, which the resource report
cannot know, without saying it a second time beside the launcher.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from dis2_edge.errors import EngineError
from dis2_runtime.driver import Argument, Captured, Device, Driver, Size3
from dis2_runtime.kernels.proving import Case, prove


@dataclass(frozen=True)
class Launch:
    """How a kernel is launched: the largest block and the most shared memory that were seen."""

    threads: int
    """Threads of a block."""
    shared_bytes: int
    """Dynamic shared memory of a block."""


def launches_of(cases: Iterable[Case]) -> dict[str, Launch]:
    """By kernel, how `cases` launch it."""
    stage, listed = _Stage(), list(cases)
    prove(stage, {case.kernel: _Names() for case in listed}, listed)
    return stage.seen


class _Names:
    def function(self, name: str) -> str:
        return name


@dataclass
class _Memory:
    address: int
    bytes: int

    def free(self) -> None: ...


class _Stream:
    handle = 0

    def synchronize(self) -> None: ...


class _Stage:
    """A driver that does nothing. What it copies out is no output of a kernel, so that each case ends there."""

    name: Literal["pycuda", "cuda-bindings"] = "cuda-bindings"
    device = Device("no device", (8, 7), 8, 1 << 33, 13000, False)

    def __init__(self) -> None:
        self.seen: dict[str, Launch] = {}
        self._next = 1 << 20

    def __enter__(self) -> Driver:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def make_current(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def module(self, image: bytes) -> _Names:
        return _Names()

    def allocate(self, bytes: int) -> _Memory:
        self._next += -(-bytes // 256) * 256
        return _Memory(self._next, bytes)

    def pinned(self, shape: tuple[int, ...], dtype: npt.DTypeLike, *, mapped: bool = False) -> Any:
        raise EngineError("no pinned memory in a rehearsal")

    def free_bytes(self) -> int:
        return self.device.memory_bytes

    def stream(self) -> _Stream:
        return _Stream()

    def event(self) -> Any:
        raise EngineError("no events in a rehearsal")

    def copy_in(self, target: int, source: npt.NDArray[Any], stream: Any) -> None: ...

    def copy_out(self, target: npt.NDArray[Any], source: int, stream: Any) -> None:
        target.fill(0)

    def fill(self, target: int, value: int, bytes: int, stream: Any) -> None: ...

    def launch(
        self, function: Any, grid: Size3, block: Size3, shared: int, stream: Any, arguments: Sequence[Argument]
    ) -> None:
        before = self.seen.get(function, Launch(0, 0))
        threads = int(np.prod(block))
        self.seen[function] = Launch(max(before.threads, threads), max(before.shared_bytes, shared))

    def capture(self, stream: Any) -> contextlib.AbstractContextManager[Captured]:
        raise EngineError("no graphs in a rehearsal")
