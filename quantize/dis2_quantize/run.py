"""From a run to a quantised run: networks, files, what they do, goldens, verdict, index."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dis2_boards.packing.quantized import INDEX
from dis2_edge.dataset import DataSet
from dis2_edge.errors import CheckpointError, DataError, RecipeError
from dis2_edge.files import new_folder
from dis2_edge.manifest import BY_EXACTNESS
from dis2_edge.recipe import Recipe
from dis2_edge.timing import usable_cores
from dis2_quantize.choosing.choice import Choice
from dis2_quantize.choosing.keep import kept_blocks
from dis2_quantize.choosing.record import record_choice
from dis2_quantize.index import write_index
from dis2_quantize.judging import verdict as verdicts
from dis2_quantize.judging.decide import decide
from dis2_quantize.judging.goldens import record
from dis2_quantize.judging.judge import Judged, judge
from dis2_quantize.judging.latency import time_files
from dis2_quantize.judging.verdict import Limits, Verdict
from dis2_quantize.judging.worst import draw_worst
from dis2_quantize.making import networks_of, write_files
from dis2_quantize.typed import FILES, overflows, write_placement, write_ranges
from dis2_train.checkpoint import Checkpoint
from dis2_train.judging.match import check_task


@dataclass(frozen=True)
class Quantized:
    """What `quantize` made."""

    path: Path
    """The quantised run."""
    judged: tuple[Judged, ...]
    """What each model file did."""
    verdict: Verdict
    """Whether that keeps the limits."""


def quantize(
    run: Checkpoint,
    recipe: Recipe,
    data: DataSet,
    out: Path,
    precisions: Sequence[str],
    dialects: Sequence[str] = ("ort",),
    limits: Limits | None = None,
    choice: Choice | None = None,
) -> Quantized:
    """Quantise the trained `run` by `recipe` into the folder `out`, whole or not at all.

    Each precision is written in those of `dialects` that have it. Files are held against the FP32 file of the same
    scenario, where FP32 is asked for. A verdict that fails leaves the folder as one that passes does: it is there to be
    looked at. A `choice` takes the place of the recipe's `keep_float`, and its record and pictures are laid beside the
    files.
    """
    recipe = dataclasses.replace(recipe, keep_float=choice.keep_float) if choice else recipe
    check(run, data, precisions, dialects)
    kept_blocks(recipe.keep_float, run.network)
    data = data.narrowed(run.task.sensor_names, run.task.grid)
    split, threads = judged_split(data), usable_cores()
    with new_folder(out) as folder:
        networks = networks_of(run, recipe, data, precisions)
        files = write_files(run, recipe, data, networks, dialects, folder, threads)
        judged = judge(files.models, data, run.task, split)
        goldens = record(files.models, data, run.task, split, folder)
        timing, latencies = time_files(files.models, data, run.task, split, threads)
        sheets = draw_worst(judged, files.models, data, run.task, split, folder)
        wide = overflows(files.typed)
        verdict = decide(judged, data, split, limits or Limits(), timing, latencies, sheets, wide, folder)
        verdicts.write(verdict, folder)
        write_placement(networks, folder)
        if "fp16" in networks:
            write_ranges(files.typed, networks["fp16"], data, run.task, split, folder)
        if choice:
            record_choice(choice, folder)
        write_index(run, recipe, data, split, judged, goldens, folder)
    return Quantized(out, tuple(judged), verdict)


def check(run: Checkpoint, data: DataSet, precisions: Sequence[str], dialects: Sequence[str] = ("ort",)) -> None:
    """Refuse what cannot be quantised, before anything is computed."""
    refuse_quantised(run.path)
    unknown = [name for name in precisions if name not in BY_EXACTNESS]
    if unknown or not precisions:
        raise RecipeError(f"precision {','.join(unknown) or 'none'!r}", expected=f"some of {', '.join(BY_EXACTNESS)}")
    foreign = [name for name in dialects if name not in FILES]
    if foreign or not dialects:
        raise RecipeError(f"dialect {','.join(foreign) or 'none'!r}", expected=f"some of {', '.join(FILES)}")
    written = {name for dialect, names in FILES.items() if dialect in dialects for name in names}
    for name in (name for name in precisions if name not in written):
        other = next(dialect for dialect, names in FILES.items() if name in names)
        raise RecipeError(f"{name} has no file of the dialect {dialects[0]}", mend=f"--dialect {dialects[0]},{other}")
    check_task(run.task, str(run.path), data)


def refuse_quantised(path: Path) -> None:
    """Refuse a folder that is a quantised run: its integers are what is left of the weights."""
    if (path / INDEX).is_file():
        look = f"look at it: dis2-edge quantize --show {path}"
        raise CheckpointError(
            f"{path} is quantised already",
            expected="the run that it was made of",
            mend=f"{look}; or pack it: dis2-edge deploy {path} --board host",
        )


def judged_split(data: DataSet) -> str:
    """The split that files are judged on: test, or else val; one with an image that has no label is refused."""
    for name in ("test", "val"):
        if name in data.splits and data.ids(name):
            bare = [id_ for id_ in data.ids(name) if data.entry(name, id_).pair.label is None]
            if bare:
                raise DataError(f"{name}/{bare[0]} has no label", expected="labels to judge by")
            return name
    raise DataError(f"{data.name!r} has neither a test nor a val split", expected="labelled images to judge on")
