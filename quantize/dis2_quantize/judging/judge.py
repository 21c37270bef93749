"""Judge model files: each is run as the file it is, by the engine that flies it, on the test split."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from dis2_edge.dataset import DataSet
from dis2_edge.errors import DataError
from dis2_edge.manifest import Dialect, Io, Precision
from dis2_edge.scores import Counts, Scores, confusion, scores
from dis2_edge.task import Task
from dis2_edge.terminal import progress
from dis2_runtime.engine import Answer, Frames

Mask = npt.NDArray[np.uint8]


class Key(NamedTuple):
    """What tells the files of a quantised run apart."""

    scenario: str
    """The sensors that it reads."""
    precision: Precision
    """Number format of its convolutions."""
    dialect: Dialect
    """Whose rules it is written by."""

    @property
    def is_reference(self) -> bool:
        """Whether the other files of the scenario are held against this one."""
        return (self.precision, self.dialect) == ("fp32", "ort")


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
    """ort: ONNX Runtime's own integer operators; trt: strongly typed for TensorRT."""
    io: Io = "frame"
    """frame: raw HWC frames in, mask and confidence out; tensor: normalised NCHW in, logits out."""

    @property
    def key(self) -> Key:
        """What tells it apart from the run's other files."""
        return Key(self.scenario, self.precision, self.dialect)

    @property
    def flies_on_host(self) -> bool:
        """Whether ONNX Runtime would fly it on this kind of computer, so that its time here says something."""
        return (self.dialect, self.io) == ("ort", "frame")


class Runner(Protocol):
    """Whatever answers for a candidate: the engine that flies its file, or a simulation of one."""

    def run(self, frames: Frames) -> Answer:
        """Mask and confidence of `frames` (one HxWxC array for each sensor; others are not read)."""


@dataclass
class Judged:
    """What one file did on the split."""

    candidate: Candidate
    """The file."""
    counts: Counts
    """(N, K, K+1): confusion counts of each image."""
    turned_wrong: npt.NDArray[np.int64]
    """(N,): pixels of each image that the reference gets right and this file wrong."""
    size: int
    """Bytes of the file."""
    equal_pixels: int = 0
    """Pixels at which its mask equals that of the reference."""
    compared_pixels: int = 0
    """Pixels compared; 0 without an FP32 file of its scenario."""

    @property
    def total(self) -> Counts:
        """Confusion counts Kx(K+1) over all images."""
        summed: Counts = self.counts.sum(axis=0)
        return summed

    @property
    def scores(self) -> Scores:
        """IoU, F1 and overall accuracy over all images."""
        return scores(self.total)

    @property
    def agreement(self) -> float | None:
        """Share of pixels (0..1) at which it says what the reference says; None without a reference."""
        return self.equal_pixels / self.compared_pixels if self.compared_pixels else None


def judge(models: Mapping[Candidate, Runner], data: DataSet, task: Task, split: str) -> list[Judged]:
    """What every file does on `split`; a scenario's FP32 file is the reference that its others agree with or not."""
    ids = data.ids(split)
    if not ids:
        raise DataError(f"split {split!r} is empty", expected="images to judge on")
    judged = [_empty(candidate, len(ids), len(task.classes)) for candidate in models]
    for place, name in enumerate(progress(ids, f"judge on {split}")):
        sample = data.on_grid(data.read(split, name), task)
        if sample.label is None:
            raise DataError(f"{split}/{name} has no label", expected="labels to judge by")
        masks = [model.run(sample.frames).mask for model in models.values()]
        _judge_image(judged, masks, sample.label, place, len(task.classes))
    return judged


def references(judged: Iterable[Judged]) -> dict[str, Judged]:
    """The FP32 file of each scenario that has one."""
    return {found.candidate.scenario: found for found in judged if found.candidate.key.is_reference}


def wrong_now(label: Mask, reference: Mask, mask: Mask, classes: int) -> npt.NDArray[np.bool_]:
    """HxW: where the truth is known, `reference` has it and `mask` has not."""
    lost: npt.NDArray[np.bool_] = (label < classes) & (reference == label) & (mask != label)
    return lost


def _empty(candidate: Candidate, images: int, classes: int) -> Judged:
    counts = np.zeros((images, classes, classes + 1), np.int64)
    return Judged(candidate, counts, np.zeros(images, np.int64), candidate.file.stat().st_size)


def _judge_image(judged: Sequence[Judged], masks: Sequence[Mask], label: Mask, place: int, classes: int) -> None:
    full: dict[str, npt.NDArray[Any]] = {
        found.candidate.scenario: mask
        for found, mask in zip(judged, masks, strict=True)
        if found.candidate.key.is_reference
    }
    for found, mask in zip(judged, masks, strict=True):
        found.counts[place] = confusion(label, mask, classes)
        reference = full.get(found.candidate.scenario)
        if reference is not None:
            found.turned_wrong[place] = np.count_nonzero(wrong_now(label, reference, mask, classes))
            found.equal_pixels += int((mask == reference).sum())
            found.compared_pixels += mask.size
