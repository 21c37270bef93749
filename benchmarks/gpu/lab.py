"""Where contests are held: torch and our driver on one device, one stream, one context; its roofs, measured."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.gpu.stopwatch import CudaStopwatch, Stopwatch
from dis2_edge.errors import EngineError, UserError
from dis2_runtime.driver import DRIVERS, Driver, Module, Stream
from dis2_runtime.driver.opening import open_driver
from dis2_runtime.kernels.loading import load

COPIED_BYTES = 512 << 20
"""Size of the copy that the bandwidth is taken from; a quarter of it where memory is short."""
SQUARE = 8192
"""Side of the matrices whose product the tensor cores' peak is taken from."""


@dataclass(frozen=True)
class Roofs:
    """What the device did at its best."""

    bandwidth: float
    """Bytes a second that a large copy reads and writes."""
    tensor: float
    """Operations a second of a large product of half-precision matrices."""

    def seconds(self, bytes: int, operations: int) -> tuple[float, str]:
        """Least time for that much, and what binds it."""
        by_memory, by_cores = bytes / self.bandwidth, operations / self.tensor
        return (by_memory, "bandwidth") if by_memory >= by_cores else (by_cores, "tensor cores")


@dataclass(frozen=True)
class Lab:
    """One device, ready."""

    torch: Any
    device: str
    """torch's word for it: cuda."""
    driver: Driver
    stream: Stream
    modules: Mapping[str, Module]
    """By kernel source, what was loaded and proven."""
    reasons: Mapping[str, str]
    """By kernel source, why there is no module."""
    stopwatch: Stopwatch
    compiles: bool = True
    """Whether torch.compile is tried."""

    def random(self, *shape: int, dtype: str = "float16", scale: float = 1.0) -> Any:
        """Normal random numbers, the same in each run."""
        generator = self.torch.Generator(device=self.device).manual_seed(len(shape) + sum(shape))
        wide = self.torch.randn(shape, generator=generator, device=self.device)
        return (wide * scale).to(getattr(self.torch, dtype))

    def empty(self, *shape: int, dtype: str = "float16") -> Any:
        """Memory for an answer, NaN or the largest number until it is written."""
        kind = getattr(self.torch, dtype)
        poison = float("nan") if kind.is_floating_point else self.torch.iinfo(kind).max
        return self.torch.full(shape, poison, dtype=kind, device=self.device)

    def module(self, kernel: str) -> Module:
        """Our kernel's module, or an EngineError with the reason why there is none."""
        if kernel not in self.modules:
            raise EngineError(self.reasons.get(kernel, f"{kernel} was not asked for"))
        return self.modules[kernel]

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function` by torch.compile, which has forgotten all shapes before: after a few it would compile no more."""
        if not self.compiles:
            raise EngineError("torch.compile is not tried here")
        self.torch.compiler.reset()
        compiled: Callable[..., Any] = self.torch.compile(function, dynamic=False)
        return compiled

    def settle(self) -> None:
        """Wait for all work."""
        if self.device == "cuda":
            self.torch.cuda.synchronize()

    def tidy(self) -> None:
        """Give memory back that no tensor holds."""
        if self.device == "cuda":
            self.torch.cuda.empty_cache()

    def roofs(self) -> Roofs:
        """Measured now, as everything else is."""
        size = COPIED_BYTES if self.device == "cuda" else 1 << 20
        side = SQUARE if self.device == "cuda" else 64
        one, other = (self.torch.empty(size, dtype=self.torch.uint8, device=self.device) for _ in range(2))
        copy = statistics.median(self.stopwatch.measure(lambda: other.copy_(one))) / 1e3
        a, b = self.random(side, side), self.random(side, side)
        product = statistics.median(self.stopwatch.measure(lambda: a @ b)) / 1e3
        return Roofs(2 * size / copy, 2 * side**3 / product)


def open_lab(folders: Sequence[Path], compile_into: Path | None, wanted: Sequence[str] = ()) -> Lab:
    """The CUDA device through the first driver that opens, its work on one stream with torch's."""
    import torch

    if not torch.cuda.is_available():
        raise EngineError(f"torch {torch.__version__} finds no CUDA device")
    torch.cuda.init()
    torch.zeros(1, device="cuda")  # torch's context is the device's primary one; ours joins it
    driver = first_driver()
    stream = driver.stream()
    torch.cuda.set_stream(torch.cuda.ExternalStream(stream.handle))
    kernels = load(driver, folders, wanted, compile_into=compile_into)
    reasons = {name: kernels.why_not(name) for name in kernels.reasons}
    return Lab(torch, "cuda", driver, stream, kernels.modules, reasons, CudaStopwatch(torch))


def first_driver() -> Driver:
    """The first of the drivers' packages that opens the device."""
    told = []
    for name in reversed(DRIVERS):  # cuda-bindings comes with torch, and shares its context by itself
        try:
            return open_driver(name).__enter__()
        except UserError as error:
            told.append(f"{name}: {error}")
    raise EngineError("no driver opens the device: " + "; ".join(told))
