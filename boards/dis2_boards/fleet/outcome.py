"""How it went with one board: a line of the table at the end and of fleet.json, and of the files between processes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from dis2_edge.errors import BoardError
from dis2_edge.files import read_json, write_json
from dis2_edge.settings import from_table

State = Literal["kept", "flew already", "running", "rolled back", "failed", "not tried"]


@dataclass(frozen=True)
class Outcome:
    """What became of one board."""

    state: State
    """`kept` and `flew already` fly the bundle; after `rolled back` and `failed` the old version flies."""
    before: str | None = None
    """Id of the bundle that flew before; None for none, or where nobody could ask."""
    after: str | None = None
    """Id of the bundle that flies now; None as above."""
    engine: str = ""
    """The engine that was chosen on the board."""
    precision: str = ""
    """The number format that was chosen on the board."""
    p50_ms: float | None = None
    """Median time of a tick of the scenario with all sensors, as the board's self-test measured it."""
    why: str = ""
    """Why it did not take the bundle, or what is worth knowing."""
    seconds: float = 0.0
    """How long it took."""

    @property
    def flies(self) -> bool:
        """Whether the board flies the bundle."""
        return self.state in ("kept", "flew already")


def read(path: Path) -> Outcome:
    """The outcome in a file; BoardError where it is none."""
    return from_table(Outcome, read_json(path, BoardError), where=str(path), error=BoardError)


def write(path: Path, outcome: Outcome) -> None:
    """Keep `outcome` in a file, whole or not at all."""
    write_json(path, to_table(outcome))


def to_table(outcome: Outcome) -> dict[str, Any]:
    """Plain values, for JSON."""
    return asdict(outcome)
