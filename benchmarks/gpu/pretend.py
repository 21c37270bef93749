"""A rehearsal on the processor: the very same parts, our kernels built by g++, torch's tensors in host memory.

It times nothing that means anything. It is there so that nothing breaks on the one day that a GPU is lent.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch

from benchmarks.gpu.findings import Pen, Proven
from benchmarks.gpu.lab import Lab
from benchmarks.gpu.stopwatch import Call
from dis2_runtime.kernels import CASES
from dis2_runtime.kernels.proving import prove
from tests.runtime.kernels.host_driver import HostDriver


class HostStopwatch:
    """Times on the host."""

    def measure(self, call: Call) -> list[float]:
        """Milliseconds of each of three calls."""
        samples = []
        for _ in range(3):
            begun = time.perf_counter()
            call()
            samples.append(1e3 * (time.perf_counter() - begun))
        return samples


def pretend_lab(wanted: Sequence[str]) -> Lab:
    """torch and our kernels on the processor."""
    driver = HostDriver()
    modules = {name: driver.built(name) for name in wanted}
    return Lab(torch, "cpu", driver, driver.stream(), modules, {}, HostStopwatch(), compiles=False)


def prove_here(name: str, pen: Pen) -> None:
    """Every kernel's cases on the processor."""
    driver = HostDriver()
    for kernel, cases in CASES.items():
        proofs = prove(driver, {kernel: driver.built(kernel)}, cases())
        wrong = next((proof.problem or str(proof.error) for proof in proofs if not proof.good), "")
        pen.add(
            Proven(f"no driver, in place of {name}", kernel, len(proofs), max(proof.error for proof in proofs), wrong)
        )
