"""`make gpu` rehearsed on the processor: parts and whole runs, with our kernels as built by g++."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.gpu import __main__ as program
from benchmarks.gpu import lab as labs
from benchmarks.gpu import page, parts
from benchmarks.gpu.findings import OURS, Looked, Pen, Proven, Row, load
from benchmarks.gpu.lab import Roofs
from benchmarks.gpu.parts import KERNELS, Where, run_child, run_part
from dis2_edge.errors import EngineError, MissingExtraError
from dis2_runtime.kernels import CASES
from dis2_runtime.kernels.building import put
from tests.gpu.kept import read_lines
from tests.gpu.through_a_driver import proofs_of
from tests.runtime.kernels.host_driver import HostDriver
from tests.runtime.kernels.shim.building import SOURCES, build, compiler
from tests.runtime.pretend.kit import lacking, run_pretend

pytestmark = pytest.mark.skipif(compiler() is None, reason="no g++ here: apt-get install g++")
ROOFS = Roofs(1e9, 1e12)
SMALL = (32,)
Capture = pytest.CaptureFixture[str]


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
    assert "not installed" in read_lines(pen.file).facts["device by pycuda"]


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
    assert read_lines(tmp_path / "lines").looked == [Looked("memcheck", 0)]


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
    findings = read_lines(tmp_path / "lines")
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
