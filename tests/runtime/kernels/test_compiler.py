"""nvcc: found where it may lie, asked what it can, its failures in our words. No nvcc is needed here."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from dis2_edge.errors import EngineError
from dis2_runtime.kernels import compiler as compilers
from dis2_runtime.kernels.compiler import Compiler, check_target, find_compiler, number_of

PLAYED = """#!/bin/sh
case "$1" in
  --version) echo "Cuda compilation tools, release 13.0, V13.0.88" ;;
  --list-gpu-code) echo sm_87; echo sm_110 ;;
  --list-gpu-arch) echo compute_87 ;;
  *) {rest} ;;
esac
"""
MACHINE_CODE = frozenset({"sm_87"})


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No nvcc of this machine; each test plays its own."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    for name in ("CUDA_HOME", "CUDA_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "path", [])
    real = Path.is_file
    monkeypatch.setattr(Path, "is_file", lambda self: str(self) != "/usr/local/cuda/bin/nvcc" and real(self))
    compilers._asked.cache_clear()


def played(folder: Path, rest: str = "exit 1") -> Path:
    folder.mkdir(parents=True)
    file = folder / "nvcc"
    file.write_text(PLAYED.format(rest=rest))
    file.chmod(file.stat().st_mode | stat.S_IEXEC)
    return file


def found() -> Compiler:
    nvcc = find_compiler()
    assert nvcc is not None
    return nvcc


def test_there_may_be_none() -> None:
    assert find_compiler() is None


def test_it_is_found_on_the_path_by_cuda_home_and_among_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = played(tmp_path / "site" / "nvidia" / "cu13" / "bin")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site")])
    assert found().path == wheel
    home = played(tmp_path / "cuda" / "bin")
    monkeypatch.setenv("CUDA_HOME", str(tmp_path / "cuda"))
    assert found().path == home
    first = played(tmp_path / "first")
    monkeypatch.setenv("PATH", str(tmp_path / "first"), prepend=os.pathsep)

    nvcc = found()

    assert nvcc.path == first
    assert nvcc.version == "13.0.88"
    assert nvcc.targets == {"sm_87", "sm_110", "compute_87"}


def test_one_that_does_not_answer_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = played(tmp_path / "broken")
    broken.write_text("#!/bin/sh\nexit 1\n")
    monkeypatch.setenv("PATH", str(tmp_path / "broken"), prepend=os.pathsep)
    assert find_compiler() is None
    broken.write_text("#!/no/such/shell\n")
    compilers._asked.cache_clear()
    assert find_compiler() is None


def test_its_error_is_told_with_kernel_and_architecture(tmp_path: Path) -> None:
    nvcc = Compiler(played(tmp_path / "bin", "echo 'x.cu(3): error: no such thing'; exit 1"), "13.0.88", MACHINE_CODE)
    with pytest.raises(EngineError, match=r"cannot build decide.cu for sm_87: x.cu\(3\): error: no such thing"):
        nvcc.compile(Path("decide.cu"), "sm_87")


def test_it_may_not_claim_success_without_a_file(tmp_path: Path) -> None:
    nvcc = Compiler(played(tmp_path / "bin", "exit 0"), "13.0.88", MACHINE_CODE)
    with pytest.raises(EngineError, match="it says nothing"):
        nvcc.compile(Path("decide.cu"), "sm_87")


def test_flags_of_the_environment_do_not_reach_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NVCC_APPEND_FLAGS", "-G")
    nvcc = Compiler(played(tmp_path / "bin", 'echo "error: [$NVCC_APPEND_FLAGS]"; exit 1'), "13.0.88", MACHINE_CODE)
    with pytest.raises(EngineError, match=r"error: \[\]"):
        nvcc.compile(Path("decide.cu"), "sm_87")


@pytest.mark.parametrize("target", ["87", "sm_", "sm_8.7", "orin", ""])
def test_what_is_no_architecture_is_refused(target: str) -> None:
    with pytest.raises(EngineError, match="is no architecture"):
        check_target(target, MACHINE_CODE)
    with pytest.raises(EngineError, match="is no architecture"):
        number_of(target)


def test_an_architecture_that_it_does_not_know_brings_the_nearest() -> None:
    with pytest.raises(EngineError, match="did you mean 'sm_87'"):
        check_target("sm_78", MACHINE_CODE)
