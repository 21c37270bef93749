"""What goes into a launch, and what a module says of itself: no GPU needed, not even a pretended one."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dis2_edge.errors import EngineError
from dis2_runtime.driver import Device
from dis2_runtime.driver.failures import CallError, Situation, engine_error, image_needs
from dis2_runtime.driver.packing import pack

ORIN = Device("Orin", (8, 7), 16, 2**33, 12060, True)
_C = {
    np.int8: ctypes.c_int8,
    np.uint8: ctypes.c_uint8,
    np.int16: ctypes.c_int16,
    np.float32: ctypes.c_float,
    np.int32: ctypes.c_int32,
    np.float64: ctypes.c_double,
    np.uint64: ctypes.c_uint64,
}


@given(st.lists(st.tuples(st.sampled_from(list(_C)), st.integers(0, 100)), min_size=1, max_size=12))
def test_arguments_lie_as_in_a_c_structure(arguments: list[tuple[type, int]]) -> None:
    class Whole(ctypes.Structure):
        _fields_ = [(f"f{place}", _C[kind]) for place, (kind, _) in enumerate(arguments)]

    whole = Whole(*(value for _, value in arguments))
    last = Whole._fields_[-1][0]
    size = getattr(Whole, last).offset + getattr(Whole, last).size  # CUDA wants no padding at the end
    packed = pack("k", [kind(value) for kind, value in arguments])
    assert len(packed) == size
    for place, (kind, value) in enumerate(arguments):
        assert np.frombuffer(packed, kind, 1, getattr(Whole, f"f{place}").offset)[0] == value
    assert Whole.from_buffer_copy(packed.ljust(ctypes.sizeof(Whole), b"\0")).f0 == whole.f0


def test_a_half_takes_two_bytes_and_an_address_eight() -> None:
    assert pack("k", [np.float16(1), 0x1122334455667788]) == b"\x00\x3c" + bytes(6) + bytes.fromhex("8877665544332211")


@pytest.mark.parametrize(
    ("image", "needs"),
    [
        (b"//\n.version 8.5\n.target sm_87\n", ("sm_87", "8.5")),
        (b".target sm_110a, debug", ("sm_110a", "")),
        (b"", ("", "")),
        (b"\x7fELF" + bytes(8), ("", "")),
        (b"\x7fELF" + bytes(14) + (62).to_bytes(2, "little") + bytes(40), ("", "")),
    ],
)
def test_what_an_image_needs(image: bytes, needs: tuple[str, str]) -> None:
    assert image_needs(image) == needs


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="no nvcc: install the CUDA toolkit")
@pytest.mark.parametrize("architecture", ["sm_87", "sm_110"])
def test_what_a_cubin_of_nvcc_needs(architecture: str, tmp_path: Path) -> None:
    source, cubin = tmp_path / "k.cu", tmp_path / "k.cubin"
    source.write_text('extern "C" __global__ void k() {}\n')
    subprocess.run(["nvcc", f"-arch={architecture}", "-cubin", source, "-o", cubin], check=True, capture_output=True)
    assert image_needs(cubin.read_bytes()) == (architecture, "")


def test_the_older_layout_of_a_cubin() -> None:
    old = bytearray(b"\x7fELF" + bytes(60))
    old[8], old[18], old[48:52] = 7, 190, (0x00560557).to_bytes(4, "little")
    assert image_needs(bytes(old)) == ("sm_87", "")


# Every code that a board can meet, and words that its message must hold.
_WORDS = {
    1: "refused a call",
    2: "out of device memory",
    3: "not initialised",
    34: "stub",
    100: "sees no GPU",
    101: "no such GPU",
    200: "damaged or no module",
    201: "no CUDA context",
    209: "no code for this GPU",
    218: "damaged or no module",
    221: "no compiler for PTX",
    222: "PTX of version",
    304: "operating system",
    400: "refused a call",
    500: "the module has no 'such symbol'",
    700: "an address that is not the GPU's",
    701: "more registers or threads",
    702: "time limit",
    709: "destroyed by somebody else",
    710: "assertion",
    714: "stack error",
    715: "illegal instruction",
    716: "misaligned address",
    717: "wrong space",
    718: "invalid place",
    719: "a kernel failed",
    801: "does not support",
    803: "two versions",
    804: "so new a CUDA",
    900: "broke the capture",
    908: "broke the capture",
    999: "refused a call",
    12345: "refused a call",
}


@pytest.mark.parametrize("code", _WORDS)
def test_every_failure_is_told_with_the_drivers_own_words(code: int) -> None:
    for situation in (Situation(), Situation(ORIN)):
        error = engine_error(CallError("cuThis", code, "its words"), situation)
        assert isinstance(error, EngineError)
        assert _WORDS[code] in str(error)
        assert "cuThis" in str(error) or code == 500


def test_ptx_that_does_not_compile_blames_its_version_where_it_has_one() -> None:
    error = engine_error(CallError("c", 218, "t"), Situation(ORIN, b".version 9.0\n.target sm_87\n"))
    assert "PTX of version 9.0" in str(error)
    assert "12.6" in str(error)
