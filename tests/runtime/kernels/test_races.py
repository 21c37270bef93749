"""What no barrier orders is found to be a race, in any order of the threads; what one orders is none."""

from __future__ import annotations

import numpy as np
import pytest

from dis2_edge.errors import EngineError
from tests.runtime.kernels.host_driver import HostDriver, HostModule
from tests.runtime.kernels.shim.building import build, compiler

pytestmark = pytest.mark.skipif(compiler() is None, reason="no g++ here: apt-get install g++")

NEIGHBOUR = (
    "DIS2_SHARED(float, s); s[threadIdx.x] = 1; {} if (blockIdx.x == 0) a[threadIdx.x] = s[(threadIdx.x + 1) % 64];"
)
COPY = "DIS2_SHARED(float, s); copy_async(s + 4 * threadIdx.x, a, {}); copy_commit(); "
RACES = {
    "byte [0-9]+ of shared memory, which thread [0-9]+ of block [01] (wrote|read)": NEIGHBOUR.format(""),
    "writes byte 0 of shared memory, which .* read": "DIS2_SHARED(float, s); s[threadIdx.x] = 0; block_barrier();"
    "if (s[0] < 0) a[0] = 1; if (threadIdx.x == 40) s[0] = 1;",
    "byte 0 of shared memory": "DIS2_SHARED(int, s); if (threadIdx.x == 40) s[0] = 0; atomicAdd(s, 1);"
    "if (a[threadIdx.x] < 0) a[0] = 1;",
    "has a copy on its way to": COPY.format("true") + "if (s[4 * threadIdx.x] < 0) a[0] = 1; copy_wait<0>();",
    "byte [0-9]+ of shared memory, which thread [0-9]+ of block [01] [wr]": COPY.format("false")
    + "copy_wait<0>(); uint32_t to[4]; load_matrices(to, s); if (to[0] == 1) a[0] = 1;",
    "writes byte 0 of global memory, which thread 0 of block [01] wrote": "if (threadIdx.x == 0) a[0] = blockIdx.x;",
    "byte 4 of global memory": "if (blockIdx.x == 0) a[threadIdx.x] = 1; else if (a[1] < 0) a[100] = 1;",
}
"""By what is said of it, a kernel's body."""
ORDERED = (
    NEIGHBOUR.format("block_barrier();"),
    "DIS2_SHARED(int, s); if (threadIdx.x == 0) s[0] = 0; block_barrier(); atomicAdd(s, 1); block_barrier();"
    "atomicAdd(a, 1.0f * s[0]);",
    COPY.format("true") + "copy_wait<0>(); block_barrier(); if (s[0] < 0) a[0] = 1;",
)


def look(text: str, schedule: int) -> None:
    """Run a kernel of that body, which has 1 KB of global memory, in two blocks of two warps, looking for races."""
    driver = HostDriver(schedule)
    source = f'#include "device.cuh"\nDIS2_KERNEL(trial, 64)(float* a) {{\n{text}\n}}\n'
    module, stream = HostModule(build("trial", text=source, races=True), driver), driver.stream()
    memory = driver.allocate(1024)
    driver.fill(memory.address, 0, 1024, stream)
    driver.launch(module.function("trial"), (2, 1, 1), (64, 1, 1), 1024, stream, (memory.address,))
    memory.free()


@pytest.mark.parametrize("said", RACES)
def test_what_no_barrier_orders_is_a_race_in_every_schedule(said: str) -> None:
    for schedule in range(4):
        with pytest.raises(EngineError, match=f"a race: .*{said}"):
            look(RACES[said], schedule)


@pytest.mark.parametrize("place", range(len(ORDERED)))
def test_what_is_ordered_is_none(place: int) -> None:
    for schedule in range(4):
        look(ORDERED[place], schedule)


def test_two_launches_are_ordered() -> None:
    driver = HostDriver()
    source = '#include "device.cuh"\nDIS2_KERNEL(trial, 32)(float* a, int n) { a[(threadIdx.x + n) % 32] = 1; }\n'
    module, memory = HostModule(build("trial", text=source, races=True), driver), driver.allocate(1024)
    for n in range(2):
        driver.launch(
            module.function("trial"), (1, 1, 1), (32, 1, 1), 0, driver.stream(), (memory.address, np.int32(n))
        )
