"""What a kernel takes of a multiprocessor: ptxas' report read, and how many of its blocks fit at once."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dis2_runtime.kernels.launching import cover

REGISTERS = 65_536
"""32-bit registers of a multiprocessor; the same on every architecture that we build for."""
WARP = 32
RESERVED_SHARED = 1024
"""Bytes of shared memory that CUDA keeps for itself in each block."""


@dataclass(frozen=True)
class Resources:
    """A row of the resource report."""

    kernel: str
    """The kernel's name in its module."""
    registers: int
    """Registers of a thread."""
    stack_bytes: int
    """Local memory of a thread: arrays that found no registers."""
    spill_bytes: int
    """Bytes stored to and loaded from local memory, as registers ran out."""
    shared_bytes: int
    """Static shared memory of a block; ours is dynamic, so 0."""
    barriers: int
    """Named barriers of a block."""


@dataclass(frozen=True)
class Limits:
    """What one multiprocessor holds at once."""

    threads: int
    blocks: int
    shared_bytes: int
    """Shared memory of all its blocks."""


LIMITS = {
    80: Limits(2048, 32, 164 << 10),
    86: Limits(1536, 16, 100 << 10),
    87: Limits(1536, 16, 164 << 10),
    89: Limits(1536, 24, 100 << 10),
    90: Limits(2048, 32, 228 << 10),
    100: Limits(2048, 32, 228 << 10),
    110: Limits(1536, 24, 228 << 10),
    120: Limits(1536, 24, 100 << 10),
}
"""By architecture, as the CUDA programming guide and cuda_occupancy.h of CUDA 13 tell them."""

_ENTRY = re.compile(r"Compiling entry function '(\w+)' for '\w+'(.*?)(?=Compiling entry function|\Z)", re.DOTALL)
_STACK = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_USED = re.compile(r"Used (\d+) registers")
_SHARED = re.compile(r"(\d+) bytes smem")
_BARRIERS = re.compile(r"used (\d+) barriers")


def report_of(log: str) -> tuple[Resources, ...]:
    """What ptxas reported, a row a kernel, by name; a row that cannot be read is left out."""
    rows = [_row(name, text) for name, text in _ENTRY.findall(log)]
    return tuple(sorted((row for row in rows if row is not None), key=lambda row: row.kernel))


def blocks_an_sm(row: Resources, architecture: int, threads: int, shared_bytes: int) -> int | None:
    """Blocks of `threads` with that much dynamic shared memory that one multiprocessor runs at once.

    None for an architecture whose limits are not known here.
    """
    limits = LIMITS.get(architecture)
    if limits is None:
        return None
    warps = cover(threads, WARP)
    a_warp = _rounded(row.registers * WARP, 256)
    by_registers = REGISTERS // 4 // a_warp * 4 // warps  # four schedulers, each with a quarter of the registers
    shared = _rounded(shared_bytes + row.shared_bytes + RESERVED_SHARED, 128)
    return min(limits.blocks, limits.threads // (warps * WARP), by_registers, limits.shared_bytes // shared)


def occupancy(blocks: int, threads: int, architecture: int) -> float:
    """Share of a multiprocessor's threads that `blocks` of `threads` fill, 0 to 1."""
    return blocks * threads / LIMITS[architecture].threads


def _row(name: str, text: str) -> Resources | None:
    stack, used = _STACK.search(text), _USED.search(text)
    if stack is None or used is None:
        return None
    shared, barriers = _SHARED.search(text), _BARRIERS.search(text)
    frame, stored, loaded = (int(number) for number in stack.groups())
    return Resources(
        name, int(used[1]), frame, stored + loaded, int(shared[1]) if shared else 0, int(barriers[1]) if barriers else 0
    )


def _rounded(size: int, step: int) -> int:
    return cover(size, step) * step
