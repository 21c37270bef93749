"""The record of a roll-out: what became of every board, kept in fleet.json from the start, and shown as a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dis2_boards.fleet import outcome
from dis2_boards.fleet.outcome import Outcome
from dis2_boards.fleet.plan import Fleet
from dis2_edge.files import write_json
from dis2_edge.terminal import table

_COLUMNS = ("board", "wave", "state", "before", "after", "engine", "ms", "why")
_COLOURS = {"kept": "green", "flew already": "green", "rolled back": "yellow", "failed": "red", "not tried": "dim"}


@dataclass
class Record:
    """What became of every board so far."""

    plan: Fleet
    """The fleet."""
    bundle: str
    """Id of the bundle that is rolled out."""
    name: str
    """The bundle's name, for people."""
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    """How it went, by board, in the order of the roll-out."""
    waves: dict[str, str] = field(default_factory=dict)
    """`canary` or `wave N`, by board."""
    interrupted: bool = False
    """Whether somebody asked for an end."""

    def __post_init__(self) -> None:
        for number, wave in enumerate(self.plan.steps()):
            for member in wave:
                self.outcomes[member.name] = Outcome("not tried")
                self.waves[member.name] = f"wave {number}" if number else "canary"

    @property
    def path(self) -> Path:
        """The file of the record."""
        return self.plan.path.with_suffix(".json")

    def open(self) -> Iterator[tuple[str, str]]:
        """Boards that may have news, and their waves."""
        yield from [
            (name, self.waves[name]) for name, how in self.outcomes.items() if how.state in ("not tried", "running")
        ]

    def take(self, name: str, how: Outcome) -> bool:
        """Note how it goes with a board; whether that is news, which is kept at once."""
        news = self.outcomes[name] != how
        if news:
            self.outcomes[name] = how
            self.keep()
        return news

    def all_fly(self) -> bool:
        """Whether every board flies the bundle."""
        return all(how.flies for how in self.outcomes.values())

    def stopped(self) -> str:
        """Why boards were not tried, in words; empty when all were."""
        if not any(how.state == "not tried" for how in self.outcomes.values()):
            return ""
        if self.interrupted:
            return "stopped by request"
        last = [self.waves[name] for name, how in self.outcomes.items() if how.state != "not tried"]
        return f"stopped after {last[-1]}, which failed" if last else "stopped before the first board"

    def keep(self) -> None:
        """Write fleet.json."""
        write_json(self.path, self.to_table())

    def show(self) -> None:
        """Print the table."""
        rows = [(name, self.waves[name], *_cells(how)) for name, how in self.outcomes.items()]
        table(f"Roll-out of {self.name} (bundle {self.bundle})", _COLUMNS, rows, _COLOURS)

    def to_table(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        boards = [
            {"name": name, "wave": self.waves[name], "target": self.plan.boards[name].target, **outcome.to_table(how)}
            for name, how in self.outcomes.items()
        ]
        return {
            "bundle": self.bundle,
            "name": self.name,
            "all_fly": self.all_fly(),
            "stopped": self.stopped(),
            "boards": boards,
        }


def _cells(how: Outcome) -> tuple[str, ...]:
    chosen = f"{how.engine} {how.precision}".strip()
    time = "" if how.p50_ms is None else f"{how.p50_ms:.1f}"
    # The whole reason stands in fleet.json; here what was found, without what was expected and how to mend it.
    return how.state, how.before or "-", how.after or "-", chosen, time, how.why.partition("; ")[0]
