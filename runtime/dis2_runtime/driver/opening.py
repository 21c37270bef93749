"""Open a GPU with whichever package is installed."""

from __future__ import annotations

from dis2_edge.errors import EngineError, MissingExtraError
from dis2_runtime.driver import DRIVERS, Driver
from dis2_runtime.driver.calls import Calls
from dis2_runtime.driver.failures import OLDEST_DRIVER, CallError, Situation, engine_error, told_version
from dis2_runtime.driver.opened import OpenedDriver

__all__ = ["open_driver"]

_EXTRA = "jetson"
_MODULES = {"pycuda": ("pycuda", "pycuda.driver"), "cuda-bindings": ("cuda", "cuda.bindings", "cuda.bindings.driver")}
"""Modules whose absence says that a package is not installed; of any other, that it is broken."""


def open_driver(name: str = "auto", device: int = 0) -> Driver:
    """GPU number `device`, opened on its primary context, which TensorRT shares; use it in a `with`.

    `name` is one of DRIVERS, or "auto" for the first of them that is installed and loads. Raises MissingExtraError
    when there is none, EngineError when the driver is missing, too old or sees no GPU.
    """
    if name != "auto" and name not in DRIVERS:
        raise EngineError(f"there is no driver {name!r}", expected=f"auto, {' or '.join(DRIVERS)}")
    broken: EngineError | None = None
    for each in DRIVERS if name == "auto" else (name,):
        try:
            return OpenedDriver(_opened(each, device))
        except MissingExtraError:
            continue
        except _BrokenPackageError as error:
            broken = broken or error.as_engine_error()
    raise broken or MissingExtraError(DRIVERS[0] if name == "auto" else name, _EXTRA)


class _BrokenPackageError(Exception):
    """A package that is installed and does not load, mostly because libcuda.so.1 is missing or of another version."""

    def __init__(self, package: str, why: str) -> None:
        super().__init__(why)
        self.package = package

    def as_engine_error(self) -> EngineError:
        mend = f"install NVIDIA's driver (on a Jetson: JetPack), then {self.package} anew on this machine"
        return EngineError(f"{self.package} does not load: {self}", expected="a driver library that it fits", mend=mend)


def _opened(package: str, device: int) -> Calls:
    try:
        calls = _calls(package, device)
    except ModuleNotFoundError as error:
        if error.name in _MODULES[package]:
            raise MissingExtraError(package, _EXTRA) from error
        raise _BrokenPackageError(package, str(error)) from error
    except (ImportError, OSError, RuntimeError) as error:
        raise _BrokenPackageError(package, str(error)) from error
    except CallError as error:
        raise engine_error(error, Situation()) from error
    _check_driver(calls)
    return calls


def _calls(package: str, device: int) -> Calls:
    # Neither package is loaded before somebody opens a GPU with it.
    if package == "pycuda":
        from dis2_runtime.driver.pycuda import PycudaCalls

        return PycudaCalls(device)
    from dis2_runtime.driver.cuda_bindings import CudaBindingsCalls

    return CudaBindingsCalls(device)


def _check_driver(calls: Calls) -> None:
    if calls.device.driver_version >= OLDEST_DRIVER:
        return
    calls.close()
    found, oldest = (told_version(version) for version in (calls.device.driver_version, OLDEST_DRIVER))
    mend = "update the driver; on a Jetson, flash JetPack 6 or later"
    raise EngineError(
        f"the driver of {calls.device.name} serves CUDA {found}", expected=f"{oldest} or later", mend=mend
    )
