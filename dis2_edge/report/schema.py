"""What report.json holds: figures as they were measured, from which the page is drawn. Counts first, scores second."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from dis2_edge.errors import DataError
from dis2_edge.percentiles import Spread
from dis2_edge.report.sensed import Sensed
from dis2_edge.report.through import Through
from dis2_edge.scores import Scores, scores
from dis2_edge.settings import from_table
from dis2_edge.timing import Latency, Machine

FORMAT = 2
"""Version of this shape. Reports of format 1, which knew no faults and no stages, are read as well."""

PHASES = ("before", "during", "after")


@dataclass(frozen=True)
class Measured:
    """One model of a bundle: what it answered on the split, and how long it took."""

    scenario: str
    """The sensors that it read."""
    precision: str
    """fp32, fp16 or int8."""
    confusion: tuple[tuple[int, ...], ...]
    """Kx(K+1) pixel counts, row = truth, column = prediction, last column = no class at all."""
    images: int
    """Labelled images that were counted."""
    latency: Latency
    """Of the engine alone: frames on the grid in, mask and confidence out."""
    power_w: float | None = None
    """Mean power of the machine while it was timed, in watts; None: not measured."""
    joules: float | None = None
    """Energy of one call at that power; None: not measured."""
    energy_why: str = ""
    """What that power is made of, or why it was not measured."""

    @property
    def scores(self) -> Scores:
        """IoU, F1 and accuracy from the counts."""
        return scores(np.array(self.confusion, np.int64))


@dataclass(frozen=True)
class Picture:
    """A PNG beside the report."""

    file: str
    """Path relative to report.json."""
    caption: str
    """What it shows, in a few words."""


@dataclass(frozen=True)
class Tile:
    """One image of the split, seen through every scenario."""

    id: str
    """Name of the image in the data set."""
    why: str
    """Why it is shown: worst, median, best."""
    inputs: tuple[Picture, ...]
    """Each sensor, stretched to be visible, then the truth."""
    masks: tuple[Picture, ...]
    """Each scenario's mask; the caption is the scenario."""
    errors: tuple[Picture, ...]
    """Where each of these masks is wrong; the caption is the share of known pixels that are."""


@dataclass(frozen=True)
class Profiled:
    """All that was measured of one bundle."""

    id: str
    """The bundle's short name: the start of its manifest's hash."""
    name: str
    """Its name for people."""
    network: str
    """Its network."""
    board: str
    """The board that it was made for."""
    recipe_hash: str
    """Hash of its recipe."""
    sensors: tuple[str, ...]
    """Names in recipe order."""
    classes: tuple[str, ...]
    """Names in index order."""
    colours: tuple[str, ...]
    """`#rrggbb` of each class."""
    grid: tuple[int, int]
    """Height and width in pixels."""
    rows: tuple[Measured, ...]
    """One a scenario and precision."""
    tiles: tuple[Tile, ...] = ()
    """Pictures, of the precision `pictured`."""
    pictured: str = ""
    """Precision of the masks in `tiles`."""
    provenance: dict[str, str] = field(default_factory=dict)
    """What the bundle says of its origin."""
    through: tuple[Through, ...] = ()
    """Flights through faults; empty when none were asked for."""
    stages: dict[str, Spread] = field(default_factory=dict)
    """Times of each stage over the fresh ticks of these flights, and of the `total`."""


@dataclass(frozen=True)
class Tick:
    """One tick of a recorded stream."""

    number: int
    """Its number in the recording."""
    time_s: float
    """Time of the run at which it fell due."""
    scenario: str
    """What the mask was made from; `blind` when no mask was made."""
    state: Literal["fresh", "held", "blind"]
    """fresh from the engine, the last mask held, or no mask."""
    latency_ms: float
    """From the moment that the tick fell due to its mask."""
    expected_miou: float | None
    """mIoU (0..1) that the scenario's model reached on its test split; None without a fresh mask."""
    why: str = ""
    """Why this scenario, in words."""


@dataclass(frozen=True)
class Stream:
    """A recorded run of one bundle over a stream of sensors."""

    bundle: str
    """Short name of the bundle that flew; empty when the recording does not tell."""
    network: str
    """Its network; empty when the recording does not tell."""
    name: str
    """Name of the run's folder."""
    ticks: tuple[Tick, ...]
    """In order of time."""
    masks: tuple[Picture, ...] = ()
    """Masks around the changes of scenario."""
    stages: dict[str, Spread] = field(default_factory=dict)
    """Times of each stage over the fresh ticks, and of the `total`; empty when the recording does not tell."""


@dataclass(frozen=True)
class Report:
    """Bundles measured on one data set and one machine, and streams that they flew."""

    title: str
    """Heading of the page."""
    command: str
    """The command line that made the report."""
    version: str
    """Version of dis2-edge."""
    machine: Machine
    """Where the latencies were taken."""
    threads: int
    """Threads of one inference."""
    data: str
    """Name of the data set."""
    split: str
    """Split that was counted."""
    images: int
    """Images of the split that were counted."""
    images_in_split: int
    """Images that the split has."""
    bundles: tuple[Profiled, ...]
    """One or more, in the order that was asked for."""
    streams: tuple[Stream, ...] = ()
    """Runs of these bundles; may be empty."""
    sensed: Sensed | None = None
    """What the machine's sensors told meanwhile; None where nobody read them."""
    format: int = FORMAT
    """Version of this shape."""

    def to_table(self) -> dict[str, Any]:
        """Plain values, for JSON. The scores stand beside the counts that they follow from."""
        table = dataclasses.asdict(self)
        for bundle, plain in zip(self.bundles, table["bundles"], strict=True):
            for row, cells in zip(bundle.rows, plain["rows"], strict=True):
                cells["scores"] = _score_table(row.scores)
            for flight, cells in zip(bundle.through, plain["through"], strict=True):
                for phase in PHASES:
                    cells[phase]["miou"] = number(getattr(flight, phase).miou)
        return table

    @classmethod
    def from_table(cls, table: Any, where: str = "report.json") -> Report:
        """The report written by `to_table`; what does not fit is a DataError."""
        if not isinstance(table, dict) or table.get("format") not in (1, FORMAT):
            raise DataError(f"{where} is no report of format {FORMAT}")
        table = {**table, "format": FORMAT}
        for bundle in table.get("bundles", ()):
            for row in bundle.get("rows", ()):
                row.pop("scores", None)
            for flight in bundle.get("through", ()):
                for phase in PHASES:
                    flight[phase].pop("miou", None)
        return from_table(cls, table, where=where, error=DataError)


def _score_table(found: Scores) -> dict[str, Any]:
    return {
        "miou": number(found.miou),
        "iou": [number(value) for value in found.iou],
        "f1": [number(value) for value in found.f1],
        "mean_f1": number(found.mean_f1),
        "oa": number(found.oa),
    }


def number(value: float) -> float | None:
    """A score for JSON, which knows no nan."""
    return None if math.isnan(value) else round(value, 6)
