"""The verdict on a quantised run: what each file lost against FP32, held against limits; kept in verdict.json."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dis2_edge.errors import CheckpointError, RecipeError
from dis2_edge.files import read_json, write_json
from dis2_edge.manifest import Dialect, Io, Precision
from dis2_edge.settings import from_table
from dis2_edge.timing import Machine
from dis2_quantize.judging.drops import Drop

FILE = "verdict.json"
FORMAT = 1


@dataclass(frozen=True)
class Limits:
    """What quantisation may cost, in any scenario and any file."""

    max_drop: float = 0.5
    """Points of mean IoU."""
    max_class_drop: float = 2.0
    """Points of IoU of any one class."""

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            if not 0 <= value < math.inf:
                raise RecipeError(f"--{name.replace('_', '-')} is {value}", expected="points, 0 or more")


@dataclass(frozen=True)
class Timing:
    """How the milliseconds were taken: files of one scenario in turn, under ONNX Runtime, one image at a time."""

    machine: Machine
    """On what."""
    threads: int
    """Threads of one inference."""
    n: int
    """Calls that were timed of each file."""
    warm_up: int
    """Calls before them that were not."""


@dataclass(frozen=True)
class Row:
    """One file."""

    scenario: str
    """The sensors that it reads."""
    precision: Precision
    """Number format of its convolutions."""
    dialect: Dialect
    """Whose rules it is written by."""
    io: Io
    """frame or tensor."""
    file: str
    """Path within the quantised run."""
    bytes: int
    """Its size."""
    miou: float | None
    """Mean IoU (0..1) over the classes that occur in the labels."""
    class_iou: tuple[float | None, ...]
    """IoU (0..1) of each class; None for one that does not occur."""
    agreement: float | None
    """Share (0..1) of pixels at which it says what its scenario's FP32 file says; None without one."""
    drop: Drop | None
    """Points of mean IoU lost against that file; None for the file itself and without one."""
    class_drops: tuple[Drop | None, ...]
    """Points of IoU lost, of each class; None for one that does not occur, and where `drop` is None."""
    median_ms: float | None
    """Half of its calls took at most this long; None for a file that does not fly on such a computer."""
    p95_ms: float | None
    """95 % of its calls took at most this long; None where so few calls cannot tell."""
    worst: str = ""
    """Path within the quantised run of the picture of its worst tiles; empty where no pixel turned wrong."""
    overflow: str = ""
    """The first tensor that FP16 cannot hold on the split, by simulation; empty where all fit, and of other formats."""


@dataclass(frozen=True)
class Held:
    """What a file lost, held against the limit for it."""

    row: Row
    """The file."""
    name: str
    """Name of the class, or empty for mean IoU."""
    drop: Drop
    """What was lost."""
    limit: float
    """What may be."""

    @property
    def missed(self) -> bool:
        """Whether it lost more than it may: the drop decides, its interval tells how sure that is."""
        return self.drop.points > self.limit

    @property
    def is_sure(self) -> bool:
        """Whether the whole interval lies on one side of the limit."""
        return not self.drop.low <= self.limit < self.drop.high


@dataclass(frozen=True)
class Verdict:
    """All files of a quantised run against the limits."""

    dataset: str
    """Name of the data set."""
    split: str
    """The split that was judged on."""
    images: int
    """Its images."""
    resamples: int
    """Bootstrap resamples behind each interval of 95 %."""
    classes: tuple[str, ...]
    """Names of the classes."""
    absent: tuple[str, ...]
    """Classes without a pixel in the split's labels: they are not judged."""
    limits: Limits
    """What may be lost."""
    timing: Timing
    """How the milliseconds were taken."""
    rows: tuple[Row, ...]
    """One a file, FP32 first."""
    format: int = FORMAT
    """Version of this shape."""

    def __post_init__(self) -> None:
        for row in self.rows:
            if not len(row.class_iou) == len(row.class_drops) == len(self.classes):
                raise CheckpointError(f"the verdict on {row.file} is not of {len(self.classes)} classes")

    def held(self, row: Row | None = None) -> list[Held]:
        """All that was held against a limit, of `row` or of every one."""
        rows = self.rows if row is None else (row,)
        return [held for row in rows for held in self._held(row)]

    def misses(self, row: Row | None = None) -> list[Held]:
        """Every limit that was missed, by `row` or by any."""
        return [held for held in self.held(row) if held.missed]

    def is_judged(self, row: Row) -> bool:
        """Whether there was an FP32 file to hold `row` against."""
        return row.drop is not None

    def kept(self, row: Row) -> bool:
        """Whether `row` lost no more than it may, and FP16 holds it where it is FP16."""
        return not self.misses(row) and not row.overflow

    @property
    def passed(self) -> bool | None:
        """Whether every limit was kept; None where no file could be held against an FP32 one."""
        return all(map(self.kept, self.rows)) if any(map(self.is_judged, self.rows)) else None

    def _held(self, row: Row) -> list[Held]:
        each = zip(self.classes, row.class_drops, strict=True)
        pairs = [("", row.drop, self.limits.max_drop), *((*pair, self.limits.max_class_drop) for pair in each)]
        return [Held(row, name, drop, limit) for name, drop, limit in pairs if drop]


def write(verdict: Verdict, qrun: Path) -> None:
    """Write `verdict` into the folder of the quantised run; `pass` stands in it for other tools to read."""
    table: dict[str, Any] = dataclasses.asdict(verdict)
    for row, told in zip(verdict.rows, table["rows"], strict=True):
        told["pass"] = verdict.kept(row) if verdict.is_judged(row) else None
    write_json(qrun / FILE, table | {"pass": verdict.passed})


def read(qrun: Path) -> Verdict:
    """The verdict that `write` left in `qrun`; CheckpointError when there is none or it does not fit."""
    if not (qrun / FILE).is_file():
        mend = "make one: dis2-edge quantize RUN --data DATA --out QRUN"
        raise CheckpointError(f"{qrun} holds no {FILE}", expected="a quantised run", mend=mend)
    table = read_json(qrun / FILE, CheckpointError)
    where = str(qrun / FILE)
    if not isinstance(table, Mapping) or table.get("format") != FORMAT:
        raise CheckpointError(f"{where} is of another format", expected=f"{FORMAT}", mend="quantize again")
    rows = table.get("rows")
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise CheckpointError(f"{where} has no rows", mend="quantize again")
    derived = {**table, "rows": [_without_pass(row) for row in rows]}
    return from_table(Verdict, _without_pass(derived), where=where, error=CheckpointError)


def _without_pass(table: Mapping[str, Any]) -> dict[str, Any]:
    """`table` less what follows from the rest of it."""
    return {key: value for key, value in table.items() if key != "pass"}
