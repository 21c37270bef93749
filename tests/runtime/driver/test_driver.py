"""Memory, kernels, events, threads: over the real pycuda and the real cuda-bindings, on the pretend GPU."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from dis2_edge.errors import InternalError
from dis2_runtime.driver.opening import open_driver
from tests.runtime.driver.trying import scaled
from tests.runtime.pretend.child import Witness
from tests.runtime.pretend.images import trivial_image
from tests.runtime.pretend.marking import on_pretend_gpu


@on_pretend_gpu(gpu="name=Thor;cc=11.0;sms=20;memory=12345;driver=13000;integrated=0")
def test_the_device_as_it_says(package: str) -> None:
    with open_driver(package) as driver:
        device = driver.device
    assert (device.name, device.capability, device.multiprocessors) == ("Thor", (11, 0), 20)
    assert (device.memory_bytes, device.driver_version, device.integrated) == (12345, 13000, False)
    assert driver.name == package


@on_pretend_gpu()
def test_a_kernel_on_copied_arrays(package: str) -> None:
    values = np.arange(1000, dtype=np.float32)
    with open_driver(package) as driver:
        assert np.array_equal(scaled(driver, values, 3), values * 3)


@on_pretend_gpu()
def test_arguments_stand_where_a_kernel_looks_for_them(package: str) -> None:
    with open_driver(package) as driver:
        stream, memory, out = driver.stream(), driver.allocate(32), np.empty(4)
        kernel = driver.module(trivial_image()).function("spread")
        arguments = (np.int8(-3), np.float64(1e300), np.int16(-777), memory.address)
        driver.launch(kernel, (1, 1, 1), (1, 1, 1), 100 * 1024, stream, arguments)
        driver.copy_out(out, memory.address, stream)
        driver.launch(kernel, (1, 1, 1), (1, 1, 1), 90 * 1024, stream, arguments)
        stream.synchronize()
    assert out.tolist() == [-3, 1e300, -777, 100 * 1024]
    assert Witness().calls("cuFuncSetAttribute") == 1, "opted in once, for the most"


@on_pretend_gpu()
def test_nothing_is_there_before_the_stream_was_waited_for(package: str) -> None:
    with open_driver(package) as driver:
        stream, memory = driver.stream(), driver.allocate(8)
        out = driver.pinned((8,), np.uint8)
        out.array[:] = 1
        driver.fill(memory.address, 7, 8, stream)
        driver.copy_out(out.array, memory.address, stream)
        assert set(out.array) == {1}
        stream.synchronize()
        assert set(out.array) == {7}


@on_pretend_gpu()
def test_mapped_memory_needs_no_copies(package: str) -> None:
    with open_driver(package) as driver:
        shared, plain = driver.pinned((4,), np.float32, mapped=True), driver.pinned((4,), np.float32)
        shared.array[:] = (1, 2, 3, 4)
        stream, kernel = driver.stream(), driver.module(trivial_image()).function("scale")
        driver.launch(kernel, (4, 1, 1), (1, 1, 1), 0, stream, (shared.address, np.int32(4), np.float32(0.5)))
        stream.synchronize()
        assert shared.array.tolist() == [0.5, 1, 1.5, 2]
        assert plain.address == 0
        assert shared.address != 0
    assert shared.array.size == 0, "nothing to look at after the end"


@on_pretend_gpu()
def test_halves_and_whole_pictures_travel(package: str) -> None:
    with open_driver(package) as driver:
        for array in (
            np.arange(24, dtype=np.float16).reshape(2, 3, 4),
            np.array(5, np.int64),
            np.ones((2, 2), bool),
        ):
            stream, memory, back = driver.stream(), driver.allocate(array.nbytes), np.empty_like(array)
            driver.copy_in(memory.address, array, stream)
            driver.copy_out(back, memory.address, stream)
            stream.synchronize()
            assert np.array_equal(back, array)


@on_pretend_gpu()
def test_events_tell_the_time_between(package: str) -> None:
    with open_driver(package) as driver:
        stream, memory, begin, end = driver.stream(), driver.allocate(2**20), driver.event(), driver.event()
        begin.record(stream)
        for value in range(20):
            driver.fill(memory.address, value, 2**20, stream)
        end.record(stream)
        assert 0 < end.elapsed_ms(begin) < 60_000


@on_pretend_gpu()
def test_memory_is_aligned_and_freed_once(package: str) -> None:
    with open_driver(package) as driver:
        memories = [driver.allocate(size) for size in (1, 257, 4096)]
        assert all(memory.address % 256 == 0 for memory in memories)
        for memory in (*memories, *memories):
            memory.free()
        assert driver.free_bytes() == driver.device.memory_bytes


@on_pretend_gpu()
def test_opened_in_one_thread_used_and_closed_in_another(package: str) -> None:
    driver = open_driver(package)
    kept, told = driver.allocate(16), []

    def work() -> None:
        with driver, driver.make_current(), driver.make_current():
            told.append(scaled(driver, np.ones(4, np.float32), 5).tolist())
            kept.free()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert told == [[5.0] * 4]
    assert Witness().calls("cuDevicePrimaryCtxRetain") == Witness().calls("cuDevicePrimaryCtxRelease") == 1


@on_pretend_gpu()
def test_a_context_is_taken_off_in_the_thread_that_it_was_put_on(package: str) -> None:
    told = []

    def leave() -> None:
        with pytest.raises(InternalError, match="left in another thread"):
            inside.__exit__(None, None, None)
        told.append(Witness().left().get("contexts", 0))

    with open_driver(package) as driver:
        inside = driver.make_current()
        with driver.make_current():
            inside.__enter__()
            thread = threading.Thread(target=leave)
            thread.start()
            thread.join()
        assert told == [0]
        assert Witness().left().get("contexts", 0) == 0


@on_pretend_gpu()
def test_two_at_once_and_one_after_the_other(package: str) -> None:
    with open_driver(package) as first, open_driver(package) as second:
        assert scaled(first, np.ones(2, np.float32), 2).tolist() == [2, 2]
        assert scaled(second, np.ones(2, np.float32), 3).tolist() == [3, 3]
    with open_driver(package) as third:
        assert scaled(third, np.ones(2, np.float32), 4).tolist() == [4, 4]
