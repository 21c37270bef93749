"""Hold what an engine answers to a bundle's goldens: every engine and every plan passes here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dis2_edge.bundle import Bundle, ModelRow
from dis2_edge.errors import BundleError, EngineError
from dis2_edge.goldens import Arrays, answers_at, frames_of, read_golden
from dis2_runtime.engine import Answer, Frames

__all__ = ["Check", "check_row", "read_goldens"]


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


def read_goldens(bundle: Bundle) -> list[Arrays]:
    """The arrays of every golden, with the frames of every sensor; BundleError names the one that is damaged."""
    task = bundle.manifest.task
    found = []
    for golden in bundle.manifest.goldens:
        arrays = read_golden(bundle.file(golden.file), task)
        frames_of(arrays, task.sensors, task.grid, golden.file)
        found.append(arrays)
    return found


def check_row(bundle: Bundle, row: ModelRow, goldens: Sequence[Arrays], run: Callable[[Frames], Answer]) -> Check:
    """Let `run` answer every golden as `row`; BundleError where it leaves the row's tolerances, or fails."""
    agreements, errors = [], []
    for golden, arrays in zip(bundle.manifest.goldens, goldens, strict=True):
        recorded = _recorded(bundle, row, arrays, golden.file)
        try:
            answer = run(arrays)
        except EngineError as cause:
            raise BundleError(f"{row.file} does not run on {golden.file}: {cause}") from cause
        agreements.append(float(np.mean(answer.mask == recorded.mask)))
        errors.append(_largest_error(answer, recorded))
    check = Check(row, len(goldens), min(agreements), max(errors))
    _hold(check)
    return check


def _recorded(bundle: Bundle, row: ModelRow, arrays: Arrays, where: str) -> Answer:
    """The answer that the golden holds for this row."""
    found = []
    for kind in ("mask", "confidence"):
        name = f"{answers_at(row.scenario, row.precision, row.dialect)}/{kind}"
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
