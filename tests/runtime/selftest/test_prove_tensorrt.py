"""FP16 against INT8 under TensorRT, and the way down to ONNX Runtime when TensorRT does not do. On a fake TensorRT."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from bench import Bench
from proven_bundle import make_data

from dis2_edge import bundle as bundles
from dis2_edge.bundle import Bundle
from dis2_edge.dataset import open_dataset
from dis2_edge.errors import EngineError
from dis2_edge.labelled import Images
from dis2_edge.tiles_file import write_tiles
from dis2_edge.timing import Latency, summarise
from dis2_runtime.engines.tensorrt.engine import TensorRtEngine
from dis2_runtime.selftest import precision as room
from dis2_runtime.selftest import prove as proving
from dis2_runtime.selftest.precision import How, prove_precision
from dis2_runtime.selftest.prove import Proof, prove

QUICK = How(threads=1, calls=3)


def proven(bundle: Bundle, how: How = QUICK, engine: Any = "auto", times: dict[str, float] | None = None) -> Proof:
    """A proof in this process, whose TensorRT takes `times` (ms by precision)."""

    def run(held: Bundle, name: Any, precision: Any, asked: How) -> Sequence[Any]:
        rows = prove_precision(held, name, precision, asked)
        if times is None or name != "tensorrt":
            return rows
        return [dataclasses.replace(row, latency=row.latency and summarise([times[precision]])) for row in rows]

    return prove(bundle, how, engine, run=run)


def told(proof: Proof, engine: str, precision: str) -> set[str]:
    return {row.why for row in proof.rows if (row.engine, row.precision) == (engine, precision)}


def no_build_of(
    bench: Bench, bundle: Bundle, precision: str, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Builds of that precision's files fail with `error`."""
    files = [bundle.file(row.file).read_bytes() for row in bundle.manifest.models if row.dialect == "trt"]
    kept = [row.precision for row in bundle.manifest.models if row.dialect == "trt"]
    bad = {data for data, name in zip(files, kept, strict=True) if name == precision}
    real = bench.build

    def build(onnx: bytes, *more: Any) -> bytes:
        if onnx in bad:
            raise error
        return real(onnx, *more)

    monkeypatch.setattr(bench, "build", build)


@pytest.fixture
def unlike(jetson_bundle: Bundle, tmp_path: Path) -> Bundle:
    """The bundle with INT8 files of other bytes than the FP16 ones, as they are in earnest."""
    folder = Path(shutil.copytree(jetson_bundle.path, tmp_path / "unlike"))
    for row in jetson_bundle.manifest.models:
        if row.dialect == "trt" and row.precision == "int8":
            model = onnx.load(folder / row.file)
            model.doc_string = "int8"
            onnx.save(model, folder / row.file)
    return bundles.write(folder, jetson_bundle.manifest)


@pytest.mark.usefixtures("bench")
@pytest.mark.parametrize(("times", "winner"), [((5.0, 4.0), "int8"), ((4.0, 5.0), "fp16")])
def test_the_faster_of_fp16_and_int8_flies(jetson_bundle: Bundle, times: tuple[float, float], winner: str) -> None:
    proof = proven(jetson_bundle, times=dict(zip(("fp16", "int8"), times, strict=True)))
    assert (proof.engine, proof.precision) == ("tensorrt", winner)
    assert all(row.proven for row in proof.rows)
    assert {(row.engine, row.precision, row.dialect) for row in proof.rows} == {
        ("tensorrt", "fp16", "trt"),
        ("tensorrt", "int8", "trt"),
        ("onnxruntime", "int8", "ort"),
    }


@pytest.mark.usefixtures("bench")
def test_a_faster_int8_beyond_the_budget_does_not_fly(jetson_bundle: Bundle) -> None:
    def miou(row: Any) -> float:
        return 0.69 if row.precision == "int8" else 0.7

    models = tuple(dataclasses.replace(row, miou=miou(row)) for row in jetson_bundle.manifest.models)
    held = dataclasses.replace(jetson_bundle, manifest=dataclasses.replace(jetson_bundle.manifest, models=models))
    proof = proven(held, times={"fp16": 9.0, "int8": 1.0})
    assert (proof.engine, proof.precision) == ("tensorrt", "fp16")
    assert "int8 loses 1.00 points, more than 0.5" in proof.why


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (EngineError("the build was killed, as a rule because memory ended"), "memory ended"),
        (MemoryError("no 3 GiB"), "MemoryError: no 3 GiB"),
    ],
)
def test_a_precision_that_cannot_be_built_leaves_the_other(
    bench: Bench, unlike: Bundle, monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    no_build_of(bench, unlike, "fp16", monkeypatch, error)
    proof = proven(unlike)
    assert (proof.engine, proof.precision) == ("tensorrt", "int8")
    assert words in told(proof, "tensorrt", "fp16").pop()
    assert told(proof, "tensorrt", "int8") == {""}


def test_an_engine_that_computes_wrongly_is_left_for_the_processor(bench: Bench, jetson_bundle: Bundle) -> None:
    bench.faults.shifted = 5.0
    proof = proven(jetson_bundle)
    assert (proof.engine, proof.precision) == ("onnxruntime", "int8")
    for precision in ("fp16", "int8"):
        assert "agrees with its golden on 0." in told(proof, "tensorrt", precision).pop()


def test_a_gpu_without_memory_is_left_for_the_processor(bench: Bench, jetson_bundle: Bundle) -> None:
    bench.gpu.room = 4096
    proof = proven(jetson_bundle)
    assert (proof.engine, proof.precision) == ("onnxruntime", "int8")
    assert "bytes of the device's memory" in told(proof, "tensorrt", "int8").pop()


def test_a_plan_that_fails_while_it_is_timed_is_not_proven(
    bench: Bench, jetson_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = room.time_scenario

    def breaks(engine: Any, *more: Any) -> Latency:
        if isinstance(engine, TensorRtEngine):
            raise EngineError("the GPU fell off the bus")
        return real(engine, *more)

    monkeypatch.setattr(room, "time_scenario", breaks)
    proof = proven(jetson_bundle)
    assert proof.engine == "onnxruntime"
    assert told(proof, "tensorrt", "fp16") == {"the GPU fell off the bus"}


def test_onnx_runtime_asked_by_name_never_opens_tensorrt(bench: Bench, jetson_bundle: Bundle) -> None:
    proof = proven(jetson_bundle, engine="onnxruntime")
    assert {row.engine for row in proof.rows} == {"onnxruntime"}
    assert (proof.engine, bench.builds) == ("onnxruntime", [])


def test_tensorrt_asked_by_name_has_no_rung_below(bench: Bench, jetson_bundle: Bundle) -> None:
    bench.faults.build_says = "no"
    proof = proven(jetson_bundle, engine="tensorrt")
    assert proof.precision is None
    assert {row.engine for row in proof.rows} == {"tensorrt"}


def test_without_tensorrt_the_processor_flies_and_the_rows_say_why(
    jetson_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(held: Bundle, name: Any, precision: Any, asked: How) -> Sequence[Any]:
        assert name == "onnxruntime", "no process is started for what is not there"
        return prove_precision(held, name, precision, asked)

    monkeypatch.setattr(proving, "can_tensorrt", lambda: False)
    proof = prove(jetson_bundle, QUICK, run=run)
    assert (proof.engine, proof.precision) == ("onnxruntime", "int8")
    assert "TensorRT is not installed here" in told(proof, "tensorrt", "fp16").pop()


@pytest.mark.usefixtures("bench")
def test_accuracy_is_measured_on_the_engine_that_flies_alone(jetson_bundle: Bundle, tmp_path: Path) -> None:
    data = open_dataset(make_data(tmp_path / "data", jetson_bundle.manifest.task))
    images = Images(jetson_bundle, data, "test", 2)
    write_tiles(tmp_path / "t.npz", (images.read(name) for name in images.names), jetson_bundle.manifest.task)
    proof = proven(jetson_bundle, dataclasses.replace(QUICK, tiles=tmp_path / "t.npz"))
    assert {(row.engine, row.images) for row in proof.rows} == {("tensorrt", 2), ("onnxruntime", 0)}
    counted = [np.sum(row.confusion) for row in proof.rows if row.engine == "tensorrt"]
    assert len(counted) == 6
    assert len(set(counted)) == 1
