"""Work recorded once and launched again and again, through the driver itself, under both packages."""

from __future__ import annotations

import numpy as np
import pytest

from dis2_runtime.driver.opening import open_driver
from tests.runtime.driver.trying import scaled, tells
from tests.runtime.pretend.child import Witness
from tests.runtime.pretend.host_work import HostWork
from tests.runtime.pretend.images import trivial_image
from tests.runtime.pretend.marking import on_pretend_gpu


@on_pretend_gpu()
def test_a_graph_does_again_what_was_captured_on_what_is_there_now(package: str) -> None:
    with open_driver(package) as driver:
        stream, memory = driver.stream(), driver.allocate(16)
        kernel = driver.module(trivial_image()).function("scale")
        given, back = (driver.pinned((4,), np.float32) for _ in range(2))
        back.array[:] = -1
        with driver.capture(stream) as captured:
            driver.copy_in(memory.address, given.array, stream)
            arguments = (memory.address, np.int32(4), np.float32(10))
            driver.launch(kernel, (4, 1, 1), (1, 1, 1), 0, stream, arguments)
            driver.copy_out(back.array, memory.address, stream)
        stream.synchronize()
        assert set(back.array) == {-1}, "a capture does nothing"
        for value in (1, 2, 3):
            given.array[:] = value
            captured.graph.launch(stream)
            stream.synchronize()
            assert set(back.array) == {value * 10}
    assert (Witness().calls("cuLaunchKernel"), Witness().calls("kernel")) == (1, 3)


@on_pretend_gpu()
def test_pageable_arrays_are_refused_and_the_stream_goes_on(package: str) -> None:
    with open_driver(package) as driver:
        stream, memory = driver.stream(), driver.allocate(16)
        with tells("pageable memory was captured"), driver.capture(stream):
            driver.copy_in(memory.address, np.zeros(4, np.float32), stream)
        driver.copy_in(memory.address, np.zeros(4, np.float32), stream)
        stream.synchronize()


@on_pretend_gpu(clean=False)
def test_what_cannot_be_captured_breaks_the_capture_only(package: str) -> None:
    with open_driver(package) as driver:
        stream = driver.stream()
        with tells("broke the capture"), driver.capture(stream):
            driver.allocate(16)
        with tells("broke the capture"), driver.capture(stream), tells("broke the capture"):
            stream.synchronize()
        assert scaled(driver, np.ones(4, np.float32), 2).tolist() == [2] * 4
    assert set(Witness().left()) == {"misuses"}


@on_pretend_gpu(fail="cuGraphInstantiateWithFlags:1=2")
def test_a_graph_for_which_there_is_no_memory(package: str) -> None:
    with open_driver(package) as driver:
        stream, memory = driver.stream(), driver.allocate(16)
        with tells("out of device memory .cuGraphInstantiate"), driver.capture(stream):
            driver.fill(memory.address, 0, 16, stream)


@on_pretend_gpu(fail="kernel:2=719", clean=False)
def test_a_kernel_of_a_graph_that_breaks(package: str) -> None:
    with tells("a kernel failed"), open_driver(package) as driver:
        stream, memory = driver.stream(), driver.allocate(16)
        kernel = driver.module(trivial_image()).function("scale")
        with driver.capture(stream) as captured:
            arguments = (memory.address, np.int32(4), np.float32(10))
            driver.launch(kernel, (4, 1, 1), (1, 1, 1), 0, stream, arguments)
        captured.graph.launch(stream)
        stream.synchronize()
        captured.graph.launch(stream)
        stream.synchronize()


@on_pretend_gpu()
def test_an_error_inside_a_capture_leaves_nothing_behind(package: str) -> None:
    with open_driver(package) as driver:
        stream, memory = driver.stream(), driver.allocate(16)
        with pytest.raises(ZeroDivisionError), driver.capture(stream):
            driver.fill(memory.address, 1 // (memory.bytes - 16), 16, stream)
        with driver.capture(stream) as captured:
            driver.fill(memory.address, 1, 16, stream)
        captured.graph.launch(stream)
        stream.synchronize()


@on_pretend_gpu()
def test_work_of_the_hosts_has_its_turn_like_any_other(package: str) -> None:
    work, seen = HostWork(), []
    with open_driver(package) as driver, driver.make_current():
        stream = driver.stream()
        values = driver.pinned((4,), np.uint8, mapped=True)
        driver.fill(values.address, 1, 4, stream)
        work.enqueue(stream.handle, lambda: seen.append(values.array.tolist()))
        driver.fill(values.address, 2, 4, stream)
        assert seen == []
        stream.synchronize()
        assert seen == [[1] * 4]
        with driver.capture(stream) as captured:
            work.enqueue(stream.handle, lambda: seen.append(values.array.tolist()))
        for _ in range(2):
            captured.graph.launch(stream)
        stream.synchronize()
        assert seen[1:] == [[2] * 4] * 2


@on_pretend_gpu(clean=False)
def test_work_of_the_hosts_that_fails_breaks_the_stream(package: str) -> None:
    work = HostWork()
    with tells("a kernel failed"), open_driver(package) as driver, driver.make_current():
        stream = driver.stream()
        work.enqueue(stream.handle, lambda: 1 // 0)
        stream.synchronize()
