"""What came of a deploy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dis2_edge.bundle import Bundle


@dataclass(frozen=True)
class Deployed:
    """A board that runs what was sent, and what that took."""

    bundle: Bundle
    """What it runs."""
    target: str
    """The board for people."""
    before: str | None
    """Id of the version that flew before; None: none did."""
    proof: Mapping[str, Any]
    """What was proven on the board."""
    why: str
    """What its health was judged by."""
    already: bool
    """Whether it flew there already, and nothing was done."""
    sent_bytes: int
    """Bytes that travelled."""
    total_bytes: int
    """Bytes that would have travelled to an empty board."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Time of each step by its name."""
    reports: tuple[Path, ...] = ()
    """Files of the board's report that were fetched."""

    @property
    def p50_ms(self) -> float | None:
        """Median time of what flies with all sensors, in ms, as the board measured it."""
        full = self.bundle.manifest.task.full
        for row in self.proof.get("rows", []):
            if (row.get("scenario"), row.get("engine"), row.get("precision")) == (full, self.engine, self.precision):
                return None if row.get("p50_ms") is None else float(row["p50_ms"])
        return None

    @property
    def engine(self) -> str:
        """What flies there."""
        return str((self.proof.get("chosen") or {}).get("engine", ""))

    @property
    def precision(self) -> str:
        """In which precision."""
        return str((self.proof.get("chosen") or {}).get("precision", ""))
