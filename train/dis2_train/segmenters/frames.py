"""Frames made ready for a model: checked against the task, holes filled, by the same NumPy code that flies."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dis2_edge.errors import CheckpointError, DataError
from dis2_edge.prepare import fill_holes, normalise
from dis2_edge.sensors import Sensor
from dis2_edge.task import Task
from dis2_train.segmenters.segmenter import Frames, Pixels


def ready(frames: Frames, task: Task, scenario: str) -> dict[str, Pixels]:
    """The frames BxHxWxC of the scenario's sensors, in its order, holes filled; DataError names what does not fit."""
    found = {sensor.name: _checked(frames, sensor, task.grid) for sensor in task.used(scenario)}
    counts = {name: len(batch) for name, batch in found.items()}
    if len(set(counts.values())) > 1:
        raise DataError(f"batches of {counts} frames", expected="as many frames of every sensor")
    return {name: _filled(batch, task.sensor(name)) for name, batch in found.items()}


def normalised(batch: Pixels, sensor: Sensor) -> npt.NDArray[np.float32]:
    """BxHxWxC as normalised BxCxHxW float32."""
    return np.stack([normalise(frame, sensor) for frame in batch])


def single(frames: Frames) -> dict[str, Pixels]:
    """One frame a sensor as a batch of one."""
    return {name: np.asarray(frame)[None] for name, frame in frames.items()}


def check_scenario(scenario: str, served: tuple[str, ...], where: str) -> None:
    """CheckpointError unless `scenario` is `served`."""
    if scenario not in served:
        raise CheckpointError(f"{where} does not serve scenario {scenario!r}", expected=" or ".join(served))


def _checked(frames: Frames, sensor: Sensor, grid: tuple[int, int]) -> Pixels:
    where = f"sensor {sensor.name!r}"
    if sensor.name not in frames:
        raise DataError(f"no frame of {where}", expected=f"one, as the scenario names it; given: {', '.join(frames)}")
    batch = np.asarray(frames[sensor.name])
    batch = batch[..., None] if batch.ndim == 3 and sensor.channels == 1 else batch
    if batch.ndim != 4 or batch.shape[1:] != (*grid, sensor.channels):
        found = "x".join(map(str, batch.shape[1:]))
        raise DataError(f"{where}: a frame of {found}", expected=f"{grid[0]}x{grid[1]}x{sensor.channels}, the grid's")
    if batch.dtype == sensor.numpy_dtype:
        return batch
    if sensor.dtype != "float32":
        raise DataError(f"{where}: a frame of {batch.dtype}", expected=sensor.dtype)
    return batch.astype(np.float32)


def _filled(batch: Pixels, sensor: Sensor) -> Pixels:
    """`batch` without holes; itself where there are none."""
    found = [fill_holes(frame, sensor) for frame in batch]
    return np.stack([frame for frame, _ in found]) if any(holes for _, holes in found) else batch
