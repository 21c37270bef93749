"""The pretend GPU itself, through ctypes: what the packages over it must be able to rely on."""

from __future__ import annotations

import ctypes
import shutil
from collections.abc import Iterator

import pytest

from tests.runtime.pretend.images import trivial_image
from tests.runtime.pretend.kit import Worker, pretend_environment
from tests.runtime.pretend.library import HeaderMissingError


@pytest.fixture(scope="module")
def bare() -> Iterator[Worker]:
    if shutil.which("g++") is None:
        pytest.skip("no g++ here: apt-get install g++")
    try:
        environment = pretend_environment()
    except (HeaderMissingError, FileNotFoundError) as error:
        pytest.skip(f"the pretend GPU cannot be compiled: {error}")
    with Worker(environment) as worker:
        yield worker


def _opened() -> ctypes.CDLL:
    cuda = ctypes.CDLL("libcuda.so.1")
    context = ctypes.c_void_p()
    assert cuda.cuInit(0) == 0
    assert cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0) == 0
    assert cuda.cuCtxPushCurrent_v2(context) == 0
    return cuda


def _closed(cuda: ctypes.CDLL) -> None:
    assert cuda.cuCtxPopCurrent_v2(None) == 0
    assert cuda.cuDevicePrimaryCtxRelease_v2(0) == 0


def _allocated(cuda: ctypes.CDLL, size: int) -> ctypes.c_uint64:
    address = ctypes.c_uint64()
    assert cuda.cuMemAlloc_v2(ctypes.byref(address), ctypes.c_size_t(size)) == 0
    return address


def _freed_twice() -> None:
    cuda = _opened()
    address = _allocated(cuda, 10)
    assert cuda.cuMemFree_v2(address) == 0
    assert cuda.cuMemFree_v2(address) == 1
    _closed(cuda)


def _copied_too_far() -> None:
    cuda = _opened()
    address, host = _allocated(cuda, 10), ctypes.create_string_buffer(11)
    assert cuda.cuMemcpyHtoD_v2(address, host, ctypes.c_size_t(11)) == 1
    assert cuda.cuMemFree_v2(address) == 0
    _closed(cuda)


def _overrun() -> None:
    cuda = _opened()
    module, function, address = ctypes.c_void_p(), ctypes.c_void_p(), _allocated(cuda, 12)
    assert cuda.cuModuleLoadData(ctypes.byref(module), trivial_image()) == 0
    assert cuda.cuModuleGetFunction(ctypes.byref(function), module, b"overrun") == 0
    packed = ctypes.create_string_buffer(address.value.to_bytes(8, "little") + (3).to_bytes(4, "little"), 12)
    size = ctypes.c_size_t(12)
    extra = (ctypes.c_void_p * 5)(1, ctypes.addressof(packed), 2, ctypes.addressof(size), 0)
    launched = cuda.cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, None, None, extra)
    assert launched == 700, launched
    assert cuda.cuMemAlloc_v2(ctypes.byref(ctypes.c_uint64()), ctypes.c_size_t(4)) == 700, (
        "a failure of a kernel sticks"
    )
    _closed(cuda)


def _forgotten_memory() -> None:
    cuda = _opened()
    _allocated(cuda, 10)
    _closed(cuda)


@pytest.mark.parametrize("misuse", [_freed_twice, _copied_too_far, _overrun, _forgotten_memory])
def test_a_misuse_is_an_error_and_told(bare: Worker, misuse: object) -> None:
    with pytest.raises(AssertionError, match="left behind on the pretend GPU"):
        bare.call(misuse)
    bare.call(misuse, clean=False)


def _no_context() -> None:
    cuda = ctypes.CDLL("libcuda.so.1")
    assert cuda.cuInit(0) == 0
    assert cuda.cuMemAlloc_v2(ctypes.byref(ctypes.c_uint64()), ctypes.c_size_t(4)) == 201


def test_a_thread_without_a_context_gets_nothing(bare: Worker) -> None:
    bare.call(_no_context)


def _dies() -> None:
    ctypes.string_at(0)


def test_a_child_that_dies_fails_its_test_and_no_other(bare: Worker) -> None:
    with pytest.raises(AssertionError, match="the child of the pretend GPU ended with -11"):
        bare.call(_dies)
    bare.call(_no_context)
