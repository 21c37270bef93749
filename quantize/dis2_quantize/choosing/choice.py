"""The record of a choice, `choice.json`: what was measured, the front, and which blocks stay in floating point."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from dis2_edge.errors import RecipeError
from dis2_edge.files import read_json
from dis2_edge.settings import from_table
from dis2_edge.timing import Machine
from dis2_quantize.choosing.front import Point
from dis2_quantize.choosing.interval import Interval
from dis2_quantize.choosing.keep import entry_of

FILE = "choice.json"
FORMAT = 1
"""Version of the record's shape; a reader refuses every other one."""


@dataclass(frozen=True)
class BlockRow:
    """One block of one scenario."""

    block: str
    """Its name."""
    alone: Interval
    """Nats of divergence when only this block is an integer."""
    recovery: Interval
    """Nats that come back when everything is an integer but it."""
    drop_alone: float
    """Points of mIoU lost when only this block is an integer."""
    drop_recovery: float
    """Points of mIoU that come back when everything is an integer but it."""
    ms: Interval
    """Milliseconds more when it is a float and everything else an integer."""


@dataclass(frozen=True)
class Tried:
    """A point of the front that was made: calibrated, scored, written and timed."""

    kept: tuple[str, ...]
    """Its blocks in floating point, in the network's order."""
    modelled: Point
    """What the additive model says of it."""
    ms: Interval
    """Milliseconds that its file takes."""
    damage: Interval
    """Nats of divergence."""
    drop: float
    """Points of mIoU (0..100) that it has less than FP32."""


@dataclass(frozen=True)
class ScenarioChoice:
    """What was found and chosen for one scenario."""

    scenario: str
    """Its sensors."""
    blocks: tuple[BlockRow, ...]
    """Every block, in the network's order."""
    front: tuple[Point, ...]
    """The additive model's front, fastest first."""
    tried: tuple[Tried, ...]
    """Points of it that were made, fastest first by the model."""
    kept: tuple[str, ...]
    """The choice: blocks in floating point."""
    why: str
    """Why this one, in words."""

    @property
    def chosen(self) -> Tried:
        """The chosen point as it was found."""
        return next(tried for tried in self.tried if tried.kept == self.kept)


@dataclass(frozen=True)
class Choice:
    """A choice for every scenario, with how it was made."""

    board: str
    """Board that latency is of."""
    machine: Machine
    """What measured it; with another board than host, what computed it."""
    max_drop: float
    """Points of mIoU that a scenario might lose on the held-out images."""
    budget_ms: float | None
    """Milliseconds that a scenario might take; None for as fast as `max_drop` allows."""
    how: dict[str, str]
    """Images, threads, rounds: what the figures were taken from."""
    weights: str
    """SHA-256 of the weights that it was made for."""
    scenarios: tuple[ScenarioChoice, ...]
    """One for each scenario."""
    format: int = FORMAT
    """Version of this shape."""

    @property
    def keep_float(self) -> tuple[str, ...]:
        """The choice as the recipe's `keep_float` has it: `SCENARIO:BLOCK`."""
        return tuple(entry_of(one.scenario, block) for one in self.scenarios for block in one.kept)

    def to_table(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return dataclasses.asdict(self)


def read_choice(file: Path) -> Choice:
    """The choice in `file`; RecipeError where it is none."""
    table = read_json(file, RecipeError)
    if not isinstance(table, dict) or table.get("format") != FORMAT:
        found = table.get("format") if isinstance(table, dict) else type(table).__name__
        raise RecipeError(f"{file} has format {found!r}", expected=f"a choice of format {FORMAT}")
    return from_table(Choice, table, where=str(file), error=RecipeError)
