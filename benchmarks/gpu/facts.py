"""What a run has to say of the machine: device, clocks, driver, versions. Nothing of it may fail."""

from __future__ import annotations

import ctypes
import platform
import shutil
import subprocess
from importlib import import_module, metadata

from benchmarks.gpu.contest import short
from benchmarks.gpu.findings import Pen
from benchmarks.gpu.sanitizer import find_sanitizer
from dis2_edge.errors import EngineError, told
from dis2_runtime.kernels.compiler import find_compiler

ASKED = ("name", "driver_version", "clocks.sm", "clocks.max.sm", "clocks.mem", "power.limit", "temperature.gpu")
"""What nvidia-smi is asked, by its own names."""
PACKAGES = ("torch", "triton", "pycuda", "cuda-bindings", "numpy")


def tell(pen: Pen) -> None:
    """Write down what can be known."""
    pen.fact("Python", platform.python_version())
    for package in PACKAGES:
        pen.fact(package, version_of(package))
    pen.fact("torch was made for", asked_torch())
    nvcc = find_compiler()
    pen.fact("nvcc", nvcc.version if nvcc else "not here")
    pen.fact("compute-sanitizer", "here" if find_sanitizer() else "not here")
    for name, value in ask_device().items():
        pen.fact(name, value)


def look_for_device(library: str = "libcuda.so.1") -> None:
    """EngineError where NVIDIA's driver is missing or counts no GPU; no package is needed to ask it."""
    try:
        cuda = ctypes.CDLL(library)
    except OSError as error:
        raise EngineError(f"there is no GPU to measure: {error}") from error
    count = ctypes.c_int()
    code = cuda.cuInit(0) or cuda.cuDeviceGetCount(ctypes.byref(count))
    if code or not count.value:
        raise EngineError(f"there is no GPU to measure: the driver counts {count.value} (CUDA error {code})")


def version_of(package: str) -> str:
    """The version that is installed, or that none is."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def asked_torch() -> str:
    """Its CUDA and cuDNN. The first import of a machine takes long: here it is charged to no contest."""
    try:
        torch = import_module("torch")
        return f"CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"
    except Exception as error:
        return short(f"does not load: {told(error)}")


def ask_device() -> dict[str, str]:
    """nvidia-smi's answers for the first GPU, by its own names."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return {"nvidia-smi": "not here"}
    command = [program, f"--query-gpu={','.join(ASKED)}", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return {"nvidia-smi": short(str(error))}
    values = [value.strip() for value in (done.stdout.splitlines() or [""])[0].split(",")]
    if done.returncode or len(values) != len(ASKED):
        return {"nvidia-smi": short(done.stderr or done.stdout or "no answer")}
    return dict(zip(ASKED, values, strict=True))
