"""What must not reach the GPU, or comes back from it as an error: over the real pycuda and cuda-bindings alike."""

from __future__ import annotations

import os

import numpy as np
import pytest

from dis2_edge.errors import InternalError
from dis2_runtime.driver.opening import open_driver
from tests.runtime.driver.trying import scaled, tells
from tests.runtime.pretend.child import Witness
from tests.runtime.pretend.images import trivial_image
from tests.runtime.pretend.marking import on_pretend_gpu


# Told no, pycuda collects garbage and asks a second time.
@on_pretend_gpu(gpu="memory=8388608", fail="cuMemAlloc:2=2;cuMemAlloc:3=2")
def test_out_of_memory_tells_what_was_asked_and_what_is_free(package: str) -> None:
    with open_driver(package) as driver:
        driver.allocate(2 * 2**20)
        with tells(r"no 3\.0 MiB to give .*; 6\.0 MiB of 8\.0 MiB are free.*free -m"):
            driver.allocate(3 * 2**20)
        assert driver.free_bytes() == 6 * 2**20


@on_pretend_gpu(gpu="memory=4096")
def test_more_than_the_gpu_has(package: str) -> None:
    with open_driver(package) as driver, tells("5000 bytes to give.*4096 bytes of 4096"):
        driver.allocate(5000)


@on_pretend_gpu(fail="cuMemHostAlloc:1=2")
def test_no_page_locked_memory(package: str) -> None:
    with open_driver(package) as driver, tells("has no 100 bytes"):
        driver.pinned((10, 10), np.uint8)


@on_pretend_gpu(gpu="cc=11.0")
def test_machine_code_of_another_architecture(package: str) -> None:
    with (
        open_driver(package) as driver,
        tells("no code for this GPU.*expected .*sm_110"),
    ):
        driver.module(trivial_image(87))


@on_pretend_gpu()
def test_ptx_of_another_architecture_is_named(package: str) -> None:
    with open_driver(package) as driver, tells("built for sm_90 .*expected .*sm_87"):
        driver.module(b"// made\n.version 8.0\n.target sm_90\n")


@on_pretend_gpu(gpu="driver=12060")
def test_ptx_of_a_newer_compiler(package: str) -> None:
    with (
        open_driver(package) as driver,
        tells(r"PTX of version 9\.0 .*serves CUDA 12\.6"),
    ):
        driver.module(b".version 9.0\n.target sm_87\n")


@on_pretend_gpu()
def test_a_damaged_module(package: str) -> None:
    with open_driver(package) as driver, tells("damaged or no module"):
        driver.module(b"neither PTX nor ELF")


@on_pretend_gpu()
def test_a_kernel_that_is_not_there(package: str) -> None:
    with open_driver(package) as driver, tells("has no 'missing'"):
        driver.module(trivial_image()).function("missing")


@on_pretend_gpu(clean=False)
def test_a_kernel_that_breaks_comes_out_at_the_next_wait_and_sticks(package: str) -> None:
    with tells("a kernel failed .*context is lost"), open_driver(package) as driver:
        stream = driver.stream()
        driver.launch(driver.module(trivial_image()).function("broken"), (1, 1, 1), (1, 1, 1), 0, stream, ())
        with tells("a kernel failed"):
            stream.synchronize()
        with tells("a kernel failed"):
            driver.allocate(10)
    assert not {"contexts", "misuses"} & Witness().left().keys()


@on_pretend_gpu(fail="kernel:1=700", clean=False)
def test_an_address_that_is_not_the_gpus(package: str) -> None:
    with tells("an address that is not the GPU's"), open_driver(package) as driver:
        scaled(driver, np.ones(4, np.float32), 2)


@on_pretend_gpu(clean=False)
def test_a_failure_that_nobody_waited_for_comes_out_at_the_end(package: str) -> None:
    with tells("a kernel failed"), open_driver(package) as driver:
        kernel = driver.module(trivial_image()).function("broken")
        driver.launch(kernel, (1, 1, 1), (1, 1, 1), 0, driver.stream(), ())


@on_pretend_gpu(clean=False)
def test_a_context_that_nothing_can_be_done_with_is_closed_all_the_same(package: str) -> None:
    for call in ("cuCtxPushCurrent", "cuCtxSynchronize", "cuDevicePrimaryCtxRelease"):
        os.environ["PRETEND_GPU_FAIL"] = ""
        Witness().forget()
        driver = open_driver(package)
        driver.allocate(8)
        os.environ["PRETEND_GPU_FAIL"] = f"{call}=719"
        with pytest.raises(ZeroDivisionError), driver:
            raise ZeroDivisionError  # an error on its way is not hidden by what follows from it
        with pytest.raises(InternalError, match="after it was closed"):
            driver.allocate(8)


@on_pretend_gpu(fail="cuLaunchKernel:1=701")
def test_a_launch_that_wants_too_much(package: str) -> None:
    with open_driver(package) as driver, tells("more registers or threads"):
        scaled(driver, np.ones(4, np.float32), 2)


@on_pretend_gpu()
def test_what_is_wrong_before_a_launch_never_gets_there(package: str) -> None:
    one = (1, 1, 1)
    with open_driver(package) as driver:
        kernel, stream = driver.module(trivial_image()).function("scale"), driver.stream()
        for grid, block, shared, arguments, told in (
            ((0, 1, 1), one, 0, (), "grid of scale"),
            ((1, 70000, 1), one, 0, (), "grid of scale"),
            (one, (64, 64, 1), 0, (), "4096 threads"),
            (one, one, 163 * 1024 + 1, (), "166913 bytes of shared memory.*at most 166912"),
            (one, one, 0, (0,), "argument 0 of scale is a null address"),
            (one, one, 0, (8, -1), "argument 1 of scale is no address"),
            (one, one, 0, (8, 2.5), "argument 1 of scale is a float"),
            (one, one, 0, (8, True), "argument 1 of scale is a bool"),
            (one, one, 0, (8, np.str_("a")), "argument 1 of scale is a str_"),
        ):
            with tells(told):
                driver.launch(kernel, grid, block, shared, stream, arguments)
    assert Witness().calls("cuLaunchKernel") == 0


@on_pretend_gpu()
def test_arrays_that_cannot_be_copied(package: str) -> None:
    with open_driver(package) as driver:
        stream, memory = driver.stream(), driver.allocate(64)
        fixed = np.zeros(4)
        fixed.setflags(write=False)
        with tells("with gaps"):
            driver.copy_in(memory.address, np.zeros((4, 4))[:, 1], stream)
        with tells("numbers to copy"):
            driver.copy_in(memory.address, np.zeros(0), stream)
        with tells("read-only"):
            driver.copy_out(fixed, memory.address, stream)
        with tells("the address 0x0"):
            driver.copy_in(0, np.zeros(4), stream)
        for wrong in ((0, "0 bytes"), (-1, "-1 bytes")):
            with tells(wrong[1]):
                driver.allocate(wrong[0])
        with tells("page-locked memory"):
            driver.pinned((0, 3), np.float32)


@on_pretend_gpu(clean=False)
def test_a_copy_beside_the_memory_is_the_drivers_error(package: str) -> None:
    with open_driver(package) as driver:
        memory = driver.allocate(15)
        with tells("refused a call .cuMemcpyHtoDAsync: invalid argument"):
            driver.copy_in(memory.address, np.zeros(4, np.float32), driver.stream())
        with tells("cuMemsetD8Async: invalid argument"):
            driver.fill(0xDEAD0000, 0, 4, driver.stream())


@on_pretend_gpu()
def test_after_its_end_it_is_an_error_of_ours(package: str) -> None:
    with open_driver(package) as driver:
        memory = driver.allocate(4)
    memory.free()
    with pytest.raises(InternalError, match="after it was closed"):
        driver.allocate(4)
