"""Evaluate a network, or any callable that segments, over a split: confusion counts of each scenario, then scores."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dis2_edge.quantities import percent
from dis2_edge.scores import Counts, confusion, known, scores
from dis2_edge.task import Task
from dis2_edge.terminal import progress
from dis2_train.data.batches import Split, whole_images
from dis2_train.networks.seam import Frames, Network

Segmenter = Callable[[Frames, str], Tensor]
"""(frames, scenario) -> logits (B, K, H, W)."""


@torch.no_grad()
def evaluate(
    segment: Network | Segmenter,
    split: Split,
    scenarios: Sequence[str],
    *,
    device: torch.device | str = "cpu",
    batch: int = 8,
    label: str = "",
    rank: int = 0,
    world: int = 1,
) -> dict[str, Counts]:
    """Confusion counts Kx(K+1) int64 of each scenario over the whole images of `split`.

    A network is put in eval mode for the time; of the frames only the scenario's sensors are handed over, so that no
    scenario can profit from a sensor that it does not have. With `label` a progress bar is shown. Process `rank` of
    `world` counts only its share of the batches.
    """
    classes = len(split.task.classes)
    counts: dict[str, Counts] = {scenario: np.zeros((classes, classes + 1), np.int64) for scenario in scenarios}
    batches: Iterable[Any] = whole_images(split, batch, rank, world)
    if label:
        batches = progress(batches, label, -(-len(split) // (batch * world)))
    training = isinstance(segment, Network) and segment.training
    if isinstance(segment, Network):
        segment.eval()
    for images in batches:
        truth = images.target.cpu().numpy().astype(np.uint8)
        for scenario in scenarios:
            used = {s.name: images.frames[s.name].to(device) for s in split.task.used(scenario)}
            counts[scenario] += confusion(truth, _masks(segment, used, scenario), classes)
    if isinstance(segment, Network):
        segment.train(training)
    return counts


def mean_miou(counts: Mapping[str, Counts]) -> float:
    """mIoU, averaged over the scenarios in which it is defined; nan where there is none."""
    values = [scores(matrix).miou for matrix in counts.values()]
    defined = [value for value in values if not math.isnan(value)]
    return sum(defined) / len(defined) if defined else math.nan


def metrics(counts: Mapping[str, Counts], split: str, images: int) -> dict[str, Any]:
    """Counts and all their scores (0..1; null where a class does not occur) as metrics.json holds them."""
    return {"split": split, "images": images, "scenarios": {name: _scores(matrix) for name, matrix in counts.items()}}


def table_rows(table: Mapping[str, Any], task: Task) -> tuple[list[str], list[list[str]]]:
    """Columns and rows of `metrics` for `dis2_edge.terminal.table`, in per cent, one row a scenario in recipe order."""
    columns = ["scenario", "mIoU", *(f"IoU {name}" for name in task.classes), "mean F1", "OA"]
    found = [(scenario, table["scenarios"][scenario]) for scenario in task.scenarios if scenario in table["scenarios"]]
    rows = [[name, *_percents(row["miou"], *row["iou"], row["mean_f1"], row["oa"])] for name, row in found]
    return columns, rows


def _masks(segment: Network | Segmenter, frames: Frames, scenario: str) -> npt.NDArray[np.uint8]:
    answer = segment(frames, scenario)
    logits: Tensor = answer if isinstance(answer, Tensor) else answer.logits
    return logits.argmax(1).to(torch.uint8).cpu().numpy()


def _scores(matrix: Counts) -> dict[str, Any]:
    found = scores(matrix)
    return {
        "confusion": matrix.tolist(),
        "miou": known(found.miou),
        "iou": [known(value) for value in found.iou],
        "f1": [known(value) for value in found.f1],
        "mean_f1": known(found.mean_f1),
        "oa": known(found.oa),
    }


def _percents(*shares: float | None) -> list[str]:
    return [percent(share, 1) for share in shares]
