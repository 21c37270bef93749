"""What the INT8 of each block costs: divergence of a student from the FP32 network of its scenario, held-out images.

Two views of a block: *alone*, the damage when only it is an integer, and *recovery*, what comes back when everything
is an integer but it. `alone` drives the choice: roundings of different blocks are nearly independent and divergence is
quadratic in them, so the values of blocks add up to nearly that of a mixture; a recovery is a small difference of two
large figures, sometimes below 0, and says little once the worst blocks are kept (docs/quantization.md has the figures).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dis2_edge.dataset import DataSet
from dis2_edge.errors import DataError
from dis2_edge.scores import Counts, confusion, scores
from dis2_edge.terminal import progress
from dis2_quantize.choosing.mixing import Mixer
from dis2_quantize.teaching.student import Student
from dis2_train.data.batches import Split, whole
from dis2_train.networks.seam import Frames, Network

MOST_IMAGES = 32
"""Held-out images that damage is measured on, spread over what there is."""


@dataclass(frozen=True)
class HeldOut:
    """Images that neither set ranges nor are judged on, with what the FP32 network of a scenario says of them."""

    frames: tuple[Frames, ...]
    """Normalised frames (1, C, H, W) by sensor, one entry an image."""
    targets: tuple[Tensor, ...]
    """(1, H, W) int64: class index or the task's ignore index."""
    logits: tuple[Tensor, ...]
    """(1, K, H, W) of the FP32 network."""

    @property
    def miou(self) -> float:
        """Mean IoU (0..1) of the FP32 network."""
        return _miou(self, self.logits)


@dataclass(frozen=True)
class Damage:
    """How far a student is from its FP32 network."""

    nats: tuple[float, ...]
    """For each image, mean over its pixels of KL(softmax FP32 || softmax student)."""
    drop: float
    """Points of mIoU (0..100) that it has less than FP32 on the same images."""

    @property
    def mean(self) -> float:
        """Mean of `nats` over the images."""
        return float(np.mean(self.nats))


@dataclass(frozen=True)
class Sensitivity:
    """The two views of one block's damage."""

    block: str
    """Its name."""
    alone: Damage
    """Only this block is an integer."""
    without: Damage
    """Everything is an integer but this block."""


def held_out_ids(data: DataSet, calibration_images: int) -> tuple[str, tuple[int, ...]]:
    """Split and places of at most `MOST_IMAGES` images: of `val`, or else of `train` behind those calibrated on.

    Raises DataError when there are none. The test split is never looked at: it judges.
    """
    name = "val" if "val" in data.splits and data.ids("val") else "train"
    first = 0 if name == "val" else calibration_images
    count = len(data.ids(name)) - first
    if count < 1:
        found = f"{data.name!r} has no val split, and its train split only the {calibration_images} to calibrate on"
        raise DataError(found, expected="images to measure damage on", mend="give a val split, or more images")
    wanted = np.linspace(first, first + count - 1, min(count, MOST_IMAGES))
    return name, tuple(int(place) for place in wanted.round())


@torch.no_grad()
def hold_out(network: Network, scenario: str, split: Split, places: Sequence[int]) -> HeldOut:
    """The images at `places` of `split` with the FP32 answers of `scenario`; damaged images are left out."""
    batches = [batch for place in places if len((batch := whole(split, [place])).target)]
    logits = tuple(network(batch.frames, scenario).logits for batch in batches)
    return HeldOut(tuple(batch.frames for batch in batches), tuple(batch.target for batch in batches), logits)


@torch.no_grad()
def damage(student: Student, held: HeldOut) -> Damage:
    """How far `student` is from the FP32 network on the held-out images."""
    answers = [student(frames).logits for frames in held.frames]
    nats = tuple(divergence(full, small) for full, small in zip(held.logits, answers, strict=True))
    return Damage(nats, 100 * (held.miou - _miou(held, answers)))


def divergence(teacher: Tensor, student: Tensor) -> float:
    """Mean over pixels of KL(softmax teacher || softmax student) in nats, of logits (B, K, H, W)."""
    taught, said = teacher.double().log_softmax(1), student.double().log_softmax(1)
    return max(float((taught.exp() * (taught - said)).sum(1).mean()), 0.0)


def measure(mixer: Mixer, held: HeldOut) -> tuple[Sensitivity, ...]:
    """Both views of every block, in the network's order."""
    return tuple(
        Sensitivity(block, damage(mixer.mixed(mixer.all_but(block)), held), damage(mixer.mixed((block,)), held))
        for block in progress(mixer.blocks, f"{mixer.scenario}: damage of blocks")
    )


def _miou(held: HeldOut, answers: Sequence[Tensor]) -> float:
    classes = answers[0].shape[1]
    counts: Counts = np.zeros((classes, classes + 1), np.int64)
    for logits, target in zip(answers, held.targets, strict=True):
        mask = logits.argmax(1).numpy().astype(np.uint8)
        counts += confusion(target.numpy().astype(np.uint8), mask, classes)
    return scores(counts).miou
