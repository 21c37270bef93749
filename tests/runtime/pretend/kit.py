"""The pretend GPU for tests: the real pycuda and cuda-bindings over a libcuda of our own (`libcuda/`).

`run_pretend(function, ...)` runs a function in a child Python that has it; `pretend_environment` is for who starts a
child by himself. `python -m tests.runtime.pretend.make_pycuda` prepares it once (`make pretend`).
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from typing import Any

from tests.runtime.pretend.library import HeaderMissingError, library
from tests.runtime.pretend.places import PREPARE, ROOT, ROOTS, package
from tests.runtime.pretend.worker import Worker

__all__ = ["PREPARE", "Worker", "lacking", "pretend_environment", "run_pretend"]


def lacking(driver: str) -> str:
    """Why `driver` ("pycuda", "cuda-bindings") cannot run here, with what to type; empty when it can."""
    if shutil.which("g++") is None:
        return "the pretend GPU needs g++: apt-get install g++"
    if package(driver) is None:
        return f"no {driver} for Python {sys.version_info[0]}.{sys.version_info[1]}; type: {PREPARE}"
    try:
        library()
    except HeaderMissingError as error:
        return str(error)
    return ""


def pretend_environment(driver: str = "pycuda", *, gpu: str = "", fail: str = "", **more: str) -> dict[str, str]:
    """The environment of a child that sees the pretend GPU; `driver` may be "both" of the packages.

    `gpu` is PRETEND_GPU ("cc=11.0;sms=20;memory=1048576;driver=13000;integrated=1;name=Thor") and `fail` is
    PRETEND_GPU_FAIL ("cuMemAlloc:3=2;kernel:1=700"), both told in libcuda/settings.cc.
    """
    wanted = ("pycuda", "cuda-bindings") if driver == "both" else (driver,)
    folders = [*(ROOT / root for root in ROOTS), *(folder for name in wanted if (folder := package(name)))]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PRETEND_", "CUDA_"))}
    inherited = [path for path in os.environ.get("LD_LIBRARY_PATH", "").split(":") if path]
    return {
        **environment,
        "PYTHONPATH": ":".join(map(str, folders)),
        "LD_LIBRARY_PATH": ":".join([str(library().parent), *inherited]),
        "OMP_NUM_THREADS": "1",
        "PRETEND_GPU": gpu,
        "PRETEND_GPU_FAIL": fail,
        **more,
    }


def run_pretend(
    function: Callable[..., Any], *arguments: Any, driver: str = "pycuda", gpu: str = "", fail: str = "", **more: str
) -> Any:
    """`function(*arguments)` in a fresh child with the pretend GPU; its result, or its error as AssertionError.

    The function must stand at the top of a module that the child can import; arguments and result travel pickled.
    """
    with Worker(pretend_environment(driver, **more)) as worker:
        return worker.call(function, *arguments, gpu=gpu, fail=fail)
