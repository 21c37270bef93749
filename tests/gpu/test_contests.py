"""The contests of `make gpu` on the processor: who takes part, who is right, and what one that fails costs."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu.contest import COMPILED, COPY, Contest, Ready, hold
from benchmarks.gpu.findings import OURS, Pen, Row
from benchmarks.gpu.lab import Lab, Roofs
from benchmarks.gpu.parts import KERNELS, Where, run_part
from benchmarks.gpu.pretend import pretend_lab
from dis2_runtime.kernels import CASES
from tests.gpu.kept import read_lines
from tests.runtime.kernels.shim.building import compiler

pytestmark = pytest.mark.skipif(compiler() is None, reason="no g++ here: apt-get install g++")
ROOFS = Roofs(1e9, 1e12)
SMALL = (32,)
Capture = pytest.CaptureFixture[str]


def contests(kernel: str) -> tuple[Lab, list[Contest]]:
    lab = pretend_lab((kernel,))
    return lab, [shape() for shape in import_module(f"benchmarks.gpu.{kernel}").contests(lab, SMALL, (1,))]


def rows_of(kernel: str, *wanted: str) -> list[Row]:
    lab, all_shapes = contests(kernel)
    return [row for contest in all_shapes for row in hold(lab, contest, ROOFS, lambda name: name in wanted)]


def test_every_kernel_has_its_contest() -> None:
    assert set(CASES) <= set(KERNELS)


@pytest.mark.parametrize("kernel", CASES)
def test_ours_is_right_at_every_shape_of_the_contest(kernel: str) -> None:
    rows = rows_of(kernel, OURS)

    assert rows
    for row in rows:
        assert not row.problem, row
        assert row.error is not None
        assert row.error <= 1
        assert row.median_us
        assert row.share


@pytest.mark.parametrize("kernel", CASES)
def test_torch_is_judged_by_the_same_measure(kernel: str) -> None:
    for row in rows_of(kernel, "torch eager"):
        assert not row.problem, row
        assert row.error is not None
        assert row.error <= 1


@pytest.mark.parametrize("kernel", CASES)
def test_a_wrong_answer_is_found_wrong(kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lab, all_shapes = contests(kernel)
    monkeypatch.setattr(lab.driver, "launch", lambda *anything: None)  # what was poison stays poison

    for contest in all_shapes:
        for row in hold(lab, contest, ROOFS, lambda name: name == OURS):
            assert row.problem, row


@pytest.mark.parametrize("kernel", CASES)
def test_a_kernel_that_is_not_there_is_a_row_with_the_reason(kernel: str) -> None:
    lab, all_shapes = contests(kernel)
    bare = Lab(**{**vars(lab), "modules": {}, "reasons": {kernel: "no nvcc was found"}})
    shapes = import_module(f"benchmarks.gpu.{kernel}").contests(bare, SMALL, (1,))
    rows = [row for shape in shapes for row in hold(bare, shape(), ROOFS, lambda name: name == OURS)]
    assert [row.problem for row in rows] == ["no nvcc was found"] * len(all_shapes)


def test_a_contestant_that_fails_costs_no_other() -> None:
    lab = pretend_lab(())

    def fails() -> Ready:
        raise RuntimeError("CUDA error: out of memory\nand a long story")

    def fails_later() -> Ready:
        return Ready(lambda: 1 / 0)

    ways = {"first": fails, "second": fails_later, "third": lambda: Ready(lambda: 1.0)}
    contest = Contest("decide", "small", 8, 0, lambda answer: float(answer), ways)

    rows = list(hold(lab, contest, ROOFS, lambda name: True))

    assert [row.contestant for row in rows] == ["first", "second", "third"]
    assert rows[0].problem == "RuntimeError: CUDA error: out of memory"
    assert "ZeroDivisionError" in rows[1].problem
    assert rows[2].n == 3
    assert rows[2].error == 1


def test_ours_with_too_large_an_error_does_not_count() -> None:
    lab = pretend_lab(())
    contest = Contest("decide", "small", 8, 0, lambda answer: 1.5, {OURS: lambda: Ready(lambda: 0)})
    (row,) = hold(lab, contest, ROOFS, lambda name: True)
    assert "wrong" in row.problem


def test_torch_compile_is_a_part_of_its_own(tmp_path: Path) -> None:
    pen, where = Pen(tmp_path / "lines"), Where((), None, pretend=True, sizes=SMALL)
    run_part("times:decide", where, pen)
    run_part("compiled:decide", where, pen)
    findings = read_lines(pen.file)
    assert {row.contestant for row in findings.rows} == {OURS, COPY, "torch eager", COMPILED}
    assert {row.problem for row in findings.rows if row.contestant == COMPILED} == {"torch.compile is not tried here"}
    assert "GB/s" in findings.facts["copy bandwidth"]


def test_a_shape_that_cannot_be_set_up_costs_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = import_module("benchmarks.gpu.decide")
    real = module.contest

    def breaks(lab: Lab, size: int, dtype: str) -> Contest:
        if dtype == "float32":
            raise RuntimeError("CUDA out of memory")
        made: Contest = real(lab, size, dtype)
        return made

    monkeypatch.setattr(module, "contest", breaks)
    pen = Pen(tmp_path / "lines")
    run_part("times:decide", Where((), None, pretend=True, sizes=SMALL), pen)
    findings = read_lines(pen.file)
    assert {row.shape for row in findings.rows} == {"32 px, 5 classes, float16"}
    assert findings.missing == ["decide: RuntimeError: CUDA out of memory"]
