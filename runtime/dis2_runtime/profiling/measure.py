"""Measure models on labelled data: confusion counts and latency of every scenario and precision."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

import numpy as np

from dis2_boards.telemetry import Tally, Watch, Watched
from dis2_edge.bundle import Bundle
from dis2_edge.engine_names import Wanted
from dis2_edge.labelled import Images, Labelled
from dis2_edge.manifest import Precision
from dis2_edge.report.pictures import error_share
from dis2_edge.report.schema import Measured
from dis2_edge.scores import Counts, confusion
from dis2_edge.terminal import progress
from dis2_edge.timing import Latency, summarise, time_ms
from dis2_runtime.engine import Answer, Engine, Frames
from dis2_runtime.engines import open_engine

WARM_UP = 10
"""Calls before timing starts, beyond those with which an engine opens."""
FEWEST = 20
"""Calls that are timed at least, however slow a model is."""
_IN_TURN = 8
"""Unlike images that the timed calls take in turn, so that no cache serves one image again and again."""


class Readable(Protocol):
    """Labelled images of one grid, by name."""

    @property
    def names(self) -> Sequence[str]:
        """All of them."""

    def read(self, name: str) -> Labelled:
        """The image called `name`."""


@dataclass
class Findings:
    """What came of a bundle."""

    rows: list[Measured] = field(default_factory=list)
    """One a scenario and precision."""
    error_shares: dict[str, list[float]] = field(default_factory=dict)
    """Image -> share of wrong pixels in each row, to tell the worst image."""


def measure_bundle(
    bundle: Bundle,
    images: Images,
    precisions: Sequence[str],
    threads: int,
    calls: int,
    seconds: float,
    wanted: Wanted = "auto",
    watch: Watch | None = None,
) -> Findings:
    """Count every image in every scenario and precision, then time each model.

    A model is timed `calls` times, or as often as fits in `seconds` but at least `FEWEST` times, on full frames.
    `watch` reads the machine's power meanwhile.
    """
    findings, classes = Findings(), len(bundle.manifest.task.classes)
    for precision in precisions:
        label = f"{bundle.manifest.network} {precision}"
        with open_engine(bundle, cast(Precision, precision), threads, wanted) as engine:
            counts = count_images(engine, images, classes, label, findings.error_shares)
            sample = [images.read(name).frames for name in images.names[:_IN_TURN]]
            for scenario in progress(engine.scenarios, f"{label}: time scenarios"):
                with watch.window() if watch else contextlib.nullcontext(Tally()) as tally:
                    latency = time_scenario(engine, scenario, sample, bundle.manifest.task.grid, calls, seconds)
                table = count_table(counts[scenario])
                energy = _energy(tally.watched(), latency)
                findings.rows.append(Measured(scenario, precision, table, len(images.names), latency, **energy))
    return findings


def _energy(watched: Watched, latency: Latency) -> dict[str, Any]:
    """Power while a model was timed, and the energy of one of its calls, which came one after the other."""
    call_s = float(np.mean(latency.samples_ms)) / 1e3
    joules = watched.joules_a_frame(1, seconds=call_s)
    power_w = None if watched.power_w is None else round(watched.power_w, 3)
    return {"power_w": power_w, "joules": None if joules is None else round(joules, 5), "energy_why": watched.why}


def count_images(
    engine: Engine, images: Readable, classes: int, label: str, error_shares: dict[str, list[float]]
) -> dict[str, Counts]:
    """Confusion counts Kx(K+1) of each scenario over all images; shares of wrong pixels go to `error_shares`."""
    counts: dict[str, Counts] = {name: np.zeros((classes, classes + 1), np.int64) for name in engine.scenarios}
    for name in progress(images.names, f"{label}: count images"):
        image = images.read(name)
        for scenario in engine.scenarios:
            mask = engine.infer(scenario, image.frames).mask
            counts[scenario] += confusion(image.truth, mask, classes)
            error_shares.setdefault(name, []).append(error_share(mask, image.truth, classes))
    return counts


def count_table(counts: Counts) -> tuple[tuple[int, ...], ...]:
    """Confusion counts as plain integers, for a report."""
    return tuple(tuple(int(cell) for cell in row) for row in counts)


def time_scenario(
    engine: Engine,
    scenario: str,
    frames: Sequence[Frames],
    grid: tuple[int, int],
    calls: int,
    seconds: float,
    fewest: int = FEWEST,
    warm_up_s: float = math.inf,
) -> Latency:
    """Time the engine in `scenario`, one call after the other, into buffers that are used again as in flight.

    `calls` times, or as often as fits in `seconds` but at least `fewest` times, on `frames` in turn. Warming up ends
    before `WARM_UP` calls where they took `warm_up_s`.
    """
    into = Answer.empty(*grid)

    def taken(most: int, least: int, within_s: float) -> list[float]:
        samples: list[float] = []
        while len(samples) < most and (len(samples) < least or sum(samples) <= 1000 * within_s):
            samples.append(time_ms(_call(engine, scenario, frames[len(samples) % len(frames)], into)))
        return samples

    warm = taken(WARM_UP, 1, warm_up_s)
    return summarise(taken(calls, fewest, seconds - sum(warm) / 1000), len(warm))


def _call(engine: Engine, scenario: str, frames: Frames, into: Answer) -> Callable[[], object]:
    return lambda: engine.infer(scenario, frames, into)
