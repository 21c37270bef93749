"""Run kernels' cases on the CPU in many schedules: `python -m tests.runtime.kernels.prove_on_host decide --sanitize`.

A process of its own: a sanitizer has to be loaded before Python, and a mutant may crash. Exit 1 when a case fails.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from dis2_runtime.kernels import CASES
from dis2_runtime.kernels.proving import prove
from tests.runtime.kernels.host_driver import HostDriver
from tests.runtime.kernels.shim.building import build

SCHEDULES = 16
LIMIT_S = 240.0
_QUIET = "detect_leaks=0:detect_stack_use_after_return=0"


def in_child(
    kernel: str, *more: str, sanitize: bool = False, limit_s: float = 240.0
) -> subprocess.CompletedProcess[str]:
    """The same in a child process; with `sanitize` under the address and undefined-behaviour sanitizers."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    if sanitize:
        environment |= {
            "LD_PRELOAD": _library("libasan.so"),
            "ASAN_OPTIONS": _QUIET,
        }
        more = ("--sanitize", *more)
    command = [sys.executable, "-m", "tests.runtime.kernels.prove_on_host", kernel, *more]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=LIMIT_S)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("kernel")
    parser.add_argument("--schedules", type=int, default=SCHEDULES)
    parser.add_argument("--sanitize", action="store_true")
    parser.add_argument("--races", action="store_true", help="fail where no barrier orders two accesses")
    parser.add_argument("--source", type=Path, help="a text to build in place of the kernel's own")
    given = parser.parse_args()
    text = given.source.read_text() if given.source else None
    file = build(given.kernel, text=text, sanitize=given.sanitize, races=given.races)
    cases = list(CASES[given.kernel]())
    for schedule in range(given.schedules):
        driver = HostDriver(schedule)
        for proof in prove(driver, {given.kernel: driver.module(str(file).encode())}, cases, seed=schedule):
            if not proof.good:
                print(f"schedule {schedule}: {proof.case.title}: {proof.problem or proof.error}")
                return 1
    print(f"{len(cases)} cases in {given.schedules} schedules")
    return 0


def _library(name: str) -> str:
    found = subprocess.run(["g++", f"-print-file-name={name}"], capture_output=True, text=True, check=True)
    return found.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
