"""Arguments of a kernel as the bytes that CUDA wants, and what can be seen to be wrong before a launch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dis2_edge.errors import EngineError
from dis2_runtime.driver import Argument, Device, Size3

__all__ = ["DEFAULT_SHARED", "check_array", "check_launch", "pack"]

DEFAULT_SHARED = 48 * 1024
"""Bytes of shared memory that a block may have without asking."""
_MOST_THREADS = 1024
_MOST_BLOCK: Size3 = (1024, 1024, 64)
_MOST_GRID: Size3 = (2**31 - 1, 65535, 65535)


def pack(name: str, arguments: Sequence[Argument]) -> bytes:
    """The arguments of kernel `name` one after the other, each at a multiple of its own size.

    An int is an address. EngineError for a null address, or for what has no size of its own.
    """
    packed = bytearray()
    for place, argument in enumerate(arguments):
        value = _bytes_of(f"argument {place} of {name}", argument)
        packed += bytes(-len(packed) % len(value)) + value
    return bytes(packed)


def check_launch(name: str, grid: Size3, block: Size3, shared: int, most_shared: int, device: Device) -> None:
    """EngineError when no GPU, or not this one, could start kernel `name` so."""
    for what, sizes, most in (("grid", grid, _MOST_GRID), ("block", block, _MOST_BLOCK)):
        if len(sizes) != 3 or any(not 1 <= size <= limit for size, limit in zip(sizes, most, strict=False)):
            raise EngineError(f"{what} of {name} is {tuple(sizes)}", expected=f"from 1 to {most}")
    if block[0] * block[1] * block[2] > _MOST_THREADS:
        raise EngineError(f"a block of {name} has {block[0] * block[1] * block[2]} threads", expected="at most 1024")
    if not 0 <= shared <= most_shared:
        found = f"{name} wants {shared} bytes of shared memory a block"
        raise EngineError(found, expected=f"at most {most_shared} on {device.name}", mend="take a smaller tile")


def check_array(array: npt.NDArray[Any], *, written: bool) -> npt.NDArray[np.uint8]:
    """`array` as its bytes; EngineError unless it is one piece of memory that may be read, or `written`."""
    if array.dtype.hasobject or array.nbytes == 0:
        raise EngineError(f"an array of {array.dtype}, shape {array.shape}", expected="numbers to copy")
    if not array.flags.c_contiguous or (written and not array.flags.writeable):
        raise EngineError("an array with gaps" if not array.flags.c_contiguous else "an array that is read-only")
    return array.reshape(-1).view(np.uint8)


def _bytes_of(what: str, argument: Argument) -> bytes:
    if isinstance(argument, np.generic) and argument.dtype.kind in "biufc":
        return argument.tobytes()
    if isinstance(argument, bool) or not isinstance(argument, int):
        kind = type(argument).__name__
        raise EngineError(f"{what} is a {kind}", expected="an address as int, or a NumPy scalar of the kernel's type")
    if not 0 < argument < 2**64:
        found = "a null address" if argument == 0 else f"no address: {argument}"
        raise EngineError(f"{what} is {found}", expected="memory of the device (a number goes as a NumPy scalar)")
    return int(argument).to_bytes(8, "little")
