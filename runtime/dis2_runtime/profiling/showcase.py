"""Pictures of a few telling images: what the sensors saw, the truth, and every scenario's mask with its errors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dis2_edge.bundle import Bundle
from dis2_edge.engine_names import Wanted
from dis2_edge.images import write_png
from dis2_edge.labelled import Images, Labelled
from dis2_edge.manifest import Precision
from dis2_edge.report import pictures
from dis2_edge.report.schema import Picture, Tile
from dis2_runtime.engine import Engine
from dis2_runtime.engines import open_engine

WIDEST = 384
"""Pictures wider or higher than this are thinned by a whole factor, so that the page stays light."""


def show(
    bundle: Bundle,
    images: Images,
    chosen: Mapping[str, str],
    precision: Precision,
    threads: int,
    out: Path,
    wanted: Wanted = "auto",
) -> tuple[Tile, ...]:
    """Write the pictures of the `chosen` images (why -> id) below `out`/pictures and say where they are."""
    with open_engine(bundle, precision, threads, wanted) as engine:
        return tuple(_tile(bundle, engine, images.read(name), why, out) for why, name in chosen.items())


def telling(error_shares: Mapping[str, Sequence[float]]) -> dict[str, str]:
    """Why -> image: the worst by its mean share of errors over all rows, the median, the best, each image once."""
    ranked = sorted(error_shares, key=lambda name: (-float(np.mean(error_shares[name])), name))
    chosen: dict[str, str] = {}
    for why, place in (("worst", 0), ("second worst", 1), ("median", len(ranked) // 2), ("best", len(ranked) - 1)):
        if place < len(ranked) and ranked[place] not in chosen.values():
            chosen[why] = ranked[place]
    return chosen


def _tile(bundle: Bundle, engine: Engine, image: Labelled, why: str, out: Path) -> Tile:
    task = bundle.manifest.task
    stem = f"pictures/{bundle.id}-{re.sub('[^A-Za-z0-9_-]+', '_', image.id)}"
    inputs = [
        _write(out, f"{stem}-in-{sensor.name}", sensor.name, pictures.visible(image.frames[sensor.name], sensor))
        for sensor in task.sensors
    ]
    inputs.append(_write(out, f"{stem}-truth", "truth", pictures.in_colours(image.truth, task)))
    masks, errors = [], []
    for scenario in engine.scenarios:
        mask = engine.infer(scenario, image.frames).mask
        wrong = 100 * pictures.error_share(mask, image.truth, len(task.classes))
        name = f"{stem}-{scenario.replace('+', '_')}"
        masks.append(_write(out, f"{name}-mask", scenario, pictures.in_colours(mask, task)))
        errors.append(_write(out, f"{name}-errors", f"{wrong:.1f} % wrong", pictures.errors(mask, image.truth, task)))
    return Tile(image.id, why, tuple(inputs), tuple(masks), tuple(errors))


def _write(out: Path, stem: str, caption: str, picture: pictures.Rgb) -> Picture:
    """Write one PNG, thinned where it is large."""
    step = -(-max(picture.shape[:2]) // WIDEST)
    write_png(out / f"{stem}.png", np.ascontiguousarray(picture[::step, ::step]))
    return Picture(f"{stem}.png", caption)
