"""Which engine flies a bundle, what stands in for it, and who may call it proven."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench import Bench, installed
from tiny_bundle import expected, frames_of
from trt_bundle import TASK, make_trt

from dis2_edge import bundle as bundles
from dis2_edge.bundle import Bundle
from dis2_edge.cli import main
from dis2_edge.errors import BundleError, EngineError
from dis2_edge.goldens import read_golden, write_golden
from dis2_runtime import engines
from dis2_runtime.engines import open_engine, rungs
from dis2_runtime.guard import EngineGuard
from dis2_runtime.selftest import verify


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """TensorRT is here, with a GPU: what opens without being told more opens these."""
    return installed(monkeypatch, Bench(tmp_path / "plans"))


def names(bundle: Bundle, *choice: Any) -> list[str]:
    return [rung.name for rung in rungs(bundle, *choice)]


@pytest.mark.usefixtures("bench")
def test_tensorrt_comes_first_and_onnx_runtime_last(board_bundle: Bundle) -> None:
    assert names(board_bundle, "fp16") == ["tensorrt fp16", "int8"]
    assert names(board_bundle, "int8") == ["int8"]
    assert names(board_bundle, "fp16", 0, "onnxruntime") == ["fp16", "int8"]


@pytest.mark.usefixtures("bench")
def test_both_precisions_of_tensorrt_stand_before_the_processor(tmp_path: Path) -> None:
    bundle = make_trt(tmp_path / "bundle", precisions=("fp16", "int8"))
    assert names(bundle) == ["tensorrt int8", "tensorrt fp16", "int8"]
    assert names(bundle, "int8", 0, "onnxruntime") == ["int8"]


def test_without_tensorrt_the_processor_flies(board_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "can_tensorrt", lambda: False)
    assert names(board_bundle) == ["int8"]
    with pytest.raises(EngineError, match=r"fp16 models for TensorRT, which is not installed here.*--precision int8"):
        open_engine(board_bundle, "fp16")


def test_without_tensorrt_its_bundle_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "can_tensorrt", lambda: False)
    monkeypatch.setattr(verify, "can_tensorrt", lambda: False)
    bundle = make_trt(tmp_path / "bundle", fallback=False)
    with pytest.raises(EngineError, match=r"TensorRT, which is not installed here.*site-packages(?!.*--precision)"):
        open_engine(bundle, "fp16")
    with pytest.raises(EngineError, match="holds fp16 models for TensorRT, which is not installed here"):
        open_engine(bundle, "int8")
    with pytest.raises(EngineError, match=r"verify on the board$"):
        verify.verify(bundle.path)


def test_a_slower_engine_takes_off_only_with_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(engines, "can_tensorrt", lambda: False)
    bundle = make_trt(tmp_path / "bundle", precisions=("int8",))
    assert names(bundle) == ["int8"]
    assert "the processor takes over, much slower" in capsys.readouterr().err
    assert names(bundle, "int8", 0, "onnxruntime") == ["int8"]
    assert not capsys.readouterr().err


@pytest.mark.skipif(importlib.util.find_spec("tensorrt") is not None, reason="TensorRT is installed here")
def test_asked_for_by_name_a_missing_tensorrt_says_so(board_bundle: Bundle) -> None:
    with pytest.raises(EngineError, match="TensorRT is not installed here"):
        open_engine(board_bundle, "fp16", engine="tensorrt")


def test_a_gpu_that_fails_in_flight_hands_over_to_the_processor(board_bundle: Bundle, bench: Bench) -> None:
    bench.gpu.captures = False
    frames = frames_of(TASK, 3)
    with EngineGuard(rungs(board_bundle, "fp16")) as guard:
        guard.infer("rgb", frames)
        assert guard.describe("rgb") == "tensorrt fp16"
        bench.faults.run_says = "an illegal memory access was encountered"
        answer = guard.infer("rgb", frames)
    assert np.mean(answer.mask == expected(TASK, "rgb", frames)) > 0.99
    assert guard.describe("rgb").startswith("int8, in place of a failed one")


def test_every_row_is_proven_by_the_engine_that_flies_it(board_bundle: Bundle, bench: Bench) -> None:
    checks = verify.verify(board_bundle.path, threads=1)
    assert [check.row.dialect for check in checks] == ["ort"] * 3 + ["trt"] * 3
    assert bench.gpu.taken == 0
    assert {check.row.dialect for check in verify.verify(board_bundle.path, 1, "onnxruntime")} == {"ort"}
    assert {check.row.dialect for check in verify.verify(board_bundle.path, 1, "tensorrt")} == {"trt"}


def test_a_trt_row_that_answers_otherwise_is_refused(tmp_path: Path, bench: Bench) -> None:
    bundle = make_trt(tmp_path / "bundle")
    golden = bundle.manifest.goldens[1]
    arrays = read_golden(bundle.file(golden.file), TASK)
    arrays["ndsm/fp16/trt/mask"] = 1 - arrays["ndsm/fp16/trt/mask"]
    write_golden(bundle.file(golden.file), arrays)
    bundles.write(bundle.path, bundle.manifest)
    with pytest.raises(EngineError, match=r"ndsm-fp16.* agrees with its golden on 0\.0"):
        verify.verify(bundle.path, threads=1)


def test_without_tensorrt_a_trt_bundle_is_not_called_proven(
    board_bundle: Bundle, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verify, "can_tensorrt", lambda: False)
    with pytest.raises(EngineError, match="holds models for TensorRT, which is not installed here"):
        verify.verify(board_bundle.path, threads=1)
    assert main(["bundle", "verify", str(board_bundle.path), "--engine", "onnxruntime", "--threads", "1"]) == 0
    assert "every file and 3 models are as they were made; 3 models of another engine" in capsys.readouterr().out


def test_a_bundle_without_rows_for_the_engine_proves_nothing(tmp_path: Path) -> None:
    bundle = make_trt(tmp_path / "bundle", fallback=False)
    told = "no model for onnxruntime: nothing can be proven; --engine tensorrt, of which it holds models"
    with pytest.raises(BundleError, match=told):
        verify.verify(bundle.path, engine="onnxruntime")


def test_a_flight_on_tensorrt_gives_the_masks(tmp_path: Path, bench: Bench) -> None:
    from tiny_bundle import write_scene

    bundle = make_trt(tmp_path / "bundle")
    (tmp_path / "scene").mkdir()
    write_scene(tmp_path / "scene", TASK)
    sources = [f"--source={name}=scene:{tmp_path / 'scene' / file}" for name, file in (("rgb", "rgb.png"),)]
    words = ["run", str(bundle.path), *sources, "--out", str(tmp_path / "out"), "--ticks", "3", "--speed", "max"]
    assert main([*words, "--precision", "fp16"]) == 0
    rows = (tmp_path / "out" / "telemetry.jsonl").read_text().splitlines()
    assert len(rows) == 3
    assert all("tensorrt fp16" in row for row in rows)
    assert dataclasses.is_dataclass(bench.settings)
