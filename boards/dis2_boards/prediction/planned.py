"""What a plan holds: predicted figures for each model file in each power mode, and for the memory of each precision."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from dis2_boards.prediction.memory import Memory
from dis2_boards.prediction.verdict import Answer, worst

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
    limits: tuple[str, ...]
    """What does not hold on the board, in its file's sentences."""
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
