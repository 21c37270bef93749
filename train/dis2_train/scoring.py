"""Score a network that was not trained here: on the split that final figures are of, in every scenario."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dis2_edge.errors import DataError
from dis2_edge.terminal import warn
from dis2_train.data.batches import Split
from dis2_train.evaluate import evaluate, metrics
from dis2_train.networks.seam import Network

if TYPE_CHECKING:
    from dis2_edge.dataset import DataSet

SCORED_ON = ("test", "val", "train")
"""The first of these splits that the data have is the one that figures are of."""
NOT_MEASURED = "not measured"
"""Key of metrics.json that says why there are no figures."""


def score(network: Network, data: DataSet, *, batch: int = 8) -> dict[str, Any]:
    """What metrics.json holds, measured with `network` on `data`, which is narrowed to the network's task.

    Raises DataError when `data` has no labels or no images.
    """
    if not data.description.labels:
        raise DataError(f"{data.name!r} has no labels", expected="labels to score by")
    name = told_split(data)
    split = Split(data, name, network.task, next(network.parameters()).device)
    counts = evaluate(network, split, network.task.scenarios, batch=batch, label=name)
    return metrics(counts, name, len(split))


def not_measured(reason: str) -> dict[str, Any]:
    """What metrics.json holds when nothing was scored: no split, no image, no scenario, and why."""
    return {"split": None, "images": 0, "scenarios": {}, NOT_MEASURED: reason}


def told_split(data: DataSet) -> str:
    """`scored_split`, with a warning where it is not the test split."""
    name = scored_split(data)
    if name != "test":
        warn(f"there is no test split: the scores are of {name!r}")
    return name


def scored_split(data: DataSet) -> str:
    """The split that figures are of; DataError when `data` has none with images."""
    for name in SCORED_ON:
        if name in data.splits and data.ids(name):
            return name
    raise DataError(f"{data.name!r} has no images in {', '.join(SCORED_ON)}", expected="images to score on")
