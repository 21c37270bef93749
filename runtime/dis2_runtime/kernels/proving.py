"""Prove the kernels that were loaded: each at odd sizes against its NumPy reference, with poisoned outputs.

The same cases run on the CPU in tests (under schedules and sanitizers), on a board before its engine may use a kernel,
and in `make gpu`. A kernel is never trusted more than its reference.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dis2_edge.errors import EngineError
from dis2_runtime.driver import Driver, Memory, Module, Stream

POISON = 0xFF
"""Byte that outputs are filled with: NaN as a float, -1 as an integer."""
GUARD = 256
"""Bytes behind each output that no kernel may touch."""


@dataclass(frozen=True)
class Case:
    """One shape of one kernel."""

    kernel: str
    """Name of its source."""
    title: str
    """The shape, for people."""
    run: Callable[[Room], float]
    """Runs it; returns its error in units of what is allowed: 1 is the bound, more is wrong."""


@dataclass(frozen=True)
class Proof:
    """What came of a case."""

    case: Case
    error: float
    """Error in units of what is allowed."""
    problem: str = ""
    """Why it could not be run; empty when it ran."""

    @property
    def good(self) -> bool:
        """Whether the kernel may be used."""
        return not self.problem and self.error <= 1


@dataclass(frozen=True)
class Taken:
    """Room for an output, poisoned."""

    memory: Memory
    address: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class Room:
    """Memory of one case: inputs that were copied in, outputs that are poison until they are written."""

    def __init__(self, driver: Driver, module: Module, stream: Stream, seed: int = 0) -> None:
        self.driver, self.module, self.stream = driver, module, stream
        self.random = np.random.default_rng(seed)
        self._held: list[Memory] = []

    def give(self, values: npt.NDArray[Any], late: int = 0) -> int:
        """Address of a copy of `values`, which begins `late` bytes after an aligned one."""
        memory = self._hold(late + values.nbytes)
        self.driver.copy_in(memory.address + late, np.ascontiguousarray(values), self.stream)
        return memory.address + late

    def take(self, shape: tuple[int, ...], dtype: npt.DTypeLike, late: int = 0) -> Taken:
        """Poisoned room for an output, with a guard behind it."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        memory = self._hold(late + size + GUARD)
        self.driver.fill(memory.address, POISON, late + size + GUARD, self.stream)
        return Taken(memory, memory.address + late, shape, np.dtype(dtype))

    def read(self, taken: Taken) -> npt.NDArray[Any]:
        """What was written; EngineError when something was written before or behind it."""
        late = taken.address - taken.memory.address
        raw = np.empty(taken.memory.bytes, np.uint8)
        self.driver.copy_out(raw, taken.memory.address, self.stream)
        self.stream.synchronize()
        size = math.prod(taken.shape) * taken.dtype.itemsize
        if (raw[:late] != POISON).any() or (raw[late + size : late + size + GUARD] != POISON).any():
            raise EngineError("a kernel wrote beside its output")
        return raw[late : late + size].copy().view(taken.dtype).reshape(taken.shape)

    def close(self) -> None:
        """Give all memory back."""
        for memory in self._held:
            memory.free()
        self._held.clear()

    def _hold(self, size: int) -> Memory:
        memory = self.driver.allocate(size)
        self._held.append(memory)
        return memory


def prove(driver: Driver, modules: Mapping[str, Module], cases: Iterable[Case], seed: int = 0) -> list[Proof]:
    """Run the cases of the kernels in `modules` (by source); none of them raises for what a kernel does."""
    stream = driver.stream()
    proofs = []
    for case in cases:
        if case.kernel in modules:
            room = Room(driver, modules[case.kernel], stream, seed)
            try:
                proofs.append(Proof(case, float(case.run(room))))
            except EngineError as error:
                proofs.append(Proof(case, worst(), str(error)))
            finally:
                room.close()
    return proofs


def worst() -> float:
    """The error of an answer that is wrong outright."""
    return math.inf


def excess(found: npt.NDArray[Any], exact: npt.NDArray[Any], bound: float) -> float:
    """Largest |found - exact| over `bound`; infinite where the one is finite and the other is not."""
    if not np.array_equal(np.isfinite(found), np.isfinite(exact)):
        return worst()
    with np.errstate(invalid="ignore"):
        apart = np.abs(found.astype(np.float64) - exact)
    return float(np.nan_to_num(apart, nan=0.0).max(initial=0.0)) / bound
