"""Prove a bundle: every hash, and every model's answers on the goldens, under the engine that flies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dis2_edge import bundle as bundles
from dis2_edge.bundle import Bundle, ModelRow
from dis2_edge.errors import BundleError, EngineError
from dis2_edge.goldens import Arrays, frames_of, read_golden
from dis2_edge.scenario import sensors_of
from dis2_edge.terminal import progress
from dis2_runtime.engine import Answer
from dis2_runtime.engines.onnx_runtime import OnnxModel, open_model


@dataclass(frozen=True)
class Check:
    """What came of one model row on all goldens."""

    row: ModelRow
    """The row, with its tolerances."""
    goldens: int
    """Goldens that it was run on."""
    agreement: float
    """Least share (0..1) of a golden's mask pixels that came out equal."""
    error: float
    """Largest error (0..1) of a confidence."""


def verify(path: Path, threads: int = 0) -> tuple[Check, ...]:
    """Check the bundle at `path` wholly; the first thing that is wrong is a BundleError that names the file or row."""
    bundle = bundles.read(path)
    bundles.verify_hashes(bundle)
    rows = [row for row in bundle.manifest.models if (row.dialect, row.io) == ("ort", "frame")]
    if not rows or not bundle.manifest.goldens:
        missing = "model for ONNX Runtime" if not rows else "golden"
        raise BundleError(f"{path} holds no {missing}: nothing can be proven", mend="quantize and deploy again")
    goldens = [_read_golden(bundle, golden.file) for golden in bundle.manifest.goldens]
    return tuple(_check(bundle, row, goldens, threads) for row in progress(rows, "verify models"))


def _read_golden(bundle: Bundle, file: str) -> Arrays:
    task = bundle.manifest.task
    arrays = read_golden(bundle.file(file), task)
    frames_of(arrays, task.sensors, task.grid, file)
    return arrays


def _check(bundle: Bundle, row: ModelRow, goldens: list[Arrays], threads: int) -> Check:
    """Run one row on every golden and hold it to its tolerances."""
    model = _open(bundle, row, threads)
    agreements, errors = [], []
    for golden, arrays in zip(bundle.manifest.goldens, goldens, strict=True):
        recorded = _recorded(bundle, row, arrays, golden.file)
        try:
            answer = model.run(arrays)
        except EngineError as cause:
            raise BundleError(f"{row.file} does not run on {golden.file}: {cause}") from cause
        agreements.append(float(np.mean(answer.mask == recorded.mask)))
        errors.append(_largest_error(answer, recorded))
    check = Check(row, len(goldens), min(agreements), max(errors))
    _hold(check)
    return check


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


def _recorded(bundle: Bundle, row: ModelRow, arrays: Arrays, where: str) -> Answer:
    """The answer that the golden holds for this row."""
    found = []
    for kind in ("mask", "confidence"):
        name = f"{row.scenario}/{row.precision}/{kind}"
        array = arrays.get(name)
        if array is None or array.shape != bundle.manifest.task.grid or array.dtype != np.uint8:
            raise BundleError(f"{where} holds no {name} of the grid's size", expected="one uint8 array a model row")
        found.append(array)
    return Answer(*found)


def _largest_error(answer: Answer, recorded: Answer) -> float:
    apart = np.abs(answer.confidence.astype(np.int16) - recorded.confidence.astype(np.int16))
    return float(apart.max()) / 255.0


def _hold(check: Check) -> None:
    row = check.row
    name = f"{row.file} ({row.scenario} {row.precision})"
    mend = "this engine computes otherwise than the one that made the bundle: quantize again with its version"
    if check.agreement < row.golden_agreement:
        found = f"{name} agrees with its golden on {check.agreement:.4f} of the pixels"
        raise BundleError(found, expected=f"{row.golden_agreement:.4f} or more", mend=mend)
    if check.error > row.golden_error:
        found = f"{name} differs from its golden's confidence by {check.error:.4f}"
        raise BundleError(found, expected=f"{row.golden_error:.4f} or less", mend=mend)
