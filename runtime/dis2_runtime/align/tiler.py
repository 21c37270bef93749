"""An engine for frames larger than its grid: overlapping windows, each segmented, blended into one answer.

The rule: at every pixel each window that covers it votes for its own class with its confidence times a weight that
falls evenly from the window's centre to its edges. The class with most votes wins; of equals, that of the window
further up and left. The confidence is the winner's votes over the weight of all windows there: their mean where they
agree, and no more than that where they don't.
"""

from __future__ import annotations

import dataclasses
import itertools
from types import TracebackType

import numpy as np
import numpy.typing as npt

from dis2_edge.errors import EngineError, RecipeError
from dis2_edge.geometry import Size
from dis2_edge.sensors import IDENTITY
from dis2_edge.task import Task
from dis2_edge.tiles import Window, windows
from dis2_runtime.engine import Answer, Engine, Frames

OVERLAP = 8
"""Neighbouring windows share at least one in this many of the grid's rows and columns."""


def output_grid(task: Task) -> Size:
    """Height and width of the masks of a flight: the frames of sensors that come in tiles, else the model's grid.

    Raises RecipeError when such frames differ in size or are smaller than the grid.
    """
    tiled = [sensor for sensor in task.sensors if sensor.fit == "tile" and min(sensor.size) > 0]
    leading = [sensor for sensor in tiled if sensor.to_grid == IDENTITY] or tiled
    told = ", ".join(f"{sensor.name} {sensor.size[0]}x{sensor.size[1]}" for sensor in leading)
    sizes = {sensor.size for sensor in leading} or {task.grid}
    if len(sizes) > 1:
        raise RecipeError(f"sensors in tiles: {told}", expected="one size", mend='set fit = "resize" for all but one')
    (size,) = sizes
    if size[0] < task.grid[0] or size[1] < task.grid[1]:
        expected = f"at least the grid's {task.grid[0]}x{task.grid[1]}"
        raise RecipeError(f"sensors in tiles: {told}", expected=expected, mend='set fit = "resize"')
    return size


def output_task(task: Task) -> Task:
    """`task` with the grid of its masks, for all that stands around the engine."""
    return dataclasses.replace(task, grid=output_grid(task))


def tiled(engine: Engine, task: Task) -> Engine:
    """`engine`, which answers on the grid of `task`, made to answer on `output_grid(task)`."""
    size = output_grid(task)
    return engine if size == task.grid else Tiler(engine, task, size)


class Tiler:
    """Looks like an engine whose grid is as large as the frames. All buffers are made once."""

    def __init__(self, engine: Engine, task: Task, size: Size) -> None:
        """`engine` answers on the grid of `task`; frames and answers are of `size` (height, width)."""
        overlap = (task.grid[0] // OVERLAP, task.grid[1] // OVERLAP)
        self._engine, self._task, self._size = engine, task, size
        self._windows = windows(size, task.grid, overlap=overlap)
        self._answers = [Answer.empty(*task.grid) for _ in self._windows]
        self._cuts = {sensor.name: np.empty((*task.grid, sensor.channels), sensor.dtype) for sensor in task.sensors}
        self._blender = _Blender(self._windows, task.grid)

    def __enter__(self) -> Engine:
        self._engine.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._engine.__exit__(kind, error, trace)

    @property
    def scenarios(self) -> tuple[str, ...]:
        """The scenarios that the engine serves."""
        return self._engine.scenarios

    def infer(self, scenario: str, frames: Frames, into: Answer | None = None) -> Answer:
        """Segment large `frames`, window by window; see `dis2_runtime.engine.Engine.infer`."""
        answer = Answer.empty(*self._size) if into is None else into
        if answer.mask.shape != self._size or answer.confidence.shape != self._size:
            raise EngineError(f"a buffer of {answer.mask.shape} pixels", expected=f"{self._size}")
        for name, frame in frames.items():
            if frame.shape[:2] != self._size or frame.shape[2:] != self._cuts[name].shape[2:]:
                found = f"sensor {name!r}: a frame of {'x'.join(map(str, frame.shape))}"
                raise EngineError(found, expected=f"{self._size[0]}x{self._size[1]}x{self._cuts[name].shape[2]}")
        for window, part in zip(self._windows, self._answers, strict=True):
            for name, frame in frames.items():
                np.copyto(self._cuts[name], window.cut(frame))
            self._engine.infer(scenario, {name: self._cuts[name] for name in frames}, into=part)
        self._blender.blend(self._answers, answer)
        return answer


@dataclasses.dataclass(frozen=True)
class _Part:
    """What one window has to say about a patch."""

    window: int
    """Number of the window."""
    place: tuple[slice, slice]
    """The patch in the window."""
    share: npt.NDArray[np.float32]
    """HxW, the window's weight over that of all windows there."""


@dataclasses.dataclass(frozen=True)
class _Patch:
    """A rectangle of the frame that the same windows cover."""

    place: tuple[slice, slice]
    """In the frame."""
    parts: tuple[_Part, ...]
    """The windows, the upper left first."""


class _Blender:
    """Puts the answers of windows together, patch by patch: no votes of frame size, however many classes there are."""

    def __init__(self, cut: tuple[Window, ...], grid: Size) -> None:
        self._patches = _patches(cut, grid)
        most = max(len(patch.parts) for patch in self._patches)
        pixels = max(patch.parts[0].share.size for patch in self._patches)
        self._votes, self._same = np.empty((most + 3, pixels), np.float32), np.empty(pixels, np.bool_)

    def blend(self, answers: list[Answer], into: Answer) -> None:
        """Fill `into` from the windows' answers."""
        for patch in self._patches:
            first = patch.parts[0]
            into.mask[patch.place] = answers[first.window].mask[first.place]
            if len(patch.parts) == 1:
                into.confidence[patch.place] = answers[first.window].confidence[first.place]
            else:
                best = self._elect(patch, answers, into.mask[patch.place])
                np.copyto(into.confidence[patch.place], np.rint(best, out=best), casting="unsafe")

    def _elect(self, patch: _Patch, answers: list[Answer], mask: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Write the winning classes into `mask`, which holds those of the first part; returns their votes."""
        room: list[npt.NDArray[np.float32]] = [row[: mask.size].reshape(mask.shape) for row in self._votes]
        best, mine, other, *votes = room
        same = self._same[: mask.size].reshape(mask.shape)
        for vote, part in zip(votes, patch.parts, strict=False):
            np.multiply(part.share, answers[part.window].confidence[part.place], out=vote)
        classes = [answers[part.window].mask[part.place] for part in patch.parts]
        for candidate, choice in enumerate(classes):
            tally = mine if candidate else best
            np.copyto(tally, votes[candidate])
            for voter in range(len(classes)):
                if voter != candidate:
                    np.multiply(votes[voter], np.equal(classes[voter], choice, out=same), out=other)
                    tally += other
            if candidate:
                np.greater(mine, best, out=same)
                np.copyto(best, mine, where=same)
                np.copyto(mask, choice, where=same)
        return best


def _patches(cut: tuple[Window, ...], grid: Size) -> tuple[_Patch, ...]:
    """The frame in rectangles, each covered by the same windows everywhere."""
    rows = _edges([window.top for window in cut], grid[0])
    columns = _edges([window.left for window in cut], grid[1])
    return tuple(
        _patch(cut, grid, (top, bottom), (left, right))
        for top, bottom in itertools.pairwise(rows)
        for left, right in itertools.pairwise(columns)
    )


def _edges(starts: list[int], side: int) -> list[int]:
    """Where a window of `side` pixels begins or ends along one axis."""
    return sorted({*starts, *(start + side for start in starts)})


def _patch(cut: tuple[Window, ...], grid: Size, rows: tuple[int, int], columns: tuple[int, int]) -> _Patch:
    weight = np.outer(_ramp(grid[0]), _ramp(grid[1]))
    found = [
        (
            number,
            (
                slice(rows[0] - window.top, rows[1] - window.top),
                slice(columns[0] - window.left, columns[1] - window.left),
            ),
        )
        for number, window in enumerate(cut)
        if window.top <= rows[0] < window.top + grid[0] and window.left <= columns[0] < window.left + grid[1]
    ]
    total = sum(weight[place] for _, place in found)
    parts = tuple(_Part(number, place, (weight[place] / total).astype(np.float32)) for number, place in found)
    return _Patch((slice(*rows), slice(*columns)), parts)


def _ramp(length: int) -> npt.NDArray[np.float64]:
    """Weight along one axis of a window: 1 at its edges, evenly more towards its centre."""
    place = np.arange(length)
    return np.asarray(np.minimum(place + 1, length - place), np.float64)
