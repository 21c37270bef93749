"""The worst tiles of each file: the images on which it lost most against FP32, drawn to be looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dis2_edge.dataset import DataSet
from dis2_edge.images import write_png
from dis2_edge.report.pictures import UNKNOWN, Rgb, in_colours, visible
from dis2_edge.task import Task
from dis2_edge.terminal import progress
from dis2_quantize.judging.drops import ious
from dis2_quantize.judging.judge import Candidate, Judged, Mask, Runner, references, wrong_now
from dis2_quantize.judging.sheet import Colour, Entry, Swatch, lay_out
from dis2_runtime.engine import Frames

FOLDER = "worst"
TILES = 3
SAME, WRONG_NOW, RIGHT_NOW, OTHERWISE = (214, 217, 221), (205, 25, 50), (20, 130, 60), (235, 165, 30)
"""Colours of the picture of differences."""


@dataclass(frozen=True)
class Tile:
    """One image on which a file lost."""

    place: int
    """Its place in the split."""
    turned_wrong: int
    """Pixels that FP32 gets right and the file wrong."""
    drop: float
    """Points of the image's own mean IoU that were lost, over the classes that occur in its labels."""


def draw_worst(
    judged: Sequence[Judged], models: Mapping[Candidate, Runner], data: DataSet, task: Task, split: str, folder: Path
) -> dict[Candidate, str]:
    """Draw a sheet of the worst tiles of every file that lost a pixel; where each lies, relative to `folder`."""
    full = references(judged)
    chosen = {found.candidate: worst_tiles(found, full.get(found.candidate.scenario)) for found in judged}
    chosen = {candidate: tiles for candidate, tiles in chosen.items() if tiles}
    sheets: dict[Candidate, str] = {}
    for candidate, tiles in progress(list(chosen.items()), "draw the worst tiles") if chosen else ():
        reference = models[full[candidate.scenario].candidate]
        entries = [_entry(candidate, models[candidate], reference, tile, data, task, split) for tile in tiles]
        sheets[candidate] = f"{FOLDER}/{'-'.join(candidate.key)}.png"
        write_png(folder / sheets[candidate], lay_out(_title(candidate, split), entries, _legends(candidate, task)))
    return sheets


def worst_tiles(found: Judged, reference: Judged | None, count: int = TILES) -> list[Tile]:
    """Up to `count` images on which most pixels turned wrong, of equals the one that lost more IoU; none that lost
    no pixel."""
    if reference is None:
        return []
    pairs = zip(found.turned_wrong.tolist(), reference.counts, found.counts, strict=True)
    tiles = [
        Tile(place, wrong, 100 * ((ious(before[None])[0] or 0.0) - (ious(after[None])[0] or 0.0)))
        for place, (wrong, before, after) in enumerate(pairs)
        if wrong
    ]
    return sorted(tiles, key=lambda tile: (-tile.turned_wrong, -tile.drop, tile.place))[:count]


def differences(label: Mask, reference: Mask, mask: Mask, classes: int) -> Rgb:
    """HxWx3: grey where both masks say the same, red where FP32 alone is right, green where the file alone is, amber
    where they differ and neither is right or nobody knows."""
    picture = np.full((*mask.shape, 3), SAME, np.uint8)
    picture[mask != reference] = OTHERWISE
    picture[wrong_now(label, mask, reference, classes)] = RIGHT_NOW
    picture[wrong_now(label, reference, mask, classes)] = WRONG_NOW
    return picture


def _entry(
    candidate: Candidate, model: Runner, reference: Runner, tile: Tile, data: DataSet, task: Task, split: str
) -> Entry:
    """One row of a sheet."""
    name = data.ids(split)[tile.place]
    sample = data.on_grid(data.read(split, name), task)
    frames: Frames = sample.frames
    label = np.full(task.grid, task.ignore, np.uint8) if sample.label is None else sample.label
    before, after = reference.run(frames).mask.copy(), model.run(frames).mask.copy()
    pictures = {sensor.name: visible(frames[sensor.name], sensor) for sensor in task.used(candidate.scenario)}
    pictures |= {"truth": in_colours(label, task), "FP32 mask": in_colours(before, task)}
    pictures |= {f"{_named(candidate)} mask": in_colours(after, task)}
    pictures |= {"difference": differences(label, before, after, len(task.classes))}
    return Entry(name, _figures(tile, label, before, after, len(task.classes)), pictures)


def _figures(tile: Tile, label: Mask, before: Mask, after: Mask, classes: int) -> str:
    """What stands under a row."""
    known = max(1, int(np.count_nonzero(label < classes)))
    won = int(np.count_nonzero(wrong_now(label, after, before, classes)))
    lost = f"{tile.turned_wrong} pixels turned wrong ({_percent(tile.turned_wrong, known)}), {won} turned right"
    return f"{lost}; mIoU of this tile {-tile.drop:+.2f} points"


def _percent(count: int, known: int) -> str:
    return f"{100 * count / known:.2f} %"


def _title(candidate: Candidate, split: str) -> str:
    return f"{candidate.scenario}, {_named(candidate)}: the tiles of {split} on which it lost most against FP32"


def _named(candidate: Candidate) -> str:
    return f"{candidate.precision.upper()} {candidate.dialect}"


def _legends(candidate: Candidate, task: Task) -> list[list[Swatch]]:
    """Classes in their colours, then what the colours of the last column say."""
    classes = [Swatch(name, _rgb(colour)) for name, colour in zip(task.classes, task.colours, strict=True)]
    masks = [
        Swatch("difference: same", SAME),
        Swatch(f"wrong in {_named(candidate)} only", WRONG_NOW),
        Swatch("wrong in FP32 only", RIGHT_NOW),
        Swatch("differ, and neither is right or nobody knows", OTHERWISE),
    ]
    return [[*classes, Swatch("no class", UNKNOWN)], masks]


def _rgb(colour: str) -> Colour:
    red, green, blue = bytes.fromhex(colour.lstrip("#"))
    return red, green, blue
