"""Segment a whole scene: windows row by row, answered in batches, blended, and written as soon as no window can add.

Only one strip of the scene, as high as a window, is in memory: a scene may be as long as it likes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dis2_edge.errors import CheckpointError, RecipeError, UserError
from dis2_edge.scenario import BLIND, sensors_of
from dis2_edge.terminal import progress, warn
from dis2_train.scenes.blend import Blend
from dis2_train.scenes.cog import NODATA, STEPS, Raster, check_target, hidden_folder
from dis2_train.scenes.coverage import Mask, answerable, scenarios_in
from dis2_train.scenes.grounds import Ground, Source, opened
from dis2_train.scenes.layer import Layer, Strip
from dis2_train.scenes.summary import Summary
from dis2_train.scenes.windows import Span, overlap_px, spans
from dis2_train.segmenters import Segmenter


@dataclass(frozen=True)
class Request:
    """What is to be segmented, and how."""

    files: dict[str, Path]
    """The scene: one file a sensor. The first one's pixels are those of the mask."""
    out: Path
    """The mask, a .tif."""
    probabilities: Path | None = None
    """Where the probability of every class goes, a .tif; None writes none."""
    scenario: str = ""
    """Use only the sensors of this scenario; empty uses all that are given."""
    overlap: str = "0.25"
    """Least overlap of windows: a share of the window, or whole pixels."""
    batch: int = 4
    """Windows that are answered at a time."""
    resample: bool = False
    """Whether files on other grids are brought to the first one's."""
    specks: bool = False
    """Whether pixels without data are answered too, where they are specks in what a sensor does see."""
    bands: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Bands, from 1, that are a sensor's channels, where a file has more."""

    def __post_init__(self) -> None:
        if not self.files:
            raise UserError("no scene is given", expected="--scene NAME=FILE for one sensor or more")
        if self.batch < 1:
            raise UserError(f"--batch {self.batch}", expected="1 or more")
        if self.probabilities and self.probabilities.resolve() == self.out.resolve():
            raise UserError(f"mask and probabilities are both to be {self.out}", expected="two names")


def predict_scene(segmenter: Segmenter, request: Request) -> Summary:
    """Segment the scene of `request` into its mask, a COG with palette, class names, overviews and nodata 255.

    Each pixel is answered by the fullest scenario whose sensors have data there. Nothing is left behind where it is
    broken off. Raises RecipeError, DataError, CheckpointError or StorageError.
    """
    started = time.perf_counter()
    files = _chosen(segmenter, request)
    targets = [path for path in (request.out, request.probabilities) if path]
    for path in targets:
        check_target(path, request.files)
    with ExitStack() as stack:
        ground, sources = stack.enter_context(opened(files, resample=request.resample))
        layers = {name: _layer(segmenter, request, name, sources[name], ground) for name in _in_order(files, segmenter)}
        folders = [stack.enter_context(hidden_folder(path)) for path in targets]
        rasters = [
            Raster(folder, path, ground, segmenter.task, probabilities=path is request.probabilities)
            for folder, path in zip(folders, targets, strict=True)
        ]
        for raster in rasters:
            stack.callback(raster.close)
        work = _Work(segmenter, request, ground, layers, rasters)
        for _ in progress(work.answers(), f"segment {request.out.name}", work.windows):
            pass
        tags = {"MODEL": segmenter.label, "SCENARIOS": ",".join(work.scenario_pixels)}
        for raster in progress(rasters, "write overviews"):
            raster.describe(tags)
            raster.finish()
        for raster in rasters:
            raster.publish()
    return work.summary(time.perf_counter() - started)


def _chosen(segmenter: Segmenter, request: Request) -> dict[str, Path]:
    """The files that are read, by sensor, first things first; errors for sensors and scenarios that cannot be."""
    task = segmenter.task
    for name in [*request.files, *request.bands]:
        task.sensor(name)
    if request.scenario and request.scenario not in task.scenarios:
        raise RecipeError(f"unknown scenario {request.scenario!r}", expected=" or ".join(task.scenarios))
    used = sensors_of(request.scenario) if request.scenario else tuple(request.files)
    missing = [name for name in used if name not in request.files]
    if missing:
        mend = f"--scene {missing[0]}=FILE"
        raise RecipeError(f"scenario {request.scenario!r} without a scene of {missing[0]!r}", mend=mend)
    for name in request.files:
        if name not in used:
            warn(f"the scene of {name!r} is not read: --scenario {request.scenario} does without it")
    if answerable(used, segmenter.scenarios, task.sensor_names) == BLIND:
        served = " or ".join(segmenter.scenarios)
        raise CheckpointError(f"{segmenter.label} cannot answer from {' and '.join(used)} alone", expected=served)
    return {name: path for name, path in request.files.items() if name in used}


def _in_order(files: Mapping[str, Path], segmenter: Segmenter) -> list[str]:
    """The sensors that are read, in recipe order."""
    return [name for name in segmenter.task.sensor_names if name in files]


def _layer(segmenter: Segmenter, request: Request, name: str, source: Source, ground: Ground) -> Layer:
    task = segmenter.task
    return Layer(task.sensor(name), request.files[name], source, ground, task.grid, request.bands.get(name, ()))


class _Work:
    """One scene on its way through the model."""

    def __init__(
        self,
        segmenter: Segmenter,
        request: Request,
        ground: Ground,
        layers: Mapping[str, Layer],
        rasters: list[Raster],
    ) -> None:
        self._segmenter, self._request, self._ground = segmenter, request, ground
        self._layers, self._rasters = layers, rasters
        task = segmenter.task
        self._window = task.grid
        overlap = overlap_px(request.overlap, self._window)
        self._rows = spans(ground.height, self._window[0], overlap[0])
        self._columns = spans(ground.width, self._window[1], overlap[1])
        self._blend = Blend(len(task.classes), max(ground.width, self._window[1]), self._window)
        self._class_pixels = np.zeros(len(task.classes), np.int64)
        self.windows = len(self._rows) * len(self._columns)
        self.scenario_pixels: dict[str, int] = {}

    def answers(self) -> Iterator[None]:
        """Do the work; yields once a window."""
        for row in self._rows:
            strips = {name: layer.strip(row.start, self._window[0]) for name, layer in self._layers.items()}
            yield from self._answer_row(row, strips)
            self._write(*self._blend.close(row.own))

    def summary(self, seconds: float) -> Summary:
        """What was found."""
        classes = zip(self._segmenter.task.classes, self._class_pixels.tolist(), strict=True)
        size = (self._ground.height, self._ground.width)
        ordered = {name: self.scenario_pixels[name] for name in sorted(self.scenario_pixels, key=_by_sensors)}
        return Summary(size, dict(classes), ordered, self.windows, seconds, self._ground.pixel_m2)

    def _answer_row(self, row: Span, strips: Mapping[str, Strip]) -> Iterator[None]:
        """Answer all windows of a row: scenario by scenario, so that batches are full."""
        jobs: dict[str, list[tuple[Span, Mask]]] = {}
        for column in self._columns:
            for scenario, where in self._scenarios_at(column, strips).items():
                jobs.setdefault(scenario, []).append((column, where))
                self._count(scenario, where[: row.own, : column.own])
        seen: set[Span] = set()
        for scenario, places in jobs.items():
            for start in range(0, len(places), self._request.batch):
                chunk = places[start : start + self._request.batch]
                self._answer(scenario, chunk, strips)
                fresh = {column for column, _ in chunk} - seen
                seen |= fresh
                yield from [None] * len(fresh)
        yield from [None] * (len(self._columns) - len(seen))

    def _scenarios_at(self, column: Span, strips: Mapping[str, Strip]) -> dict[str, Mask]:
        part = slice(column.start, column.start + self._window[1])
        valid = {name: strip.valid[:, part] for name, strip in strips.items()}
        model = self._segmenter
        return scenarios_in(valid, model.scenarios, model.task.sensor_names, specks=self._request.specks)

    def _answer(self, scenario: str, places: list[tuple[Span, Mask]], strips: Mapping[str, Strip]) -> None:
        width = self._window[1]
        frames = {
            name: np.stack([strips[name].pixels[:, column.start : column.start + width] for column, _ in places])
            for name in sensors_of(scenario)
        }  # (B, H, W, C)
        found = self._segmenter.many(frames, scenario)
        for probabilities, (column, where) in zip(found, places, strict=True):
            self._blend.add(column.start, probabilities, where)

    def _count(self, scenario: str, where: Mask) -> None:
        pixels = int(np.count_nonzero(where))
        if pixels:
            self.scenario_pixels[scenario] = self.scenario_pixels.get(scenario, 0) + pixels

    def _write(self, probabilities: npt.NDArray[np.float32], answered: Mask) -> None:
        """Rows that no later window touches: to the files, and into the counts."""
        answered, probabilities = answered[:, : self._ground.width], probabilities[:, :, : self._ground.width]
        mask = np.where(answered, probabilities.argmax(0), NODATA).astype(np.uint8)
        self._class_pixels += np.bincount(mask[answered], minlength=len(self._class_pixels))
        self._rasters[0].write(mask[None])
        for raster in self._rasters[1:]:
            raster.write(np.where(answered, np.rint(probabilities * STEPS), NODATA).astype(np.uint8))


def _by_sensors(scenario: str) -> tuple[int, str]:
    return -len(sensors_of(scenario)), scenario
