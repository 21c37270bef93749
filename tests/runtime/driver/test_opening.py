"""Which package opens a GPU, and what is told when none can."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

from dis2_edge.errors import MissingExtraError
from dis2_runtime.driver import DRIVERS
from dis2_runtime.driver.opening import open_driver
from tests.runtime.driver.trying import tells
from tests.runtime.pretend.child import Witness
from tests.runtime.pretend.kit import lacking, pretend_environment, run_pretend
from tests.runtime.pretend.marking import on_pretend_gpu
from tests.runtime.pretend.places import ROOT, package

_TELL = "from dis2_runtime.driver.opening import open_driver\nopen_driver({!r})"


@pytest.fixture
def both() -> None:
    for name in DRIVERS:
        if reason := lacking(name):
            pytest.skip(reason)


def test_without_a_package_the_pip_line_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pycuda", None)
    monkeypatch.setitem(sys.modules, "cuda", None)
    for name, first in (("auto", "pycuda"), ("pycuda", "pycuda"), ("cuda-bindings", "cuda-bindings")):
        with pytest.raises(MissingExtraError, match=rf"'{first}' is not installed; pip install 'dis2-edge\[jetson\]'"):
            open_driver(name)


def test_a_driver_that_nobody_knows() -> None:
    with tells("no driver 'cupy'; expected auto, pycuda or cuda-bindings"):
        open_driver("cupy")


@on_pretend_gpu(fail="cuInit=100")
def test_no_gpu(package: str) -> None:
    with tells("sees no GPU .cuInit: no CUDA-capable device is detected.*tegrastats"):
        open_driver(package)


@on_pretend_gpu(fail="cuInit=803")
def test_library_and_kernel_module_of_two_versions(package: str) -> None:
    with tells("of two versions .*reboot"):
        open_driver(package)


@on_pretend_gpu(fail="cuInit=34")
def test_the_stub_of_a_toolkit_is_no_driver(package: str) -> None:
    with tells("stub, not the driver .*LD_LIBRARY_PATH"):
        open_driver(package)


@on_pretend_gpu()
def test_a_gpu_that_is_not_there(package: str) -> None:
    with tells("no such GPU .*smaller device number"):
        open_driver(package, device=5)


@on_pretend_gpu(gpu="driver=11020;name=Xavier")
def test_a_driver_that_is_too_old(package: str) -> None:
    with tells(r"driver of Xavier serves CUDA 11\.2; expected 11\.4 or later; .*JetPack 6"):
        open_driver(package)
    assert Witness().calls("cuDevicePrimaryCtxRetain") == Witness().calls("cuDevicePrimaryCtxRelease") == 1


@on_pretend_gpu(fail="cuDevicePrimaryCtxRetain:1=2")
def test_no_memory_for_a_context(package: str) -> None:
    with tells("out of device memory .cuDevicePrimaryCtxRetain"):
        open_driver(package)


def _opened(name: str) -> str:
    with open_driver(name) as driver:
        return driver.name


@pytest.mark.usefixtures("both")
def test_pycuda_is_liked_best_and_cuda_bindings_stands_in() -> None:
    assert run_pretend(_opened, "auto", driver="both") == "pycuda"
    assert run_pretend(_opened, "auto", driver="cuda-bindings") == "cuda-bindings"


@pytest.mark.usefixtures("both")
def test_a_broken_pycuda_is_passed_over(tmp_path: Path) -> None:
    broken = tmp_path / "pycuda"
    broken.mkdir()
    (broken / "__init__.py").touch()
    (broken / "driver.py").write_text("raise ImportError('undefined symbol: cuCtxCreate_v4')\n")
    path = pretend_environment("cuda-bindings")["PYTHONPATH"]
    assert run_pretend(_opened, "auto", driver="cuda-bindings", PYTHONPATH=f"{tmp_path}:{path}") == "cuda-bindings"
    told = _told("pycuda", PYTHONPATH=f"{tmp_path}:{path}")
    assert "pycuda does not load: undefined symbol: cuCtxCreate_v4; expected a driver library that it fits" in told


@pytest.mark.usefixtures("both")
@pytest.mark.parametrize("name", ["auto", *DRIVERS])
def test_without_a_driver_library_its_absence_is_told(name: str) -> None:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        folders = ":".join(str(package(each)) for each in DRIVERS)
        told = _told(name, LD_LIBRARY_PATH="", PYTHONPATH=f"{ROOT}:{ROOT / 'runtime'}:{ROOT / 'boards'}:{folders}")
        assert "EngineError" in told
        assert "does not load" in told
        assert "install NVIDIA's driver (on a Jetson: JetPack)" in told
    else:
        pytest.skip("this machine has a driver")


def _told(name: str, **environment: str) -> str:
    """What a fresh Python says on stderr when it opens `name`."""
    command = [sys.executable, "-W", "error", "-c", _TELL.format(name)]
    whole = pretend_environment("both", **environment)
    done = subprocess.run(command, env=whole, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done.stderr
    return done.stderr.splitlines()[-1]
