"""Prove one precision of a bundle under one engine, in this process: load it, hold it to the goldens, count, time."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dis2_edge.bundle import Bundle, ModelRow
from dis2_edge.engine_names import EngineName
from dis2_edge.errors import BundleError
from dis2_edge.goldens import Arrays
from dis2_edge.manifest import Precision
from dis2_edge.scores import Counts
from dis2_edge.terminal import progress
from dis2_edge.tiles_file import read_tiles
from dis2_runtime.engine import Engine, Frames
from dis2_runtime.engines import open_engine
from dis2_runtime.engines.rows import rows_at
from dis2_runtime.profiling.measure import count_images, count_table, time_scenario
from dis2_runtime.selftest.goldens import check_row, read_goldens
from dis2_runtime.selftest.rows import Row, failed

__all__ = ["How", "prove_precision"]

FEWEST = 10
"""Calls that are timed at least; 90th percentiles are told of them."""
_IN_TURN = 8


@dataclass(frozen=True)
class How:
    """How models are proven."""

    threads: int = 0
    """Threads of one inference on the processor; 0 takes all cores."""
    plans: Path | None = None
    """Folder of TensorRT's plans; beside the bundle when None."""
    tiles: Path | None = None
    """File of labelled tiles that accuracy is measured on; None measures none."""
    calls: int = 100
    """Timed calls of each model."""
    seconds: float = 5.0
    """Time after which a slow model is timed no longer, once there are `FEWEST` calls."""


def prove_precision(bundle: Bundle, engine: EngineName, precision: Precision, how: How) -> tuple[Row, ...]:
    """A row for each model, in the order of the manifest; one that misses a golden says so.

    Where none can be proven, as it does not load or fails while it is timed, an error of the UserError family.
    """
    rows, label = rows_at(bundle, engine, precision), f"{engine} {precision}"
    goldens = read_goldens(bundle)
    if not goldens:
        raise BundleError(f"{bundle.path} holds no golden: nothing can be proven", mend="quantize and deploy again")
    with open_engine(bundle, precision, how.threads, engine, how.plans) as opened:
        checked = [_checked(bundle, row, engine, opened, goldens) for row in progress(rows, f"{label}: goldens")]
        if not all(row.proven for row in checked):
            return tuple(checked)
        counts, images = _counted(bundle, opened, how, label)
        frames = goldens[:_IN_TURN]
        timed = progress(checked, f"{label}: time scenarios")
        return tuple(_timed(bundle, row, opened, frames, how, counts, images) for row in timed)


def _checked(bundle: Bundle, row: ModelRow, name: EngineName, engine: Engine, goldens: Sequence[Arrays]) -> Row:
    """The row's answers on the goldens, from the engine as it was loaded."""
    try:
        check = check_row(bundle, row, goldens, partial(engine.infer, row.scenario))
    except BundleError as error:
        return failed(row, name, str(error))
    return Row(
        row.scenario, row.precision, row.dialect, name, agreement=round(check.agreement, 6), error=round(check.error, 6)
    )


def _counted(bundle: Bundle, engine: Engine, how: How, label: str) -> tuple[dict[str, Counts], int]:
    """Confusion counts of each scenario on the tiles, and how many tiles these are."""
    if how.tiles is None:
        return {}, 0
    task = bundle.manifest.task
    tiles = read_tiles(how.tiles, task)
    return count_images(engine, tiles, len(task.classes), label, {}), len(tiles.names)


def _timed(
    bundle: Bundle,
    row: Row,
    engine: Engine,
    frames: Sequence[Frames],
    how: How,
    counts: dict[str, Counts],
    images: int,
) -> Row:
    grid, fewest = bundle.manifest.task.grid, min(FEWEST, how.calls)
    latency = time_scenario(engine, row.scenario, frames, grid, how.calls, how.seconds, fewest, how.seconds / 5)
    table = count_table(counts[row.scenario]) if counts else ()
    return dataclasses.replace(row, latency=latency, confusion=table, images=images)
