"""The machine that kernels run on in tests: its words mean what the hardware's do, and it is as unkind as hardware."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from dis2_edge.errors import EngineError
from tests.runtime.kernels.host_driver import HostDriver, HostModule
from tests.runtime.kernels.shim.building import build, compiler, kernels_of

pytestmark = pytest.mark.skipif(compiler() is None, reason="no g++ here: apt-get install g++")


def run(text: str, *buffers: npt.NDArray[Any], threads: int = 64, blocks: int = 1, schedule: int = 0) -> None:
    """Build a kernel called `trial` with that body, whose arguments `a`, `b`, ... point to float, and run it."""
    names = ", ".join(f"float* {name}" for name, _ in zip("abcdef", buffers, strict=False))
    source = f"DIS2_KERNEL(trial, 256)({names}) {{\n{text}\n}}\n"
    driver = HostDriver(schedule)
    module = HostModule(build("trial", text=f'#include "device.cuh"\n{source}'), driver)
    addresses = [buffer.ctypes.data for buffer in buffers]
    driver.launch(module.function("trial"), (blocks, 1, 1), (threads, 1, 1), 1024, driver.stream(), addresses)


NEIGHBOUR = """
    DIS2_SHARED(float, s);
    s[threadIdx.x] = 1.0f * threadIdx.x;
    {}
    a[threadIdx.x] = s[(threadIdx.x + 1) % 64];
"""


@pytest.mark.parametrize("schedule", range(4))
def test_a_barrier_lets_threads_see_each_other(schedule: int) -> None:
    found = np.zeros(64, np.float32)

    run(NEIGHBOUR.format("block_barrier();"), found, schedule=schedule)

    np.testing.assert_array_equal(found, np.roll(np.arange(64), -1))


@pytest.mark.parametrize("schedule", range(4))
def test_without_it_some_see_poison(schedule: int) -> None:
    found = np.zeros(64, np.float32)

    run(NEIGHBOUR.format(""), found, schedule=schedule)

    assert np.isnan(found).any()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("if (threadIdx.x < 32) block_barrier(); a[0] = 1;", "for threads that have ended"),
        ("if (threadIdx.x < 32) block_barrier();\nelse block_barrier(); a[0] = 1;", "threads met at barriers of lines"),
        ("if (threadIdx.x % 2) a[threadIdx.x] = shuffle_xor(1.0f, 1);", "for threads that have ended"),
        ("if (threadIdx.x % 2) shuffle(1.0f, 0); else a[0] = shuffle_xor(1.0f, 1);", "a warp met for"),
        (
            "int n;\nif (threadIdx.x % 2) n = votes(true);\nelse n = votes(false); a[threadIdx.x] = n;",
            r"a warp met for votes at lines \d and \d",
        ),
        ("uint32_t to[4]; load_matrices(to, reinterpret_cast<char*>(a) + 2);", "not aligned to 16 bytes"),
        ("DIS2_SHARED(float, s); copy_async(s + 1, a, true);", "not aligned to 16 bytes"),
    ],
)
def test_what_would_hang_or_break_a_gpu_is_an_error(text: str, said: str) -> None:
    with pytest.raises(EngineError, match=said):
        run(text, np.zeros(64, np.float32))


def test_a_copy_is_poison_until_it_was_waited_for() -> None:
    begin = (
        "DIS2_SHARED(float, s); copy_async(s + 4 * threadIdx.x, a + 4 * threadIdx.x, threadIdx.x < 8); copy_commit();"
    )
    given, early, late = np.arange(256, dtype=np.float32), np.zeros(32, np.float32), np.zeros(64, np.float32)

    run(f"{begin} b[threadIdx.x] = s[4 * threadIdx.x]; copy_wait<0>();", given, early, threads=32)
    run(f"{begin} copy_wait<0>(); block_barrier(); b[threadIdx.x] = s[threadIdx.x];", given, late, threads=64)

    assert np.isnan(early).all()
    np.testing.assert_array_equal(late, np.where(np.arange(64) < 32, np.arange(64), 0))


def test_shuffles_and_votes() -> None:
    found = np.zeros((3, 32), np.float32)

    run(
        "int lane = threadIdx.x; a[lane] = shuffle_xor(1.0f * lane, 5); a[32 + lane] = shuffle(2.0f * lane, 7);"
        "a[64 + lane] = votes(lane < 11);",
        found,
        threads=32,
    )

    np.testing.assert_array_equal(found, [np.arange(32) ^ 5, np.full(32, 14), np.full(32, 11)])


def test_reductions_of_a_warp() -> None:
    values = np.random.default_rng(0).integers(0, 1 << 20, 64).astype(np.float32)
    found = np.zeros((4, 64), np.float32)

    run(
        "int i = threadIdx.x; unsigned own = static_cast<unsigned>(a[i]); b[i] = warp_sum(own);"
        "b[64 + i] = warp_least(own); b[128 + i] = warp_most(own); b[192 + i] = bits_set(own);",
        values,
        found,
    )

    for reduce, row in zip((np.sum, np.min, np.max), found, strict=False):
        np.testing.assert_array_equal(row, np.repeat([reduce(values[:32]), reduce(values[32:])], 32).astype(np.float32))
    np.testing.assert_array_equal(found[3], [int(value).bit_count() for value in values])


HALVES = """
    uint32_t x[4], y[2];
    float sum[4] = {{1, 1, 1, 1}};
    const uint32_t* one = reinterpret_cast<const uint32_t*>(a);  // rows of 16 halves
    int g = threadIdx.x / 4, t = threadIdx.x % 4;
    for (int r = 0; r < 4; ++r) x[r] = one[(g + 8 * (r % 2)) * 8 + t + 4 * (r / 2)];
    const uint32_t* two = reinterpret_cast<const uint32_t*>(b);  // columns of 16 halves
    for (int r = 0; r < 2; ++r) y[r] = two[g * 8 + t + 4 * r];
    mma_16x8x16(sum, x, y);
    for (int r = 0; r < 4; ++r) c[(g + 8 * (r / 2)) * 8 + 2 * t + r % 2] = sum[r];
"""


def test_a_product_of_halves() -> None:
    random = np.random.default_rng(0)
    one, two = random.standard_normal((16, 16)).astype(np.float16), random.standard_normal((16, 8)).astype(np.float16)
    found = np.zeros((16, 8), np.float32)

    run(HALVES.format(), one, np.ascontiguousarray(two.T), found, threads=32)

    np.testing.assert_allclose(found, 1 + one.astype(np.float32) @ two.astype(np.float32), rtol=1e-5, atol=1e-5)


def test_some_schedules_compute_as_loosely_as_the_hardware() -> None:
    random = np.random.default_rng(1)
    one, two = random.random((16, 16)).astype(np.float16), random.random((16, 8)).astype(np.float16)
    found, powers = np.zeros((16, 8), np.float32), np.zeros(64, np.float32)
    exact = 1 + one.astype(np.float64) @ two.astype(np.float64)

    run(HALVES.format(), one, np.ascontiguousarray(two.T), found, threads=32, schedule=1)
    run("a[threadIdx.x] = exp2_of(threadIdx.x * 0.37f - 160.0f * (threadIdx.x == 63));", powers, schedule=1)

    assert (found <= exact).all()  # what does not fit is cut
    assert (found < exact.astype(np.float32)).any()
    np.testing.assert_allclose(found, exact, rtol=2e-6)
    wanted = np.exp2(np.arange(63, dtype=np.float32) * np.float32(0.37))
    assert (powers[:63] != wanted).any()
    np.testing.assert_allclose(powers[:63], wanted, rtol=2.0**-21)
    assert powers[63] == 0  # below the smallest normal number


def test_a_product_of_bytes() -> None:
    random = np.random.default_rng(0)
    one, two = random.integers(-128, 128, (16, 32), np.int8), random.integers(-128, 128, (32, 8), np.int8)
    found = np.zeros((16, 8), np.float32)

    text = HALVES.format().replace("float sum[4]", "int sum[4]").replace("16x8x16", "16x8x32")
    run(text, one, np.ascontiguousarray(two.T), found, threads=32)

    np.testing.assert_array_equal(found, 1 + one.astype(int) @ two.astype(int))


@pytest.mark.parametrize("turned", [False, True])
def test_matrices_from_shared_memory(turned: bool) -> None:
    given, found = np.arange(256, dtype=np.float16).reshape(4, 8, 8), np.zeros((32, 8), np.float16)

    run(
        "DIS2_SHARED(uint4, s); s[threadIdx.x] = reinterpret_cast<const uint4*>(a)[threadIdx.x]; block_barrier();"
        f"uint32_t to[4]; load_matrices{'_transposed' * turned}(to, s + threadIdx.x);"
        "reinterpret_cast<uint4*>(b)[threadIdx.x] = make_uint4(to[0], to[1], to[2], to[3]);",
        given,
        found,
        threads=32,
    )

    matrices = given.transpose(0, 2, 1) if turned else given
    for lane in range(32):
        expected = matrices[:, lane // 4, lane % 4 * 2 : lane % 4 * 2 + 2]
        np.testing.assert_array_equal(found[lane].reshape(4, 2), expected)


def test_packed_arguments_lie_as_cuda_lays_them() -> None:
    text = (
        '#include "device.cuh"\nDIS2_KERNEL(trial, 32)(int n, float* a, half h, double d) { a[n] = to_float(h) + d; }'
    )
    found = np.zeros(4, np.float32)
    library = ctypes.CDLL(str(build("trial", text=text)))
    one = (ctypes.c_uint * 3)(1, 1, 1)
    block = (ctypes.c_uint * 3)(32, 1, 1)
    fields = [("n", "<i4"), ("a", "<u8"), ("h", "<f2"), ("d", "<f8")]
    packed = np.array((3, found.ctypes.data, 0.5, 2.0), np.dtype(fields, align=True)).tobytes()

    assert library.trial__launch(one, block, 0, None, packed, ctypes.c_size_t(len(packed))) == 0
    assert library.trial__launch(one, block, 0, None, packed, ctypes.c_size_t(len(packed) - 8)) == 1
    np.testing.assert_array_equal(found, [0, 0, 0, 2.5])


@pytest.mark.parametrize("last", [np.int64(3), np.uint32(3), np.float32(3), 3])
def test_an_argument_of_another_type_is_refused(last: Any) -> None:
    text = '#include "device.cuh"\nDIS2_KERNEL(trial, 32)(float* a, int n) { a[0] = n; }'
    driver = HostDriver()
    module, found = HostModule(build("trial", text=text), driver), np.zeros(4, np.float32)

    def give(n: Any) -> None:
        driver.launch(module.function("trial"), (1, 1, 1), (32, 1, 1), 0, driver.stream(), (found.ctypes.data, n))

    give(np.int32(5))
    with pytest.raises(EngineError, match=r"trial is given \* .*expected \* i4"):
        give(last)
    assert found[0] == 5


@pytest.mark.parametrize(("blocks", "threads"), [(0, 32), (1, 33), (1, 512), (1, 0)])
def test_a_bad_block_is_refused(blocks: int, threads: int) -> None:
    with pytest.raises(EngineError, match="bad grid or block"):
        run("a[0] = 1;", np.zeros(4, np.float32), blocks=blocks, threads=threads)


def test_kernels_made_by_a_macro_are_found() -> None:
    source = '#include "device.cuh"\n#define BOTH(name, T) DIS2_KERNEL(name, 64)(T* a) { a[0] = 1; }\n'

    assert kernels_of(source + "BOTH(one, float)\nBOTH(two, int)") == [("one", 64), ("two", 64)]
