"""Every kernel against its reference: in many orders of its threads, under sanitizers, and less any one barrier."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dis2_runtime.kernels import CASES
from tests.runtime.kernels.prove_on_host import in_child
from tests.runtime.kernels.shim.building import SOURCES, compiler

pytestmark = pytest.mark.skipif(compiler() is None, reason="no g++ here: apt-get install g++")

WAITS = re.compile(r"block_barrier\(\);|copy_wait<\w+>\(\);")
"""What a thread waits by; a copy is made of its source without each of them in turn."""


def waits() -> list[tuple[str, int]]:
    counts = {name: len(WAITS.findall((SOURCES / f"{name}.cu").read_text())) for name in CASES}
    return [(name, place) for name, count in counts.items() for place in range(count)]


def test_every_source_has_cases() -> None:
    assert {path.stem for path in SOURCES.glob("*.cu")} == set(CASES)


@pytest.mark.parametrize("kernel", CASES)
def test_equals_its_reference_in_sixteen_schedules(kernel: str) -> None:
    done = in_child(kernel)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "in 16 schedules" in done.stdout


@pytest.mark.parametrize("kernel", CASES)
def test_sanitizers_find_nothing(kernel: str) -> None:
    done = in_child(kernel, "--schedules", "2", sanitize=True)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("kernel", CASES)
def test_a_barrier_orders_all_that_threads_share(kernel: str) -> None:
    done = in_child(kernel, "--races", "--schedules", "1")

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("kernel", "place"), waits())
def test_no_barrier_can_be_spared(kernel: str, place: int, tmp_path: Path) -> None:
    source = (SOURCES / f"{kernel}.cu").read_text()
    begin, end = [found.span() for found in WAITS.finditer(source)][place]
    (tmp_path / "mutant.cu").write_text(f"{source[:begin]};{source[end:]}")

    done = in_child(kernel, "--source", str(tmp_path / "mutant.cu"))

    assert done.returncode != 0, f"{source[:begin].count(chr(10)) + 1}: nobody misses {source[begin:end]}"
    assert "RuntimeError" not in done.stderr, done.stderr  # it was built: what failed is the kernel
