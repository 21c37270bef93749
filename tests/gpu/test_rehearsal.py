"""`make gpu` rehearsed on the processor: the very contests, proofs and parts, with our kernels as built by g++."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.gpu import __main__ as program
from benchmarks.gpu import lab as labs
from benchmarks.gpu import page, parts
from benchmarks.gpu.contest import COMPILED, COPY, Contest, Ready, hold
from benchmarks.gpu.findings import OURS, Findings, Looked, Pen, Proven, Row, load
from benchmarks.gpu.lab import Lab, Roofs
from benchmarks.gpu.parts import KERNELS, Where, run_child, run_part
from benchmarks.gpu.pretend import pretend_lab
from dis2_edge.errors import EngineError, MissingExtraError
from dis2_runtime.kernels import CASES
from dis2_runtime.kernels.building import put
from tests.gpu.through_a_driver import proofs_of
from tests.runtime.kernels.host_driver import HostDriver
from tests.runtime.kernels.shim.building import SOURCES, build, compiler
from tests.runtime.pretend.kit import lacking, run_pretend

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
    findings = _read(pen.file)
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
    findings = _read(pen.file)
    assert {row.shape for row in findings.rows} == {"32 px, 5 classes, float16"}
    assert findings.missing == ["decide: RuntimeError: CUDA out of memory"]


def test_a_whole_run_keeps_its_findings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    wanted = ("facts", "proofs:pycuda", "look:memcheck", "times:decide")
    monkeypatch.setattr(program, "names", lambda: wanted)
    _in_this_process(monkeypatch)
    monkeypatch.setattr(parts.sanitizer, "find_sanitizer", lambda: None)

    code = program.main(["--pretend", "--sizes", "32", "--out", str(tmp_path)])

    out = capsys.readouterr().out
    assert code == 0, out
    findings = load(tmp_path / "gpu.json")
    assert {proof.kernel for proof in findings.proofs} == set(CASES)
    assert all(proof.worst is not None and proof.worst <= 1 and not proof.problem for proof in findings.proofs)
    assert findings.looked[0].problem.startswith("compute-sanitizer is not here")
    assert "decide at 70% of copy bandwidth" in out
    text = (tmp_path / "gpu.md").read_text()
    assert "copy of as many bytes" in text
    assert page.text_of(findings) == text


def test_parts_that_fail_are_told_and_the_rest_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(program, "names", lambda: ("times:decide", "times:none", "proofs:pycuda"))
    calls: list[str] = []

    def fake(part: str, where: Where, pen: Pen, limit_s: float) -> str:
        calls.append(part)
        if part == "times:decide":
            pen.add(Row("decide", "small", OURS, 2.0, 3.0, 20, 0.5, "bandwidth", 0.1))
            with pen.file.open("a") as file:
                file.write('{"kind": "Row", "kernel": "dec')  # killed while it wrote
        return "" if part == "proofs:pycuda" else f"{part}: cut short after 60 s"

    monkeypatch.setattr(program, "run_child", fake)

    assert program.main(["--out", str(tmp_path)]) == 1

    assert calls == ["times:decide", "times:none", "proofs:pycuda"]
    findings = load(tmp_path / "gpu.json")
    assert [row.median_us for row in findings.rows] == [2.0]
    assert findings.missing == ["times:decide: cut short after 60 s", "times:none: cut short after 60 s"]
    assert "missing: times:none" in capsys.readouterr().out


def test_a_run_that_finds_nothing_leaves_what_was_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gpu.json").write_text("kept")
    monkeypatch.setattr(program, "run_child", lambda part, where, pen, limit_s: f"{part}: no device")
    assert program.main(["--out", str(tmp_path)]) == 1
    assert (tmp_path / "gpu.json").read_text() == "kept"


@pytest.mark.parametrize("fault", [Proven("pycuda", "decide", 0, None, "wrong"), Looked("memcheck", 3, "a read")])
def test_a_fault_of_a_kernel_is_no_success(
    fault: Proven | Looked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fake(part: str, where: Where, pen: Pen, limit_s: float) -> str:
        pen.add(Row("decide", "small", OURS, 2.0, 3.0, 20, 0.5, "bandwidth", 0.1))
        pen.add(fault)
        return ""

    monkeypatch.setattr(program, "run_child", fake)
    assert program.main(["--out", str(tmp_path), "--only", "times:decide"]) == 1


def test_a_driver_that_is_not_installed_is_a_fact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*anything: Any) -> None:
        raise MissingExtraError("pycuda", "jetson")

    monkeypatch.setattr(parts, "prove_through", missing)
    pen = Pen(tmp_path / "lines")
    run_part("proofs:pycuda", Where((), None), pen)
    assert "not installed" in _read(pen.file).facts["device by pycuda"]


def test_a_second_run_goes_on_from_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    median = 2.0

    def fake(part: str, where: Where, pen: Pen, limit_s: float) -> str:
        if part == "device":
            return ""
        pen.add(Row(part, "small", OURS, median, 3.0, 20, 0.5, "bandwidth", 0.1))
        return "" if median == 1.0 else f"{part}: cut short"

    monkeypatch.setattr(program, "run_child", fake)
    program.main(["--out", str(tmp_path), "--only", "times:"])
    median = 1.0
    assert program.main(["--out", str(tmp_path), "--only", "times:decide", "--go-on"]) == 0

    found = load(tmp_path / "gpu.json")
    assert {row.kernel: row.median_us for row in found.rows} == {
        **{f"times:{kernel}": 2.0 for kernel in KERNELS},
        "times:decide": 1.0,
    }
    assert not found.missing


def test_the_sanitizer_looks_at_kernels_that_are_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def look(tool: str, child: list[str], limit_s: float) -> Looked:
        args = program._parser().parse_args(child[len(parts.python()) :])
        assert (args.kernels, args.compile_into) == ([Path("a"), Path("made")], None)
        assert args.part.startswith("proofs:")
        assert limit_s < 50
        return Looked(tool, 0)

    monkeypatch.setattr(parts.sanitizer, "look", look)
    run_part("look:memcheck", Where((Path("a"),), Path("made"), limit_s=50), Pen(tmp_path / "lines"))
    assert _read(tmp_path / "lines").looked == [Looked("memcheck", 0)]


def test_no_part_begins_when_the_time_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "run_child", lambda *anything: pytest.fail("begun"))
    assert program.main(["--out", str(tmp_path), "--minutes", "0"]) == 1


def test_a_child_that_fails_hangs_or_dies_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pen, where = Pen(tmp_path / "lines"), Where((), None)

    def child(code: str, limit_s: float = 20.0) -> str:
        monkeypatch.setattr(parts, "python", lambda: [sys.executable, "-c", code])
        return run_child("times:decide", where, pen, limit_s)

    assert child("pass") == ""
    assert child("import sys; sys.exit('error: no device')") == "times:decide: exit code 1: error: no device"
    assert "-9" in child("import os; os.kill(os.getpid(), 9)")
    assert "cut short after" in child("import time; time.sleep(30)", 0.5)


def test_a_child_is_given_all_that_it_needs() -> None:
    where = Where((Path("a"), Path("b")), Path("c"), True, (32, 64), 12.5)
    args = program._parser().parse_args(["part", "times:decide", "--lines", "x", *where.words()])
    assert Where(tuple(args.kernels), args.compile_into, args.pretend, tuple(args.sizes), args.limit) == where


def test_without_a_device_the_command_says_so(tmp_path: Path, capsys: Capture) -> None:
    words = ["part", "times:decide", "--lines", str(tmp_path / "x"), "--kernels", str(tmp_path)]
    assert program.main(words) == 2
    assert "finds no CUDA device" in capsys.readouterr().err


def test_torch_and_our_driver_work_on_one_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[object] = []
    cuda = SimpleNamespace(
        is_available=lambda: True,
        init=lambda: steps.append("init"),
        ExternalStream=lambda handle: f"stream {handle}",
        set_stream=steps.append,
        get_device_properties=lambda number: SimpleNamespace(L2_cache_size=1 << 20),
    )
    played = SimpleNamespace(
        cuda=cuda,
        int32="int32",
        zeros=lambda *anything, device: steps.append("torch's context"),
        ones=lambda *anything, dtype, device: None,
        empty=lambda *anything, dtype, device: None,
    )
    monkeypatch.setitem(sys.modules, "torch", played)
    opened: list[str] = []

    def opens(name: str) -> HostDriver:
        opened.append(name)
        if name == "cuda-bindings":
            raise MissingExtraError(name, "jetson")
        steps.append("ours")
        return HostDriver()

    monkeypatch.setattr(labs, "open_driver", opens)
    put(tmp_path, "decide", "sm_87", str(build("decide")).encode(), "g++")

    lab = labs.open_lab((tmp_path,), None, ("decide", "prepare"))

    assert opened == ["cuda-bindings", "pycuda"]
    assert steps == ["init", "torch's context", "ours", "stream 0"]
    assert list(lab.modules) == ["decide"]
    with pytest.raises(EngineError, match="nothing more could be tried for prepare"):
        lab.module("prepare")
    with pytest.raises(EngineError, match="was not asked for"):
        lab.module("fusion_attention")


def test_when_no_driver_opens_each_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(name: str) -> Any:
        raise EngineError(f"{name} sees no GPU")

    monkeypatch.setattr(labs, "open_driver", refuses)
    with pytest.raises(EngineError, match="pycuda sees no GPU") as told:
        labs.first_driver()
    assert "cuda-bindings sees no GPU" in str(told.value)


@pytest.mark.parametrize("driver", ["pycuda", "cuda-bindings"])
def test_the_proofs_run_through_the_real_drivers(driver: str, tmp_path: Path) -> None:
    if reason := lacking(driver):
        pytest.skip(reason)
    put(tmp_path, "decide", "sm_87", build("decide").read_bytes(), "g++")
    source = (SOURCES / "classwise_attention.cu").read_text()
    put(tmp_path, "classwise_attention", "sm_90", build("classwise_attention", text=source).read_bytes(), "g++")

    lines = run_pretend(proofs_of, driver, str(tmp_path), driver=driver)

    (tmp_path / "lines").write_text(lines)
    findings = _read(tmp_path / "lines")
    by_kernel = {proof.kernel: proof for proof in findings.proofs}
    assert set(by_kernel) == set(CASES)
    decided = by_kernel["decide"]
    assert (decided.driver, decided.problem, decided.cases) == (driver, "", len(list(CASES["decide"]())))
    assert "machine code for sm_90 does not run on sm_87" in by_kernel["classwise_attention"].problem
    assert "sm_87" in findings.facts[f"device by {driver}"]


def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def here(part: str, where: Where, pen: Pen, limit_s: float) -> str:
        run_part(part, where, pen)
        return ""

    monkeypatch.setattr(program, "run_child", here)


def _read(file: Path) -> Findings:
    findings = Findings()
    for line in file.read_text().splitlines():
        findings.take(line)
    return findings
