"""Judge model files: each is run as the file it is, by the engine that flies it, on the test split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from dis2_edge.dataset import DataSet
from dis2_edge.errors import DataError
from dis2_edge.manifest import Dialect, Io, Precision
from dis2_edge.scores import Counts, Scores, confusion, scores
from dis2_edge.task import Task
from dis2_edge.terminal import progress
from dis2_runtime.engine import Answer, Frames


@dataclass(frozen=True)
class Candidate:
    """A model file that is to be judged."""

    scenario: str
    """The sensors that it reads."""
    precision: Precision
    """Number format of its convolutions."""
    file: Path
    """Where it is."""
    dialect: Dialect = "ort"
    """ort: ONNX Runtime fuses it to integer kernels; trt: strongly typed for TensorRT."""
    io: Io = "frame"
    """frame: raw HWC frames in, mask and confidence out; tensor: normalised NCHW in, logits out."""


class Runner(Protocol):
    """Whatever answers for a candidate: the engine that flies its file, or a simulation of one."""

    def run(self, frames: Frames) -> Answer:
        """Mask and confidence of `frames` (one HxWxC array for each sensor; others are not read)."""


@dataclass
class Verdict:
    """What one file did on the split."""

    candidate: Candidate
    """The file."""
    counts: Counts
    """Confusion counts Kx(K+1)."""
    equal_pixels: int = 0
    """Pixels at which its mask equals that of the reference file of the same scenario."""
    pixels: int = 0
    """Pixels compared."""
    size: int = 0
    """Bytes of the file."""

    @property
    def scores(self) -> Scores:
        """IoU, F1 and overall accuracy."""
        return scores(self.counts)

    @property
    def agreement(self) -> float:
        """Share of pixels (0..1) at which it says what the reference says."""
        return self.equal_pixels / self.pixels if self.pixels else 1.0


def judge(models: Mapping[Candidate, Runner], data: DataSet, task: Task, split: str) -> list[Verdict]:
    """A verdict for every file; the first file of each scenario is the reference that the others agree with or not."""
    if not data.ids(split):
        raise DataError(f"split {split!r} is empty", expected="images to judge on")
    classes = len(task.classes)
    verdicts = [Verdict(candidate, np.zeros((classes, classes + 1), np.int64)) for candidate in models]
    for verdict in verdicts:
        verdict.size = verdict.candidate.file.stat().st_size
    for name in progress(data.ids(split), f"judge on {split}"):
        sample = data.on_grid(data.read(split, name), task)
        if sample.label is None:
            raise DataError(f"{split}/{name} has no label", expected="labels to judge by")
        _judge_image(list(models.values()), verdicts, sample.frames, sample.label, classes)
    return verdicts


def _judge_image(
    models: Sequence[Runner],
    verdicts: Sequence[Verdict],
    frames: dict[str, npt.NDArray[Any]],
    label: npt.NDArray[np.uint8],
    classes: int,
) -> None:
    references: dict[str, npt.NDArray[Any]] = {}
    for model, verdict in zip(models, verdicts, strict=True):
        mask = model.run(frames).mask
        reference = references.setdefault(verdict.candidate.scenario, mask)
        verdict.counts += confusion(label, mask, classes)
        verdict.equal_pixels += int((mask == reference).sum())
        verdict.pixels += mask.size
