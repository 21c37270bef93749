"""What `make gpu` asks and reads: events, the sanitizer's words, nvidia-smi, what is installed."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu import facts, sanitizer
from benchmarks.gpu.children import Ended
from benchmarks.gpu.findings import Looked, Pen
from benchmarks.gpu.lab import Roofs
from benchmarks.gpu.stopwatch import LEAST, MOST, WARM_UP, CudaStopwatch


class PlayedEvent:
    """An event whose time is the clock's when it was recorded."""

    def __init__(self, cuda: PlayedCuda) -> None:
        self.cuda, self.at = cuda, 0.0

    def record(self) -> None:
        self.at = self.cuda.clock

    def elapsed_time(self, other: PlayedEvent) -> float:
        return other.at - self.at


class PlayedCuda:
    """As much of torch.cuda as the stopwatch uses."""

    def __init__(self, spins: bool = True) -> None:
        self.clock = 0.0
        self.told: list[str] = []
        if spins:
            self._sleep = lambda cycles: self.told.append("spin")

    def get_device_properties(self, number: int) -> Any:
        return type("Properties", (), {"L2_cache_size": 50 << 20})

    def synchronize(self) -> None:
        self.told.append("wait")

    def Event(self, enable_timing: bool) -> PlayedEvent:  # noqa: N802 - torch's name
        assert enable_timing
        return PlayedEvent(self)


class PlayedTorch:
    int32 = "int32"

    def __init__(self, spins: bool = True) -> None:
        self.cuda = PlayedCuda(spins)
        self.flushed: list[int] = []

    def ones(self, size: int, dtype: Any, device: str) -> int:
        return size

    def empty(self, shape: tuple[int, ...], dtype: Any, device: str) -> None: ...

    def amax(self, buffer: int, dim: int, out: Any) -> None:
        self.flushed.append(buffer)
        self.cuda.told.append("flush")


@pytest.mark.parametrize("spins", [True, False])
def test_each_timed_call_finds_a_cold_cache_and_its_launches_ready(spins: bool) -> None:
    torch = PlayedTorch(spins)
    watch = CudaStopwatch(torch)

    def call() -> None:
        torch.cuda.told.append("call")
        torch.cuda.clock += 0.25

    samples = watch.measure(call)

    assert LEAST <= len(samples) <= MOST
    assert samples == [0.25] * len(samples)
    told = [word for word in torch.cuda.told if word != "wait"]
    assert told[:WARM_UP] == ["call"] * WARM_UP
    timed = ["flush", "spin", "call"] if spins else ["flush", "call"]
    assert told[WARM_UP:] == timed * len(samples)
    assert set(torch.flushed) == {(128 << 20) // 4}
    assert torch.cuda.told[-1] == "wait"


def test_the_roof_is_what_binds() -> None:
    roofs = Roofs(bandwidth=1e12, tensor=1e15)
    assert roofs.seconds(10**9, 0) == (1e-3, "bandwidth")
    assert roofs.seconds(10**6, 10**13) == (1e-2, "tensor cores")


CLEAN = "========= COMPUTE-SANITIZER\n========= ERROR SUMMARY: 0 errors\n"
FAULT = """========= COMPUTE-SANITIZER
========= Invalid __global__ read of size 4 bytes
=========     at decide_f32_x4+0x120
========= ERROR SUMMARY: 3 errors
"""
RACES = (
    "========= Error: Race reported between\n========= RACECHECK SUMMARY: 2 hazards displayed (2 errors, 0 warnings)\n"
)


@pytest.mark.parametrize(
    ("code", "text", "errors", "problem"),
    [
        (0, CLEAN, 0, ""),
        (99, FAULT, 3, "Invalid __global__ read"),
        (99, RACES, 2, "Race reported"),
        (0, "========= RACECHECK SUMMARY: 0 hazards displayed (0 errors, 0 warnings)", 0, ""),
        (1, CLEAN + "error: no device", 0, "exit code 1: error: no device"),
        (255, "========= Error: Target application terminated before", None, "no summary, exit code 255"),
        (-9, "", None, "it says nothing"),
    ],
)
def test_the_sanitizers_summary_is_read(code: int, text: str, errors: int | None, problem: str) -> None:
    looked = sanitizer.read("memcheck", Ended(code, text))
    assert looked.errors == errors
    assert problem in looked.problem
    assert bool(looked.problem) == bool(problem)


def played(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(file.stat().st_mode | stat.S_IEXEC)
    return file


def test_the_sanitizer_is_found_and_given_the_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.setattr(sanitizer, "_PLACES", ())
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    for name in ("CUDA_HOME", "CUDA_PATH"):
        monkeypatch.delenv(name, raising=False)
    assert "is not here" in sanitizer.look("memcheck", ["true"], 5).problem
    script = 'echo "$@" > "$(dirname "$0")/given"; echo "========= ERROR SUMMARY: 0 errors"'
    file = played(tmp_path / "nvidia/cu13/bin", "compute-sanitizer", script)

    assert sanitizer.look("racecheck", ["python", "-m", "x"], 5) == Looked("racecheck", 0)

    given = (file.parent / "given").read_text().split()
    assert given == ["--tool", "racecheck", "--error-exitcode", "99", "python", "-m", "x"]
    played(file.parent, file.name, "exec sleep 20")
    assert sanitizer.look("memcheck", [], 1).problem == "not done after 1 s"
    file.write_text("#!/no/such/shell\n")
    assert "does not run" in sanitizer.look("memcheck", [], 1).problem


def test_nvidia_smi_is_asked_and_may_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr(facts.shutil, "which", lambda name: None)
    assert facts.ask_device() == {"nvidia-smi": "not here"}
    answer = "NVIDIA H100 80GB HBM3, 580.1, 1980 MHz, 1980 MHz, 2619 MHz, 700.00 W, 33"
    for script, expected in (
        (f'echo "{answer}"', dict(zip(facts.ASKED, answer.split(", "), strict=True))),
        ("echo 'NVIDIA-SMI has failed' >&2; exit 9", {"nvidia-smi": "NVIDIA-SMI has failed"}),
        ("echo one, two", {"nvidia-smi": "one, two"}),
        ("exit 0", {"nvidia-smi": "no answer"}),
    ):
        program_file = str(played(tmp_path, "nvidia-smi", script))
        monkeypatch.setattr(facts.shutil, "which", lambda name, file=program_file: file)
        assert facts.ask_device() == expected


def test_the_facts_name_what_is_not_installed(tmp_path: Path) -> None:
    pen = Pen(tmp_path / "lines")
    facts.tell(pen)
    told = {line["name"]: line["value"] for line in map(json.loads, pen.file.read_text().splitlines())}
    assert {"Python", "torch", "nvcc", "compute-sanitizer"} <= set(told)
    assert facts.version_of("no-such-package") == "not installed"
