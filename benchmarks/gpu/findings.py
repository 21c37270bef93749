"""What a run finds, a line of JSON at a time, so that a part that is killed loses only what it had not come to."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from dis2_edge.errors import StorageError
from dis2_edge.files import read_json, write_json

Found = TypeVar("Found")
OURS = "dis2-edge"
"""Our kernel's name among the contestants."""


@dataclass(frozen=True)
class Proven:
    """Our kernel against its reference, all cases of one kernel through one driver."""

    driver: str
    kernel: str
    cases: int
    """Cases that were run."""
    worst: float | None
    """Largest error, 1 being what is allowed; None where none could be told."""
    problem: str = ""
    """What went wrong; empty when all was right."""


@dataclass(frozen=True)
class Looked:
    """One tool of compute-sanitizer over all cases."""

    tool: str
    errors: int | None
    """Errors that it counted; None where it did not come to an end."""
    problem: str = ""


@dataclass(frozen=True)
class Row:
    """One contestant at one shape."""

    kernel: str
    shape: str
    contestant: str
    median_us: float | None = None
    """Half of the calls took at most this long on the GPU."""
    p95_us: float | None = None
    n: int = 0
    """Calls that were timed."""
    share: float | None = None
    """Time that the roof allows over the median: 1 is the roof."""
    roof: str = ""
    """What binds: bandwidth or tensor cores."""
    error: float | None = None
    """Error against float64 at this shape, 1 being what is allowed."""
    problem: str = ""
    """Why there is no time, or why it does not count."""


@dataclass
class Findings:
    """All of a run."""

    facts: dict[str, str] = field(default_factory=dict)
    """Device, clocks, versions, by name."""
    proofs: list[Proven] = field(default_factory=list)
    looked: list[Looked] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    """Parts that could not be run, or were cut short, and why."""

    @property
    def faults(self) -> list[Proven | Looked]:
        """What is wrong with a kernel; a tool that is not here is none."""
        return [one for one in self.proofs if one.problem] + [one for one in self.looked if one.errors]

    @property
    def worth_keeping(self) -> bool:
        """Whether anything was timed or proven."""
        return any(row.median_us for row in self.rows) or any(not proof.problem for proof in self.proofs)

    def take(self, line: str) -> None:
        """Add what a part wrote; a line that was cut short is left out."""
        try:
            found = json.loads(line)
            KINDS[found.pop("kind")](self, found)
        except (ValueError, KeyError, TypeError, AttributeError):
            return

    def save(self, file: Path) -> None:
        """Write all that was found until now."""
        write_json(file, finite(asdict(self)))


KINDS: dict[str, Callable[[Findings, dict[str, Any]], None]] = {
    "fact": lambda findings, found: findings.facts.__setitem__(found["name"], str(found["value"])),
    "Proven": lambda findings, found: _put(findings.proofs, Proven(**found), ("driver", "kernel")),
    "Looked": lambda findings, found: _put(findings.looked, Looked(**found), ("tool",)),
    "Row": lambda findings, found: _put(findings.rows, Row(**found), ("kernel", "shape", "contestant")),
    "missing": lambda findings, found: findings.missing.append(found["told"]),
}
"""How a line of each kind is taken."""


def _put(among: list[Found], one: Found, names: tuple[str, ...]) -> None:
    """Add `one`, in the place of an older one that is equal in `names`."""
    key = [getattr(one, name) for name in names]
    among[:] = [other for other in among if [getattr(other, name) for name in names] != key] + [one]


def load(file: Path) -> Findings:
    """What `save` wrote; nothing where nothing was written; StorageError for something else."""
    if not file.exists():
        return Findings()
    found = read_json(file, StorageError)
    try:
        return Findings(
            found["facts"],
            [Proven(**one) for one in found["proofs"]],
            [Looked(**one) for one in found["looked"]],
            [Row(**one) for one in found["rows"]],
            found["missing"],
        )
    except (KeyError, TypeError) as error:
        raise StorageError(f"{file} is not what `make gpu` writes ({error})", mend="remove it and run all") from error


class Pen:
    """Writes findings to a file, each at once."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def fact(self, name: str, value: object) -> None:
        """A word about the run."""
        self._write({"kind": "fact", "name": name, "value": str(value)})

    def missing(self, told: str) -> None:
        """What could not be had, and why."""
        self._write({"kind": "missing", "told": told})

    def add(self, found: Proven | Looked | Row) -> None:
        """A finding."""
        self._write({"kind": type(found).__name__, **finite(asdict(found))})

    def add_all(self, found: Iterable[Proven | Looked | Row]) -> None:
        """Findings, each as it comes."""
        for one in found:
            self.add(one)

    def _write(self, line: dict[str, Any]) -> None:
        with self.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, allow_nan=False) + "\n")


def finite(value: Any) -> Any:
    """`value` with what JSON cannot say (infinities, NaN) as None, all through it."""
    if isinstance(value, dict):
        return {key: finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
