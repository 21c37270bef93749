"""A build: its options, its timings, its progress; a plan's key; and the process that may die of it."""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path

import pytest
from bench import Bench
from trt_bundle import TASK, tensor_model

from dis2_edge.errors import EngineError
from dis2_runtime.driver import Device
from dis2_runtime.engines.tensorrt import apart, build, builder
from dis2_runtime.engines.tensorrt.apart import Bounds, build_apart
from dis2_runtime.engines.tensorrt.builder import Options
from dis2_runtime.engines.tensorrt.cache import Cache, Key
from tests.runtime.pretend.tensorrt_api import ALL

MODEL = tensor_model(TASK, "rgb").SerializeToString()
ORIN = Device("Orin", (8, 7), 8, 1 << 33, 12060, True)
KEY = Key.of("ab" * 32, "plugin", "10.3.0", ORIN, "cd" * 32, Options())


@pytest.mark.parametrize("version", ALL)
def test_options_reach_the_builder(tmp_path: Path, version: str) -> None:
    bench = Bench(tmp_path, version)
    builder.build(bench.trt, MODEL, Options(workspace_mb=256, level=5, detailed=False))
    (told,) = bench.faults.built
    assert told["pools"] == {"WORKSPACE": 256 << 20}
    assert told["builder_optimization_level"] == 5
    assert told["profiling_verbosity"].name == "LAYER_NAMES_ONLY"
    assert told["typed"]
    assert "TF32" not in told["flags"]  # on by TensorRT's default


def test_fp32_layers_may_be_rounded_where_that_is_wanted(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    builder.build(bench.trt, MODEL, Options(tf32=True))
    assert "TF32" in bench.faults.built[0]["flags"]


@pytest.mark.parametrize("version", ALL)
def test_progress_is_told_by_phase(tmp_path: Path, version: str) -> None:
    told: list[tuple[str, int, int]] = []
    builder.build(Bench(tmp_path, version).trt, MODEL, Options(), tell=lambda *each: told.append(each))
    assert told == [("Building Engine", 0, 2), ("Building Engine", 1, 2), ("Building Engine", 2, 2)]


def test_timings_are_taken_up_and_kept(tmp_path: Path) -> None:
    file, bench = tmp_path / "timings", Bench(tmp_path)
    for count in (1, 2, 3):
        builder.build(bench.trt, MODEL, Options(), file)
        assert file.read_bytes() == b"+" * count
    assert bench.faults.built[-1]["timings"] == b"++"  # what the third began with


@pytest.mark.parametrize("before", [b"foreign device", None])
def test_timings_that_do_not_fit_are_left_out(tmp_path: Path, before: bytes | None) -> None:
    file, bench = tmp_path / "timings", Bench(tmp_path)
    if before is not None:
        file.write_bytes(before)
    builder.build(bench.trt, MODEL, Options(), file)
    assert file.read_bytes() == b"+"


def test_timings_that_cannot_be_kept_cost_no_build(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "timings").mkdir()
    assert builder.build(Bench(tmp_path).trt, MODEL, Options(), tmp_path / "timings")
    assert "the timing cache was not kept" in capsys.readouterr().err


def test_a_build_that_fails_keeps_no_timings(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.faults.build_says = "out of memory"
    with pytest.raises(EngineError, match=r"TensorRT built no engine \(TensorRT 10\.3\.0: out of memory\)"):
        builder.build(bench.trt, MODEL, Options(), tmp_path / "timings")
    assert not (tmp_path / "timings").exists()


def test_bytes_that_are_no_model_are_an_engine_error(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="cannot read the model: model : Failed to parse"):
        builder.build(Bench(tmp_path).trt, b"\x00\x01no model", Options())


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Key)])
def test_whatever_changes_makes_another_key(field: str) -> None:
    other = dataclasses.replace(KEY, **{field: 7 if isinstance(getattr(KEY, field), int) else "other"})
    assert other.digest != KEY.digest


def test_kernels_count_for_the_plans_that_call_them() -> None:
    plain = [Key.of("ab", "function", "10.3.0", ORIN, kernels, Options()).digest for kernels in ("a", "b")]
    calling = [Key.of("ab", "plugin", "10.3.0", ORIN, kernels, Options()).digest for kernels in ("a", "b")]
    assert plain[0] == plain[1]
    assert calling[0] != calling[1]


def test_a_plan_killed_before_its_note_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dis2_runtime.engines.tensorrt import cache as caching

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    cache = Cache(tmp_path)
    monkeypatch.setattr(caching, "write_json", killed)
    with pytest.raises(KeyboardInterrupt):
        cache.keep(KEY, b"plan")
    assert cache.find(KEY) is None
    monkeypatch.undo()
    cache.keep(KEY, b"plan", {"median_ms": 1.5})
    assert (cache.find(KEY), cache.noted_ms(KEY)) == (b"plan", 1.5)
    cache.plan_file(KEY).with_suffix(".json").write_text("[1]")
    assert (cache.find(KEY), cache.noted_ms(KEY), cache.noted_problem(KEY)) == (None, None, "")


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Puts a script in the place of the build's module."""

    def script(text: str) -> None:
        (tmp_path / "stand_in.py").write_text(f"import sys, time, pathlib\n{text}\n")
        monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
        monkeypatch.setattr(apart, "MODULE", "stand_in")

    return script


OUT = "out = pathlib.Path(sys.argv[sys.argv.index('--out') + 1])"


def test_a_child_hands_back_its_plan_and_tells_how_far_it_is(child) -> None:  # type: ignore[no-untyped-def]
    child(f"{OUT}\nprint('phase: 1 of 2', flush=True)\nout.write_bytes(pathlib.Path(sys.argv[1]).read_bytes() + b'!')")
    told: list[str] = []
    assert build_apart(b"model", Options(), Bounds(), tell=told.append) == b"model!"
    assert told == ["phase: 1 of 2"]


@pytest.mark.parametrize(
    ("text", "bounds", "message"),
    [
        ("time.sleep(60)", Bounds(seconds=0.2), r"more than 0\.2 s and was ended; stop what else runs"),
        ("held = bytearray(200 << 20)\ntime.sleep(60)", Bounds(memory_mb=100), "more than 100 MiB of memory"),
        ("import os\nos.kill(os.getpid(), 9)", Bounds(), "was killed, as a rule because memory ended"),
        ("print('error: no memory', file=sys.stderr)\nsys.exit(2)", Bounds(), "^no memory$"),
        ("raise ValueError('broken')", Bounds(), "ValueError: broken"),
        ("sys.exit(3)", Bounds(), "exit 3"),
        ("pass", Bounds(), "ended without a plan"),
    ],
)
def test_a_child_that_fails_is_an_engine_error(child, text: str, bounds: Bounds, message: str) -> None:  # type: ignore[no-untyped-def]
    child(text)
    with pytest.raises(EngineError, match=message):
        build_apart(b"model", Options(), bounds)


def test_the_module_itself_says_what_it_lacks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "model").write_bytes(MODEL)
    if os.environ.get("PYTEST_XDIST_WORKER") is None and "tensorrt" in sys.modules:
        pytest.skip("TensorRT is here")
    before = Path("/proc/self/oom_score_adj").read_text() if Path("/proc/self/oom_score_adj").exists() else ""
    monkey = pytest.MonkeyPatch()
    monkey.setattr(build, "expendable", lambda: None)
    try:
        assert build.main([str(tmp_path / "model"), "--out", str(tmp_path / "plan")]) == 2
    finally:
        monkey.undo()
    assert "error: TensorRT is not installed here" in capsys.readouterr().err
    if before:
        assert Path("/proc/self/oom_score_adj").read_text() == before


@pytest.mark.parametrize("options", ['{"workspace": 3}', "no json"])
def test_the_module_refuses_options_that_are_none(
    tmp_path: Path, options: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "expendable", lambda: None)
    (tmp_path / "options").write_text(options)
    words = [str(tmp_path / "model"), "--out", str(tmp_path / "plan"), "--options", str(tmp_path / "options")]
    assert build.main(words) == 2
    assert "error: " in capsys.readouterr().err


def test_the_module_builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(build, "expendable", lambda: None)
    bench = Bench(tmp_path)
    monkeypatch.setattr(build.bindings, "load", lambda: bench.trt)
    (tmp_path / "model").write_bytes(MODEL)
    (tmp_path / "options").write_text('{"workspace_mb": 64}')
    words = [str(tmp_path / "model"), "--out", str(tmp_path / "plan"), "--options", str(tmp_path / "options")]
    assert build.main([*words, "--timing-cache", str(tmp_path / "timings")]) == 0
    assert (tmp_path / "plan").read_bytes().endswith(MODEL)
    assert bench.faults.built[0]["pools"] == {"WORKSPACE": 64 << 20}
    assert "Building Engine: 1 of 2" in capsys.readouterr().out
