"""What a self-test finds of one model: a row of proof.json."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dis2_edge.bundle import ModelRow
from dis2_edge.engine_names import EngineName
from dis2_edge.manifest import Dialect, Precision
from dis2_edge.report.schema import Measured, number
from dis2_edge.scores import Scores, scores
from dis2_edge.timing import Latency

__all__ = ["Row", "failed"]


@dataclass(frozen=True)
class Row:
    """One model of a bundle under the engine that flies it here."""

    scenario: str
    """The sensors that it reads."""
    precision: Precision
    """Number format of its convolutions."""
    dialect: Dialect
    """Form of its file."""
    engine: EngineName
    """What ran it."""
    why: str = ""
    """Why it is not proven; empty when it is."""
    agreement: float | None = None
    """Least share (0..1) of a golden's mask pixels that came out equal; None where no golden was run."""
    error: float | None = None
    """Largest error (0..1) of a confidence on the goldens."""
    latency: Latency | None = None
    """Of the loaded engine: frames on the grid in, mask and confidence out."""
    confusion: tuple[tuple[int, ...], ...] = ()
    """Kx(K+1) pixel counts on the labelled tiles; empty without tiles."""
    images: int = 0
    """Tiles that were counted."""

    @property
    def proven(self) -> bool:
        """Whether it answered every golden as it must."""
        return not self.why

    @property
    def scores(self) -> Scores | None:
        """Accuracy on the tiles; None without them."""
        return scores(np.array(self.confusion, np.int64)) if self.confusion else None

    @property
    def measured(self) -> Measured | None:
        """The row of a report; None where it was not counted and timed."""
        if self.latency is None or not self.confusion:
            return None
        return Measured(self.scenario, self.precision, self.confusion, self.images, self.latency)

    def to_table(self) -> dict[str, Any]:
        """Plain values, for proof.json."""
        latency, found = self.latency, self.scores
        p90 = float(np.percentile(latency.samples_ms, 90)) if latency else None
        return {
            "scenario": self.scenario,
            "precision": self.precision,
            "dialect": self.dialect,
            "engine": self.engine,
            "agreement": self.agreement,
            "error": self.error,
            "p50_ms": None if latency is None else round(latency.median_ms, 3),
            "p90_ms": None if p90 is None else round(p90, 3),
            "n": latency.n if latency else 0,
            "miou": number(found.miou) if found else None,
            "class_iou": [number(value) for value in found.iou] if found else None,
            "proven": self.proven,
            "why": self.why,
        }


def failed(row: ModelRow, engine: EngineName, why: str) -> Row:
    """The row of a model that may not fly here."""
    return Row(row.scenario, row.precision, row.dialect, engine, why or "it does not say why")
