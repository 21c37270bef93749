"""Prepare a benchmark: find its files, see that they fit, cut them into tiles, and describe what was made."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dis2_edge import __version__
from dis2_edge.description import FILE
from dis2_edge.errors import DataError, StorageError
from dis2_edge.files import new_folder, write_json, write_text
from dis2_edge.images import write_png, write_tiff
from dis2_edge.sensors import Sensor
from dis2_edge.statistics import Tally
from dis2_edge.terminal import progress
from dis2_edge.tiles import Window
from dis2_train.published.benchmark import Benchmark, Variant, load, variant_of
from dis2_train.published.colours import Legend
from dis2_train.published.counts import NO_DATA, Counts
from dis2_train.published.cut import windows_by_split
from dis2_train.published.describe import description
from dis2_train.published.find import BLOCKS, Chosen, RawFiles, Scene, scenes
from dis2_train.published.raster import flat_memory
from dis2_train.published.scene import OpenScene, Source, source_of

RECORD = "prepared.json"
IGNORE = 255
_ERODED = "eroded"
_PACKED = 0.5
"""Share of the plain size that tiles take at least, as PNG and deflate pack aerial pictures."""


@dataclass(frozen=True)
class Choices:
    """What may be chosen of a benchmark."""

    tile: int | None = None
    """Side of a tile in pixels; None takes the benchmark's, 0 keeps frames whole."""
    overlap: int = 0
    """Least overlap of two tiles of train, in pixels."""
    variants: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Kind of sensor -> name of the variant to take."""
    labels: str | None = None
    """Variant of the labels; eroded ones are for val and test, train keeps the first variant."""
    unit_per_grey: float | None = None
    """Of heights in 8 bits: metres of one grey value, where the benchmark does not say or says wrongly."""
    colour_tolerance: int | None = None
    """How far off a colour may be; None takes the benchmark's."""
    resample: bool = False
    """Bring files of another resolution to the first sensor's pixels."""
    partial: bool = False
    """Take the scenes that are whole and leave out the others."""


@dataclass(frozen=True)
class Plan:
    """One scene that was looked at: it fits, and these tiles will be cut."""

    scene: Scene
    """The scene."""
    size: tuple[int, int]
    """Height and width in pixels."""
    cuts: tuple[tuple[str, Window], ...]
    """(split, window) of every tile."""
    shift_px: float
    """Largest part of a pixel by which two of its files differ in place."""


def prepare(name: str, raw: Path, out: Path, choices: Choices | None = None) -> Counts:
    """Prepare benchmark `name` (or a layout's path) from the folder `raw` into the new folder `out`.

    Every file is opened and compared before a tile is written; then `out` appears whole or not at all. Returns what
    it holds. Raises DataError (missing or unfit files, unknown colours) and StorageError.
    """
    job = _Job(load(name), raw, choices or Choices())
    with flat_memory():
        plans = [job.look(scene) for scene in progress(job.scenes, "looking at scenes")]
        job.check_tiles(plans)
        _check_space(out, plans, job.sources)
        with new_folder(out) as folder:
            total = sum(len(plan.cuts) for plan in plans)
            for _ in progress(job.write(plans, folder), "writing tiles", total):
                pass
            job.finish(plans, folder)
    return job.counts


class _Job:
    """One run of `prepare`."""

    def __init__(self, benchmark: Benchmark, raw: Path, choices: Choices) -> None:
        self.benchmark, self.choices = benchmark, choices
        self.raw = RawFiles(raw)
        self.tile = benchmark.tile if choices.tile is None else choices.tile
        if self.tile < 0 or not 0 <= choices.overlap < max(self.tile, 1):
            raise DataError(
                f"tile {self.tile}, overlap {choices.overlap}", expected="an overlap from 0 to below the tile"
            )
        self.taken, self.sources = _taken(benchmark, choices)
        self.chosen = Chosen({key: row.variant for key, row in self.sources.items()}, _labels(benchmark, choices))
        tolerance = benchmark.colour_tolerance if choices.colour_tolerance is None else choices.colour_tolerance
        self.legend = Legend(benchmark, tolerance)
        self.counts = Counts(benchmark.classes, (*self.legend.ignored, NO_DATA))
        self.scenes = scenes(self.raw, benchmark, self.chosen, partial=choices.partial)
        self.tallies: dict[str, Tally] = {}
        self.lists: dict[str, list[str]] = {}

    def look(self, scene: Scene) -> Plan:
        """Open a scene, see that its files fit, and plan its tiles."""
        with self._open(scene) as opened:
            for name, source in self.sources.items():
                channels = opened.channels(name)
                self.sources[name] = dataclasses.replace(
                    source, sensor=dataclasses.replace(source.sensor, channels=channels)
                )
            split = self.benchmark.split
            cuts = windows_by_split(opened.size, scene.splits, self.tile, self.choices.overlap, split.block_px)
            shift = max(place.shift_px for place in opened.places.values())
            return Plan(scene, opened.size, tuple(cuts), shift)

    def check_tiles(self, plans: Sequence[Plan]) -> None:
        """Whole frames must be of one size, as the network's input is."""
        sizes = {plan.size: plan.scene.id for plan in plans}
        if not self.tile and len(sizes) > 1:
            told = ", ".join(f"{id_} {height}x{width}" for (height, width), id_ in list(sizes.items())[:5])
            raise DataError(
                f"scenes of {len(sizes)} sizes: {told}", expected="one size", mend="say --tile, such as 512"
            )

    def write(self, plans: Sequence[Plan], folder: Path) -> Iterator[None]:
        """Write every tile; yields after each."""
        self.tallies = {name: Tally(source.sensor) for name, source in self.sources.items()}
        for plan in plans:
            with self._open(plan.scene) as opened:
                for split, window in plan.cuts:
                    self._write_tile(opened, split, window, folder)
                    yield

    def finish(self, plans: Sequence[Plan], folder: Path) -> None:
        """Write the lists of ids, the description and the record."""
        for split, ids in self.lists.items():
            write_text(folder / f"{split}.txt", "".join(f"{id_}\n" for id_ in ids))
        grid = (self.tile, self.tile) if self.tile else plans[0].size
        statistics = {name: tally.result("train") for name, tally in self.tallies.items() if tally.hole_shares}
        sensors = {name: source.sensor for name, source in self.sources.items()}
        write_text(folder / FILE, description(self.benchmark, sensors, statistics, grid, tuple(self.lists)))
        write_json(
            folder / RECORD, self._record(plans, {key: dataclasses.asdict(row) for key, row in statistics.items()})
        )

    def _open(self, scene: Scene) -> OpenScene:
        return OpenScene(scene, self.sources, self.benchmark, self.raw, resample=self.choices.resample)

    def _write_tile(self, opened: OpenScene, split: str, window: Window, folder: Path) -> None:
        scene = opened.scene
        splits = (split,) if scene.splits == BLOCKS else scene.splits
        id_ = f"{scene.id}_{window.name}" if self.tile else scene.id
        codes, known, off = opened.codes(window, self.legend)
        for name, source in self.sources.items():
            pixels, seen = opened.frame(name, window)
            if name == next(iter(self.sources)):
                known &= seen
            if split == "train":
                self.tallies[name].add(pixels)
            self._write_frame(opened, folder / name / id_, pixels, source.sensor, window)
        codes[~known] = len(self.benchmark.classes) + len(self.legend.ignored)
        self.counts.add(splits, scene.id, codes[: window.own_height, : window.own_width])
        self.counts.off_colour[scene.label.name] = self.counts.off_colour.get(scene.label.name, 0) + off
        label = np.where(codes < len(self.benchmark.classes), codes, IGNORE).astype(np.uint8)
        if split != "train":
            label[window.own_height :], label[:, window.own_width :] = IGNORE, IGNORE
        write_png(folder / "labels" / f"{id_}.png", label, self.benchmark.colours)
        for part in splits:
            self.lists.setdefault(part, []).append(id_)

    def _write_frame(self, opened: OpenScene, path: Path, pixels: Any, sensor: Sensor, window: Window) -> None:
        if sensor.dtype != "float32":
            write_png(path.with_name(f"{path.name}.png"), pixels)
            return
        corner = opened.corner(window)
        epsg = _epsg(opened.first.grid.crs) or self.benchmark.epsg
        target = path.with_name(f"{path.name}.tif")
        if corner is None:
            write_tiff(target, pixels)
        else:
            write_tiff(target, pixels, pixel_m=opened.pixel_m, east_north_m=corner, epsg=epsg)

    def _record(self, plans: Sequence[Plan], statistics: dict[str, Any]) -> dict[str, Any]:
        return {
            "benchmark": self.benchmark.name,
            "about": self.benchmark.about,
            "terms": self.benchmark.terms,
            "made_by": f"dis2-edge {__version__}",
            "choices": {**dataclasses.asdict(self.choices), "tile": self.tile},
            "sensors": {
                name: {"variant": self.taken[name], "source": row.variant.about, "scale": row.variant.scale}
                for name, row in self.sources.items()
            },
            "files": {
                plan.scene.id: {
                    **{name: path.name for name, path in plan.scene.frames.items()},
                    "labels": plan.scene.label.name,
                }
                for plan in plans
            },
            "largest_shift_px": round(max(plan.shift_px for plan in plans), 3),
            "statistics": statistics,
            **self.counts.record(),
        }


def _taken(benchmark: Benchmark, choices: Choices) -> tuple[dict[str, str], dict[str, Source]]:
    """Sensor name -> name of its variant, and the source that comes of it."""
    kinds = {layout.kind for layout in benchmark.sensors.values()}
    strange = [kind for kind in choices.variants if kind not in kinds]
    if strange:
        raise DataError(f"{benchmark.name} has no {strange[0]} sensor", expected=" or ".join(sorted(kinds)))
    taken, sources = {}, {}
    for name, layout in benchmark.sensors.items():
        taken[name], variant = variant_of(layout.variants, choices.variants.get(layout.kind), f"sensor {name!r}")
        if layout.kind == "height" and choices.unit_per_grey is not None:
            variant = dataclasses.replace(variant, scale=choices.unit_per_grey)
        if not variant.scale > 0:
            raise DataError(
                f"what a grey value of {name}, variant {taken[name]}, means is not published with the files",
                expected="metres of one grey value",
                mend="say --metres-per-grey, or take another --height",
            )
        sources[name] = source_of(name, layout, variant)
    return taken, sources


def _labels(benchmark: Benchmark, choices: Choices) -> dict[str, Variant]:
    """Split -> its label files; the empty name stands for every other split."""
    first = next(iter(benchmark.labels.values()))
    name, chosen = variant_of(benchmark.labels, choices.labels, "the labels")
    return {"": chosen, "train": first} if name == _ERODED else {"": chosen}


def _check_space(out: Path, plans: Sequence[Plan], sources: Mapping[str, Source]) -> None:
    """StorageError before anything is written when the disk cannot hold what is coming."""
    pixel_bytes = 1 + sum(np.dtype(row.sensor.dtype).itemsize * row.sensor.channels for row in sources.values())
    needed = _PACKED * pixel_bytes * sum(cut.height * cut.width for plan in plans for _, cut in plan.cuts)
    near = next(folder for folder in [out.absolute(), *out.absolute().parents] if folder.exists())
    free = shutil.disk_usage(near).free
    if needed > free:
        raise StorageError(
            f"{out} will take at least {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free",
            mend="free some space, choose another --out, or say a smaller --overlap",
        )


def _epsg(crs: str) -> int:
    return int(crs[5:]) if crs.startswith("EPSG:") else 0
