"""One .onnx file: opened with ONNX Runtime, and read for what its metadata tells of sensors, classes and scenario.

Files of io `frame` take raw HxWxC frames and give `mask` and `confidence`; those of io `tensor` take normalised
1xCxHxW and give `logits`.
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from dis2_edge.errors import EngineError, MissingExtraError, RecipeError
from dis2_edge.labels import palette
from dis2_edge.sensors import Sensor
from dis2_edge.settings import from_table
from dis2_edge.task import Task
from dis2_train.segmenters.frames import normalised
from dis2_train.segmenters.segmenter import Pixels

_QUIET = 4


class ModelFile:
    """A session on one file."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._session = _session(file)
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        self._inputs = {value.name: list(value.shape) for value in self._session.get_inputs()}
        outputs = {value.name for value in self._session.get_outputs()}
        if "logits" not in outputs and not outputs >= {"mask", "confidence"}:
            expected = "mask and confidence (io frame), or logits (io tensor)"
            raise EngineError(f"{file} gives {', '.join(sorted(outputs))}", expected=expected)
        self.gives_logits = "logits" in outputs

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width of the inputs; EngineError where the file leaves them open."""
        shape = next(iter(self._inputs.values()))
        height, width = shape[-2:] if self.gives_logits else shape[:2]
        if not (isinstance(height, int) and isinstance(width, int)):
            raise EngineError(f"{self.file}: inputs of shape {shape}", expected="a fixed height and width")
        return height, width

    def task(self) -> Task:
        """The task of the file's one scenario, from its metadata; EngineError where that was stripped."""
        missing = [key for key in ("scenario", "sensors", "classes") if key not in self.metadata]
        if missing:
            mend = "export it with dis2-edge quantize, or give the folder that it came in"
            raise EngineError(f"{self.file} holds no {', '.join(missing)} in its metadata", mend=mend)
        try:
            return _task_of(self.metadata, self.grid, str(self.file))
        except (ValueError, RecipeError) as cause:
            raise EngineError(f"{self.file}: metadata that cannot be read ({cause})", mend="export it anew") from cause

    def check_inputs(self, sensors: Sequence[Sensor]) -> None:
        """EngineError unless the file's inputs are exactly `sensors`."""
        wanted = {sensor.name for sensor in sensors}
        if set(self._inputs) != wanted:
            raise EngineError(f"{self.file} has the inputs {sorted(self._inputs)}", expected=f"{sorted(wanted)}")

    def probabilities(self, batch: Mapping[str, Pixels], task: Task) -> npt.NDArray[np.float32]:
        """(B, K, H, W) of BxHxWxC frames without holes."""
        classes = len(task.classes)
        return np.stack([_as_probabilities(self._run(one, task), classes) for one in _one_by_one(batch)])

    def masks(self, batch: Mapping[str, Pixels], task: Task) -> npt.NDArray[np.uint8]:
        """(B, H, W) class indices of BxHxWxC frames without holes."""
        return np.stack([_mask_of(self._run(one, task)) for one in _one_by_one(batch)])

    def _run(self, frames: Mapping[str, Pixels], task: Task) -> dict[str, Pixels]:
        """The outputs for one HxWxC frame a sensor, by name: `logits` KxHxW, or `mask` and `confidence` HxW."""
        names = ["logits"] if self.gives_logits else ["mask", "confidence"]
        feed = {
            name: normalised(frame[None], task.sensor(name)) if self.gives_logits else np.ascontiguousarray(frame)
            for name, frame in frames.items()
        }
        try:
            found = self._session.run(names, feed)
        except Exception as cause:  # ONNX Runtime's own exceptions share no base but this
            raise EngineError(f"{self.file} failed while running: {_first_line(cause)}") from cause
        return {"logits": found[0][0]} if self.gives_logits else dict(zip(names, found, strict=True))


def _mask_of(answer: Mapping[str, Pixels]) -> npt.NDArray[np.uint8]:
    if "mask" in answer:
        return answer["mask"]
    return cast("npt.NDArray[np.uint8]", answer["logits"].argmax(0).astype(np.uint8))


def _as_probabilities(answer: Mapping[str, Pixels], classes: int) -> npt.NDArray[np.float32]:
    """(K, H, W): softmax of logits; or the confidence at the mask's class, and the rest shared by the others."""
    if "logits" in answer:
        raised = np.exp(answer["logits"] - answer["logits"].max(0))
        return (raised / raised.sum(0)).astype(np.float32)  # type: ignore[no-any-return]
    mask, sure = answer["mask"], answer["confidence"].astype(np.float32) / 255
    rest = (1 - sure) / max(classes - 1, 1)
    return np.where(np.arange(classes)[:, None, None] == mask, sure, rest).astype(np.float32)


def _one_by_one(batch: Mapping[str, Pixels]) -> list[dict[str, Pixels]]:
    """A batch as frames: files are made for one frame at a time, as it flies."""
    return [{name: frames[place] for name, frames in batch.items()} for place in range(len(next(iter(batch.values()))))]


def _task_of(metadata: Mapping[str, str], grid: tuple[int, int], where: str) -> Task:
    sensors = tuple(from_table(Sensor, row, where=where) for row in json.loads(metadata["sensors"]))
    classes = tuple(json.loads(metadata["classes"]))
    colours = tuple(json.loads(metadata.get("colours", "[]"))) or palette(len(classes))
    task = Task(sensors, classes, colours, grid, int(metadata.get("ignore", 255)))
    if task.full != metadata["scenario"]:
        raise ValueError(f"scenario {metadata['scenario']!r} with the sensors {', '.join(task.sensor_names)}")
    return task


def _session(file: Path) -> Any:
    try:
        ort = importlib.import_module("onnxruntime")
    except ImportError as cause:
        raise MissingExtraError("onnxruntime", "host") from cause
    options = ort.SessionOptions()
    options.log_severity_level = _QUIET
    options.intra_op_num_threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    options.add_session_config_entry("session.force_spinning_stop", "1")
    try:
        return ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as cause:  # ONNX Runtime's own exceptions share no base but this
        mend = "fetch or export the file anew"
        raise EngineError(f"{file} cannot be loaded by ONNX Runtime: {_first_line(cause)}", mend=mend) from cause


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__
