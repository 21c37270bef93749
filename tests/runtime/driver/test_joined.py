"""Work on a stream that is another's: in its order, and captured with it, under both packages."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from dis2_edge.errors import EngineError
from dis2_runtime.driver import DRIVERS
from dis2_runtime.driver.joined import Joined
from dis2_runtime.driver.libcuda import call
from dis2_runtime.driver.opening import open_driver
from tests.runtime.pretend.images import trivial_image
from tests.runtime.pretend.kit import Worker, lacking, pretend_environment, run_pretend


def scaled_between(name: str, captured: bool) -> list[float]:
    """A copy on one stream, a kernel joined to it, a copy on it again; twice where it was captured."""
    with open_driver(name) as driver, driver.make_current():
        stream, joined = driver.stream(), Joined(driver)
        data = driver.pinned((4,), np.float32)
        memory, kernel = driver.allocate(16), driver.module(trivial_image()).function("scale")
        data.array[:] = 1

        def work() -> None:
            driver.copy_in(memory.address, data.array, stream)
            with joined.on(stream.handle) as own:
                arguments = (memory.address, np.int32(4), np.float32(3))
                driver.launch(kernel, (4, 1, 1), (1, 1, 1), 0, own, arguments)
            driver.copy_out(data.array, memory.address, stream)

        if captured:
            with driver.capture(stream) as found:
                work()
            assert data.array.tolist() == [1] * 4
            for _ in range(2):
                found.graph.launch(stream)
        else:
            work()
        stream.synchronize()
        joined.free()
        return [float(value) for value in data.array]


def unknown_stream(name: str) -> str:
    with open_driver(name) as driver, driver.make_current():
        joined, handle = Joined(driver), ctypes.c_void_p()
        call("cuEventCreate", ctypes.byref(handle), 0)
        try:
            with joined.on(handle.value or 0):
                raise AssertionError("it was taken")
        except EngineError as error:
            return str(error)
        finally:
            call("cuEventDestroy_v2", handle)
            joined.free()


@pytest.mark.parametrize("name", DRIVERS)
@pytest.mark.parametrize(("captured", "factor"), [(False, 3), (True, 9)])
def test_joined_work_stands_in_the_others_order(name: str, captured: bool, factor: int) -> None:
    if why := lacking(name):
        pytest.skip(why)
    assert run_pretend(scaled_between, name, captured, driver=name) == [factor] * 4


def test_what_is_no_stream_is_an_engine_error() -> None:
    if why := lacking("pycuda"):
        pytest.skip(why)
    with Worker(pretend_environment("pycuda")) as worker:
        assert "cuEventRecord" in worker.call(unknown_stream, "pycuda", clean=False)  # it notes the misuse
