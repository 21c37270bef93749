"""Latency, energy and memory of a quantised run, predicted for a board before any hardware is touched."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

from dis2_boards.packing.quantized import QuantizedRun
from dis2_boards.prediction.given import Files, files_for, read_run
from dis2_boards.prediction.memory import FACTOR, SYSTEM_MB, Memory, memory
from dis2_boards.prediction.planned import MemoryRow, Plan, Row
from dis2_boards.prediction.roofline import BOUNDS, Prediction, predict_ms
from dis2_boards.prediction.setting import Setting, settings_of
from dis2_boards.prediction.verdict import answer
from dis2_boards.profile import Board
from dis2_edge.costs import LayerCost
from dis2_edge.errors import CheckpointError, RecipeError
from dis2_edge.manifest import ModelRow
from dis2_edge.settings import nearest


def plan(qrun: Path, board: Board, *, mode: str = "", fps: float | None = None, scenario: str = "") -> Plan:
    """Predict what the quantised run in the folder `qrun` does on `board`, in all its power modes or in one.

    `fps` is the frame rate to be held, else that of the run's first sensor. CheckpointError on a folder that is no
    quantised run, BoardError on a board of which too little is known or that has no files in the run.
    """
    settings = settings_of(board, mode)
    run = read_run(qrun)
    if scenario and scenario not in run.task.scenarios:
        raise RecipeError(f"unknown scenario {scenario!r}", mend=nearest(scenario, run.task.scenarios))
    files = files_for(board, run, qrun)
    made = _frame(run, board, _rate(fps, run))
    asked = {row: layers for row, layers in files.items() if scenario in ("", row.scenario)}
    if not asked:
        raise CheckpointError(
            f"{qrun} has no file of the scenario {scenario!r} for {board.name!r}", mend="quantize again"
        )
    rows = [_row(row, layers, board, setting, made) for row, layers in asked.items() for setting in settings]
    return dataclasses.replace(made, rows=tuple(rows), memory=tuple(_memory_rows(files, board, made)))


def _frame(run: QuantizedRun, board: Board, fps: float) -> Plan:
    """A plan without rows: what each of them is held against."""
    error = board.roofline.error if board.roofline else None
    made = Plan(
        name=run.name,
        board=board.name,
        fps=fps,
        around_ms=board.budgets["overhead"].value if "overhead" in board.budgets else 0.0,
        error_factor=error.value if error else None,
        error_source=error.source if error else "",
        board_memory_mb=board.hardware["memory"].value * 1000 - SYSTEM_MB if "memory" in board.hardware else None,
        limits=board.limits,
        rows=(),
        memory=(),
    )
    if made.limit_ms <= 0:
        most = f"below {1000 / made.around_ms:g}"
        raise RecipeError(f"{fps:g} frames a second leave the engine no time", expected=most)
    return made


def _rate(fps: float | None, run: QuantizedRun) -> float:
    if fps is None:
        return run.task.sensors[0].rate_hz
    if not 0 < fps < math.inf:
        raise RecipeError(f"{fps:g} frames a second", expected="a number above 0")
    return fps


def _row(row: ModelRow, layers: Sequence[LayerCost], board: Board, setting: Setting, made: Plan) -> Row:
    known = setting.compute is not None
    found = predict_ms(layers, board, setting) if known else None
    ms, factor = found.ms if found else None, made.error_factor
    return Row(
        scenario=row.scenario,
        precision=row.precision,
        mode=setting.mode,
        default=setting.default,
        predicted_ms=ms,
        predicted_range_ms=(ms / factor, ms * factor) if ms is not None and factor else None,
        predicted_bound_ms={bound: found.ms_bound_by(bound) for bound in BOUNDS} if found else {},
        predicted_kind_ms=_by_kind(found) if found else {},
        predicted_energy_mj=ms * setting.power.value if ms is not None and setting.power else None,
        holds=answer(ms, made.limit_ms, factor) if ms is not None else None,
    )


def _by_kind(found: Prediction) -> dict[str, float]:
    taken = {"call": found.call_ms} if found.call_ms else {}
    for time in found.layers:
        taken[time.layer.kind] = taken.get(time.layer.kind, 0.0) + time.ms
    return dict(sorted(taken.items(), key=lambda pair: -pair[1]))


def _memory_rows(files: Files, board: Board, made: Plan) -> list[MemoryRow]:
    """What each precision takes: every scenario is loaded, whichever was asked for."""
    held: dict[str, dict[str, tuple[LayerCost, ...]]] = {}
    for row, layers in files.items():
        held.setdefault(row.precision, {})[row.scenario] = layers
    return [_memory_row(precision, memory(scenarios, board.dialect), made) for precision, scenarios in held.items()]


def _memory_row(precision: str, found: Memory | None, made: Plan) -> MemoryRow:
    if found is None or made.board_memory_mb is None:
        return MemoryRow(precision, found, None)
    return MemoryRow(precision, found, answer(max(found.run_mb, found.build_mb), made.board_memory_mb, FACTOR))
