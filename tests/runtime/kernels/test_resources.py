"""The resource report is read, and how many blocks fit is counted as CUDA's own table counts."""

from __future__ import annotations

import pytest

from dis2_runtime.kernels.resources import Resources, blocks_an_sm, occupancy, report_of

LOG = """\
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'second' for 'sm_90'
ptxas info    : Function properties for second
    96 bytes stack frame, 40 bytes spill stores, 24 bytes spill loads
ptxas info    : Used 255 registers, used 2 barriers, 96 bytes cumulative stack size, 4096 bytes smem, 400 bytes cmem[0]
ptxas info    : Compile time = 12.000 ms
ptxas info    : Compiling entry function 'first' for 'sm_90'
ptxas info    : Function properties for first
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 32 registers
"""


def test_every_kernel_has_its_row() -> None:
    assert report_of(LOG) == (Resources("first", 32, 0, 0, 0, 0), Resources("second", 255, 96, 64, 4096, 2))


@pytest.mark.parametrize("log", ["", "ptxas info : nothing of the kind", LOG.partition("Used")[0]])
def test_what_cannot_be_read_gives_no_row(log: str) -> None:
    assert report_of(log) == ()


def row(registers: int, shared: int = 0) -> Resources:
    return Resources("k", registers, 0, 0, shared, 1)


@pytest.mark.parametrize(
    ("registers", "architecture", "threads", "shared", "blocks"),
    [
        (32, 87, 256, 0, 6),  # 1,536 threads
        (32, 90, 256, 0, 8),  # 2,048 threads
        (64, 90, 256, 0, 4),  # 65,536 registers
        (40, 90, 256, 0, 6),  # 40 registers of 8 warps: 6.4 blocks
        (255, 90, 256, 0, 1),
        (16, 87, 32, 0, 16),  # blocks
        (32, 87, 128, 40 << 10, 4),  # 164 KiB of shared memory, 41 a block
        (32, 110, 128, 100 << 10, 2),  # 228 KiB
        (32, 87, 128, 200 << 10, 0),
    ],
)
def test_blocks_that_fit(registers: int, architecture: int, threads: int, shared: int, blocks: int) -> None:
    assert blocks_an_sm(row(registers), architecture, threads, shared) == blocks


def test_static_and_dynamic_shared_memory_add_up() -> None:
    assert blocks_an_sm(row(32, 20 << 10), 87, 128, 20 << 10) == blocks_an_sm(row(32), 87, 128, 40 << 10)


def test_limits_that_are_not_known_give_no_number() -> None:
    assert blocks_an_sm(row(32), 75, 128, 0) is None


def test_occupancy_is_a_share_of_the_threads() -> None:
    assert occupancy(6, 256, 90) == 0.75
