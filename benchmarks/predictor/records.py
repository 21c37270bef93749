"""What was measured, and what was predicted for it: kept as JSON, so that a board file's error can be checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.predictor.fitting import typical, worst
from dis2_edge.errors import DataError
from dis2_edge.files import read_json, write_json
from dis2_edge.settings import from_table
from dis2_edge.terminal import say, table

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Row:
    """One file."""

    name: str
    """Name of the file."""
    judged: bool
    """Whether the figures that predict it were chosen without it."""
    measured_ms: float
    """Median of its calls."""
    predicted_ms: float
    """By the roofline of the record."""

    @property
    def ratio(self) -> float:
        """Predicted over measured."""
        return self.predicted_ms / self.measured_ms


@dataclass(frozen=True)
class Record:
    """One run of the benchmark."""

    command: str
    """How it was made."""
    machine: dict[str, Any]
    """What it was measured on."""
    how: str
    """Clock, threads, warm-up and calls."""
    attained: dict[str, float]
    """GOP/s by number format, `bandwidth` in GB/s, `overhead` in us a layer, of the roofline that predicts."""
    rows: tuple[Row, ...]
    """Each file."""

    @property
    def judged(self) -> list[float]:
        """Predicted over measured of the files that the roofline did not see."""
        return [row.ratio for row in self.rows if row.judged]

    @property
    def error(self) -> float:
        """The largest factor by which a file that the roofline did not see is off."""
        return worst(self.judged)


def keep(record: Record, file: Path) -> None:
    """Write `record` to `file`."""
    write_json(file, asdict(record))


def load(file: Path) -> Record:
    """The record in `file`."""
    return from_table(Record, read_json(file, DataError), where=str(file), error=DataError)


def show(record: Record, title: str) -> None:
    """Print every file and the errors."""
    rows = [
        (
            row.name,
            "judged" if row.judged else "",
            f"{row.measured_ms:.2f}",
            f"{row.predicted_ms:.2f}",
            f"{row.ratio:.2f}",
        )
        for row in record.rows
    ]
    table(title, ("file", "", "measured ms", "predicted ms", "predicted / measured"), rows)
    say(f"{record.how}; {record.machine}")
    say(summary(record.judged))


def summary(ratios: Sequence[float]) -> str:
    """How far predictions are off, in a sentence."""
    return f"off by at most a factor of {worst(ratios):.2f}, typically {typical(ratios):.2f} (n = {len(ratios)} files)"
