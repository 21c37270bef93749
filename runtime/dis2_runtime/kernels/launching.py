"""What every launcher shares: the checks before a launch, and what is wrong with an address."""

from __future__ import annotations

from dis2_edge.errors import EngineError
from dis2_runtime.driver import Size3

MOST_BLOCKS = 2_147_483_647
"""Blocks along x that a launch may have."""

MOST_SIZE = 1 << 30
"""Largest size that a kernel is told: half of what an int holds, so that a loop may step past it."""


def check_address(name: str, address: int, alignment: int) -> int:
    """`address` itself, or an EngineError: a kernel would read elsewhere, or end the whole CUDA context."""
    if address <= 0 or address % alignment:
        found = "null" if address <= 0 else f"{address:#x}"
        raise EngineError(f"{name} lies at {found}", expected=f"an address that {alignment} divides")
    return address


def check_positive(**sizes: int) -> None:
    """EngineError naming the first of `sizes` that is not 1 or more, or that a kernel's int could not step beyond."""
    for name, size in sizes.items():
        if size < 1:
            raise EngineError(f"{name} is {size}", expected="1 or more")
        if size > MOST_SIZE:
            raise EngineError(f"{name} is {size}", expected=f"at most {MOST_SIZE}")


def line_of(blocks: int) -> Size3:
    """A grid of that many blocks along x."""
    return (max(1, min(blocks, MOST_BLOCKS)), 1, 1)


def cover(count: int, each: int) -> int:
    """How many parts of `each` it takes to cover `count`."""
    return -(-count // each)
