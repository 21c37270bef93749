"""Kernels for the device that is here: the best choice that is right, and in words why not a better one."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from dis2_edge.errors import EngineError
from dis2_runtime.driver import Device
from dis2_runtime.kernels import notes
from dis2_runtime.kernels.building import FIRST_CLASS, PORTABLE, SOURCES, place_of, put
from dis2_runtime.kernels.compiler import Compiled, Compiler
from dis2_runtime.kernels.loading import Kernels, load, target_of
from tests.runtime.kernels.host_driver import HostDriver, HostModule
from tests.runtime.kernels.shim.building import build, compiler

needs_gxx = pytest.mark.skipif(compiler() is None, reason="no g++ here: apt-get install g++")
pytestmark = needs_gxx


def image(text: str | None = None) -> bytes:
    """What HostDriver takes as an image of `decide`: the path of its build."""
    return str(build("decide", text=text)).encode()


def wrong() -> bytes:
    """A build of `decide` that takes every pixel for certain."""
    source = (SOURCES / "decide.cu").read_text()
    return image(source.replace("255.0f / sum + 0.5f", "255.0f"))


def loaded(*folders: Path, driver: HostDriver | None = None, **how: Any) -> Kernels:
    return load(driver or HostDriver(), folders, ("decide",), **how)


def test_machine_code_of_the_device_comes_first(tmp_path: Path) -> None:
    put(tmp_path, "decide", "sm_87", image(), "13.0.88")
    put(tmp_path, "decide", PORTABLE, b"never read", "13.0.88")

    kernels = loaded(tmp_path)

    assert list(kernels.modules) == ["decide"]
    assert kernels.origins["decide"] == str(place_of(tmp_path, "decide", "sm_87"))
    assert kernels.reasons["decide"] == ()


def test_the_newest_ptx_that_the_device_takes_is_next(tmp_path: Path) -> None:
    for target in ("sm_80", "compute_80", PORTABLE, "compute_110"):
        put(tmp_path, "decide", target, image(), "13.0.88")
    assert loaded(tmp_path).origins["decide"].endswith("compute_87/decide.ptx")


def test_no_machine_code_of_an_older_architecture_is_tried(tmp_path: Path) -> None:
    for target in ("sm_80", "sm_86", "sm_90"):
        put(tmp_path, "decide", target, image(), "13.0.88")

    kernels = loaded(tmp_path)

    assert not kernels.modules
    assert "machine code for sm_80, sm_86, sm_90 does not run on sm_87" in kernels.why_not("decide")


def test_ptx_of_a_newer_architecture_is_told(tmp_path: Path) -> None:
    put(tmp_path, "decide", "compute_110", image(), "13.0.88")
    assert "PTX for compute_110 is for newer devices than sm_87" in loaded(tmp_path).why_not("decide")


def test_a_damaged_file_is_told_and_the_next_choice_taken(tmp_path: Path) -> None:
    put(tmp_path, "decide", "sm_87", image(), "13.0.88")
    place_of(tmp_path, "decide", "sm_87").write_bytes(b"half")
    put(tmp_path, "decide", PORTABLE, image(), "13.0.88")

    kernels = loaded(tmp_path)

    assert kernels.origins["decide"].endswith("decide.ptx")
    assert "decide.cubin is damaged" in kernels.why_not("decide")


def test_ptx_that_is_too_new_for_the_driver_is_told(tmp_path: Path) -> None:
    put(tmp_path, "decide", PORTABLE, image(), "13.0.88")
    kernels = loaded(tmp_path, driver=Refusing())
    assert not kernels.modules
    assert "compute_87/decide.ptx: the PTX is for a newer driver" in kernels.why_not("decide")


def test_a_kernel_that_is_wrong_is_not_handed_out(tmp_path: Path) -> None:
    put(tmp_path / "bad", "decide", "sm_87", wrong(), "13.0.88")
    assert "wrong on this device: " in loaded(tmp_path / "bad").why_not("decide")
    put(tmp_path / "good", "decide", "sm_87", image(), "13.0.88")

    kernels = loaded(tmp_path / "bad", tmp_path / "good")

    assert str(tmp_path / "good") in kernels.origins["decide"]


def test_a_device_that_fails_in_the_proofs_fails_nothing_else(tmp_path: Path) -> None:
    put(tmp_path, "decide", "sm_87", image(), "13.0.88")
    kernels = loaded(tmp_path, driver=Lost())
    assert not kernels.modules
    assert "the device is lost" in kernels.why_not("decide")


def test_what_was_proven_is_not_proven_at_the_next_start(tmp_path: Path) -> None:
    put(tmp_path, "decide", "sm_87", image(), "13.0.88")
    first, second, third = (loaded(tmp_path, driver=Counts(), notes=tmp_path / where) for where in "aab")
    assert [bool(one.proofs["decide"]) for one in (first, second, third)] == [True, False, True]
    assert second.modules
    loaded(tmp_path, driver=(quiet := Counts()), notes=tmp_path / "a")
    assert not quiet.launched


@pytest.mark.parametrize("change", ["device", "driver", "image", "code", "half a note", "no note", "other note"])
def test_a_proof_of_anything_else_does_not_count(tmp_path: Path, change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "decide", "sm_87", image(), "13.0.88")
    loaded(tmp_path, notes=tmp_path)
    (note,) = (tmp_path / notes.FOLDER).iterdir()
    driver = HostDriver()
    if change == "device":
        driver.device = dataclasses.replace(driver.device, multiprocessors=3)
    elif change == "driver":
        driver.device = dataclasses.replace(driver.device, driver_version=13_010)
    elif change == "image":
        put(tmp_path, "decide", "sm_87", wrong(), "13.0.88")
    elif change == "code":
        monkeypatch.setattr(notes, "_code", lambda: "of another day")
    elif change == "no note":
        note.unlink()
    else:
        text = note.read_text()
        note.write_text(text[:40] if change == "half a note" else text.replace('"decide"', '"prepare"'))
    kernels = loaded(tmp_path, driver=driver, notes=tmp_path)
    assert kernels.proofs.get("decide") if change != "image" else "wrong on this device" in kernels.why_not("decide")


def test_what_failed_is_not_noted_and_a_disk_that_refuses_fails_nothing(tmp_path: Path) -> None:
    put(tmp_path, "decide", "sm_87", wrong(), "13.0.88")
    for _ in range(2):
        assert "wrong on this device" in loaded(tmp_path, notes=tmp_path / "noted").why_not("decide")
    put(tmp_path, "decide", "sm_87", image(), "13.0.88")
    (tmp_path / "full").write_text("a file where the folder would be")
    assert loaded(tmp_path, notes=tmp_path / "full").modules


def test_what_is_missing_is_compiled_where_a_compiler_is(tmp_path: Path) -> None:
    kernels = loaded(tmp_path, compile_into=tmp_path / "made", compiler=Makes)
    assert kernels.origins["decide"] == "nvcc 13.0.88"
    assert loaded(tmp_path / "made").origins["decide"].endswith("sm_87/decide.cubin")


def test_a_compiler_is_asked_only_when_it_is_its_turn(tmp_path: Path) -> None:
    put(tmp_path, "decide", "sm_87", image(), "13.0.88")
    loaded(tmp_path, compile_into=tmp_path / "made", compiler=lambda: pytest.fail("asked"))
    assert not (tmp_path / "made").exists()


def test_without_anything_the_reason_says_what_to_type(tmp_path: Path) -> None:
    told = loaded(tmp_path / "none", compile_into=tmp_path, compiler=lambda: None).why_not("decide")
    assert "none is no folder" in told
    assert "dis2-edge[kernels]" in told
    assert "no folder of kernels was given" in loaded().why_not("decide")
    assert Kernels().why_not("decide") == "nobody asked for decide"


@pytest.mark.parametrize(
    ("capability", "target"), [((8, 7), "sm_87"), ((11, 0), "sm_110"), ((9, 0), "sm_90"), ((12, 1), "sm_121")]
)
def test_machine_code_is_named_by_the_capability(capability: tuple[int, int], target: str) -> None:
    assert target_of(Device("d", capability, 1, 1, 13000, False)) == target


class Counts(HostDriver):
    launched = 0

    def launch(self, *what: Any) -> None:
        self.launched += 1
        super().launch(*what)


class Refusing(HostDriver):
    def module(self, image: bytes) -> HostModule:
        raise EngineError("the PTX is for a newer driver")


class Lost(HostDriver):
    def stream(self) -> Any:
        raise EngineError("the device is lost")


class Makes(Compiler):
    """An nvcc whose images HostDriver takes."""

    def __init__(self) -> None:
        super().__init__(Path("nvcc"), "13.0.88", frozenset({*FIRST_CLASS, PORTABLE}))

    def compile(self, source: Path, target: str) -> Compiled:
        log = "Compiling entry function 'k' for 'sm_87'\n0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads"
        return Compiled(image(), f"{log}\nUsed 32 registers")
