"""Prove a bundle: every hash, and every model's answers on the goldens, under the engine that flies."""

from __future__ import annotations

from pathlib import Path

from dis2_edge import bundle as bundles
from dis2_edge.bundle import Bundle, ModelRow
from dis2_edge.engine_names import FILES, EngineName, Wanted
from dis2_edge.errors import BundleError, EngineError
from dis2_edge.scenario import sensors_of
from dis2_edge.terminal import progress
from dis2_runtime.engines import can_tensorrt
from dis2_runtime.engines.onnx_runtime import OnnxModel, open_model
from dis2_runtime.engines.rows import rows_of
from dis2_runtime.selftest.goldens import Check, check_row, read_goldens

__all__ = ["Check", "verify"]

_ON_THE_BOARD = "verify on the board"
_OR_ITS_PROCESSOR = ", or only what is for its processor: --engine onnxruntime"


def verify(path: Path, threads: int = 0, engine: Wanted = "auto") -> tuple[Check, ...]:
    """Check the bundle at `path` wholly; the first thing that is wrong is a BundleError that names the file or row.

    Every row is run by the engine that flies it; of an `engine` that is named, its own rows alone. Files for TensorRT
    are built and run where it is installed, and elsewhere not called proven: EngineError.
    """
    bundle = bundles.read(path)
    bundles.verify_hashes(bundle)
    rows = {name: rows_of(bundle, name) for name in FILES if engine in ("auto", name)}
    _check_provable(bundle, rows)
    if engine == "auto" and rows["tensorrt"] and not can_tensorrt():
        found = f"{path} holds models for TensorRT, which is not installed here with a CUDA driver's package"
        raise EngineError(found, mend=_ON_THE_BOARD + _OR_ITS_PROCESSOR * bool(rows["onnxruntime"]))
    goldens = read_goldens(bundle)
    checks = [
        check_row(bundle, row, goldens, _open(bundle, row, threads).run)
        for row in progress(rows.get("onnxruntime", []), "verify models")
    ]
    return (*checks, *_under_tensorrt(bundle, rows.get("tensorrt", [])))


def _check_provable(bundle: Bundle, rows: dict[EngineName, list[ModelRow]]) -> None:
    others = [name for name in FILES if name not in rows and rows_of(bundle, name)]
    if any(rows.values()) and bundle.manifest.goldens:
        return
    missing = "golden" if any(rows.values()) else f"model for {' or '.join(rows)}"
    mend = f"--engine {others[0]}, of which it holds models" if others else "quantize and deploy again"
    raise BundleError(f"{bundle.path} holds no {missing}: nothing can be proven", mend=mend)


def _under_tensorrt(bundle: Bundle, rows: list[ModelRow]) -> list[Check]:
    """What the loaded plans answer; those that were not built here yet are built, chosen and kept."""
    from dis2_runtime.engines.tensorrt.engine import TensorRtEngine

    checks: list[Check] = []
    for precision in dict.fromkeys(row.precision for row in rows):
        with TensorRtEngine(bundle, precision) as engine:
            checks += engine.checks
    return checks


def _open(bundle: Bundle, row: ModelRow, threads: int) -> OnnxModel:
    """The row's model, loaded, with the inputs that its scenario calls for."""
    try:
        model = open_model(bundle.file(row.file), threads)
    except EngineError as cause:
        raise BundleError(f"{row.file} does not load: {cause}", mend="quantize and deploy again") from cause
    if set(model.inputs) != set(sensors_of(row.scenario)) or model.grid != bundle.manifest.task.grid:
        found = f"{row.file} takes {sorted(model.inputs)} on {model.grid}"
        raise BundleError(found, expected=f"{sorted(sensors_of(row.scenario))} on {bundle.manifest.task.grid}")
    return model
