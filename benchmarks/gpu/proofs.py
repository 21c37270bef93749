"""All cases of all kernels on the device, through one driver: each error by the reference, or why there is none."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.gpu.findings import Pen, Proven
from dis2_runtime.driver import Driver
from dis2_runtime.driver.opening import open_driver
from dis2_runtime.kernels.building import names
from dis2_runtime.kernels.loading import Kernels, load


def prove_through(name: str, folders: Sequence[Path], compile_into: Path | None, pen: Pen) -> None:
    """Open the device by the driver `name` and prove every kernel; UserError when it does not open."""
    with open_driver(name) as driver:
        pen.fact(f"device by {name}", describe(driver))
        kernels = load(driver, folders, compile_into=compile_into)
        pen.add_all(proven(driver.name, kernels))


def describe(driver: Driver) -> str:
    """The device in words."""
    device = driver.device
    major, minor = device.capability
    cuda = f"{device.driver_version // 1000}.{device.driver_version % 1000 // 10}"
    memory = f"{device.memory_bytes / 1e9:.0f} GB" + ", shared with the processor" * device.integrated
    return f"{device.name}, sm_{major}{minor}, {device.multiprocessors} SMs, {memory}, driver for CUDA {cuda}"


def proven(driver: str, kernels: Kernels, wanted: Sequence[str] = ()) -> Iterator[Proven]:
    """A finding for each kernel source."""
    for name in wanted or names():
        proofs = kernels.proofs.get(name, ())
        if name in kernels.modules and proofs:
            yield Proven(driver, name, len(proofs), max(proof.error for proof in proofs))
        else:
            yield Proven(driver, name, 0, None, kernels.why_not(name))


def python() -> list[str]:
    """How a child of ours is started."""
    return [sys.executable, "-m", "benchmarks.gpu"]
