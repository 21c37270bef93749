"""Latency, energy and memory of a quantised run, predicted for a board before any hardware is touched."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dis2_boards.packing import quantized
from dis2_boards.packing.quantized import QuantizedRun
from dis2_boards.prediction.memory import FACTOR, SYSTEM_MB, Memory, memory
from dis2_boards.prediction.roofline import BOUNDS, Prediction, predict_ms
from dis2_boards.prediction.setting import Setting, settings_of
from dis2_boards.prediction.verdict import Answer, answer, worst
from dis2_boards.profile import Board
from dis2_edge.costs import LayerCost, read_costs
from dis2_edge.errors import BoardError, CheckpointError, RecipeError
from dis2_edge.manifest import ModelRow
from dis2_edge.settings import nearest

PREDICTED = "every figure here is predicted from the layers of the files and the board's roofline; nothing was run"


@dataclass(frozen=True)
class Row:
    """One model file in one power mode."""

    scenario: str
    """The sensors that it reads."""
    precision: str
    """Number format of its convolutions."""
    mode: str
    """Name of the power mode."""
    default: bool
    """Whether a board comes in that mode."""
    predicted_ms: float | None
    """Latency of one image in the engine; None where the mode's clocks are not known."""
    predicted_range_ms: tuple[float, float] | None
    """That, a factor of the predictor's error less and more; None where no error is stated."""
    predicted_bound_ms: dict[str, float]
    """Of that latency, what layers spend that compute, memory or overhead binds."""
    predicted_kind_ms: dict[str, float]
    """Of that latency, what each kind of layer takes, the dearest first; `call` is what is no layer's."""
    predicted_energy_mj: float | None
    """Energy of one image at the mode's whole power, in mJ; None where no file states a power."""
    holds: Answer | None
    """Whether the frame rate holds; None where nothing can be predicted."""


@dataclass(frozen=True)
class MemoryRow:
    """One precision, all scenarios loaded together."""

    precision: str
    """Number format of the files."""
    predicted: Memory | None
    """What it takes; None where the costs do not tell: files of an older version."""
    holds: Answer | None
    """Whether it fits into the board's memory; None where either is not known."""


@dataclass(frozen=True)
class Plan:
    """What a quantised run is predicted to do on a board; nobody measured it."""

    name: str
    """Name of the run."""
    board: str
    """Name of the board."""
    fps: float
    """Frames a second that must hold."""
    around_ms: float
    """Part of a frame's time that is kept for all that stands around the engine."""
    error_factor: float | None
    """How far predictions of latency were off where they could be held against measurements; None: never held."""
    error_source: str
    """Where that factor comes from."""
    board_memory_mb: float | None
    """Memory of the board, less what its own system takes; None where its file does not say it."""
    rows: tuple[Row, ...]
    """By scenario, precision and power mode."""
    memory: tuple[MemoryRow, ...]
    """By precision."""

    @property
    def limit_ms(self) -> float:
        """Time that the engine has for one image."""
        return 1000.0 / self.fps - self.around_ms

    def worst(self, precision: str, mode: str) -> Answer | None:
        """The worst answer of all scenarios; None where one is not known."""
        answers = [row.holds for row in self.rows if (row.precision, row.mode) == (precision, mode)]
        known = [found for found in answers if found is not None]
        return worst(known) if known and len(known) == len(answers) else None

    def to_table(self) -> dict[str, Any]:
        """All of it as plain values, for JSON."""
        return {"note": PREDICTED, "limit_ms": self.limit_ms, **dataclasses.asdict(self)}


def plan(qrun: Path, board: Board, *, mode: str = "", fps: float = 0.0, scenario: str = "") -> Plan:
    """Predict what the quantised run in the folder `qrun` does on `board`, in all its power modes or in one.

    `fps` is the frame rate to be held; 0 takes that of the run's anchor. CheckpointError on a folder that is no
    quantised run, BoardError on a board of which too little is known or that has no files in the run.
    """
    settings = settings_of(board, mode)
    run = _read(qrun)
    files = {row: _costs(qrun, row) for row in _rows(run, board, scenario)}
    rate = _rate(fps, run)
    around = board.budgets["overhead"].value if "overhead" in board.budgets else 0.0
    error = board.roofline.error if board.roofline else None
    made = Plan(
        name=run.name,
        board=board.name,
        fps=rate,
        around_ms=around,
        error_factor=error.value if error else None,
        error_source=error.source if error else "",
        board_memory_mb=_room_mb(board),
        rows=(),
        memory=(),
    )
    if made.limit_ms <= 0:
        raise RecipeError(f"{rate:g} frames a second leave the engine no time", expected=f"below {1000 / around:g}")
    rows = [_row(row, layers, board, setting, made) for row, layers in files.items() for setting in settings]
    kept: dict[str, dict[str, tuple[LayerCost, ...]]] = {row.precision: {} for row in files}
    for row, layers in files.items():
        kept[row.precision][row.scenario] = layers
    needs = [_memory_row(name, memory(held, board.dialect), made) for name, held in kept.items()]
    return dataclasses.replace(made, rows=tuple(rows), memory=tuple(needs))


def _read(qrun: Path) -> QuantizedRun:
    """The run in `qrun`; what is given in its place is told what to give."""
    if (qrun / "manifest.json").is_file():
        raise CheckpointError(
            f"{qrun} is a bundle, which does not hold what its layers cost",
            expected="a quantised run",
            mend="give the folder of `dis2-edge quantize` that it was made of",
        )
    if qrun.is_dir() and not (qrun / quantized.INDEX).exists() and any(qrun.glob("*.costs.json")):
        raise CheckpointError(
            f"{qrun} holds costs, but is no quantised run", mend=f"give the folder of the run: {qrun.absolute().parent}"
        )
    return quantized.read(qrun)


def _rows(run: QuantizedRun, board: Board, scenario: str) -> list[ModelRow]:
    """The model rows for `board`, by scenario in the run's order, then as the board likes their precisions."""
    if scenario and scenario not in run.task.scenarios:
        raise RecipeError(f"unknown scenario {scenario!r}", mend=nearest(scenario, run.task.scenarios))
    found = [row for row in run.models if board.runs(row)]
    if not found:
        raise BoardError(
            f"no model of {run.name} is for the board {board.name!r}",
            expected=f"{board.dialect} {board.io} files in {' or '.join(board.precisions)}",
            mend=f"quantize again with --dialect {board.dialect} --precision {','.join(board.precisions)}",
        )
    order = {name: place for place, name in enumerate(run.task.scenarios)}
    found.sort(key=lambda row: (order.get(row.scenario, len(order)), board.precisions.index(row.precision)))
    return [row for row in found if scenario in ("", row.scenario)]


def _costs(qrun: Path, row: ModelRow) -> tuple[LayerCost, ...]:
    file = (qrun / row.file).with_suffix(".costs.json")
    if not file.is_file():
        raise CheckpointError(f"{file} is missing: what the layers of {row.file} cost", mend="quantize again")
    return read_costs(file)


def _rate(fps: float, run: QuantizedRun) -> float:
    if not 0 <= fps < math.inf:
        raise RecipeError(f"{fps:g} frames a second", expected="a number above 0")
    return fps or run.task.sensors[0].rate_hz


def _room_mb(board: Board) -> float | None:
    if "memory" not in board.hardware:
        return None
    return board.hardware["memory"].value * 1000 - SYSTEM_MB


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


def _memory_row(precision: str, found: Memory | None, made: Plan) -> MemoryRow:
    if found is None or made.board_memory_mb is None:
        return MemoryRow(precision, found, None)
    return MemoryRow(precision, found, answer(max(found.run_mb, found.build_mb), made.board_memory_mb, FACTOR))
