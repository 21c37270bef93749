"""One model judged on one split: confusion counts of every image under every condition, kept so that any score follows.

A condition is a scenario (`opt+sar`, `opt`), or the model's full scenario under noise (`opt+sar~low`). Scenarios are
named in the data set's order of sensors, whatever the model's own order is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dis2_edge.errors import DataError
from dis2_edge.files import read_json, write_text
from dis2_edge.scenario import scenario_of, sensors_of
from dis2_edge.scores import Counts, confusion
from dis2_edge.settings import coerce
from dis2_edge.terminal import progress
from dis2_train.judging.match import check_match
from dis2_train.judging.noise import LEVELS, Pixels, noisy

if TYPE_CHECKING:
    from dis2_edge.dataset import DataSet, Sample
    from dis2_train.networks.cost import Cost
    from dis2_train.segmenters import Segmenter

FORMAT = 1
"""Version of the file's shape and of how counts are made; another one is evaluated anew."""
BATCH = 8


@dataclass(frozen=True)
class Evaluation:
    """What one model answered on one split."""

    label: str
    """Short name of the model, for tables."""
    network: str
    """Network and preset, such as dis2/default; empty where unknown."""
    seed: int | None
    """Seed of the training; None where unknown."""
    dataset: str
    """Name of the data set."""
    split: str
    """The split that was looked at."""
    classes: tuple[str, ...]
    """Names of the classes, in the order of the counts."""
    sensors: tuple[str, ...]
    """The sensors that the model reads, in the data set's order."""
    ids: tuple[str, ...]
    """The images, in the order of the counts."""
    counts: dict[str, Counts]
    """Condition -> int64 (N, K, K+1), one confusion matrix an image as `dis2_edge.scores.confusion` makes it."""
    costs: dict[str, Cost] = field(default_factory=dict)
    """Scenario -> parameters and operations, where they are known."""
    grid: tuple[int, int] = (0, 0)
    """Height and width that was judged at; (0, 0) where unknown."""
    precision: str = ""
    """Number format of the convolutions; empty where unknown."""
    recipe: str = ""
    """Hash of the recipe without its seed: equal ones are runs that differ in the seed alone. Empty where unknown."""
    model: str = ""
    """Hash of the weights or model files."""
    data: str = ""
    """Hash of the split's files and of their description."""

    @property
    def scenarios(self) -> tuple[str, ...]:
        """The conditions without noise."""
        return tuple(name for name in self.counts if "~" not in name)


def evaluate_one(segmenter: Segmenter, data: DataSet, split: str, *, noise: bool = True) -> Evaluation:
    """Judge `segmenter` on every image of `split`, in every scenario that it answers and, with `noise`, at each level
    of it on all sensors of its fullest scenario.

    Raises DataError where the split is unknown, empty or without labels, or where the data are not what the model was
    made for.
    """
    check_match(segmenter, data)
    order, task = data.task.sensor_names, segmenter.task
    data = data.narrowed(task.sensor_names, task.grid)
    ids = data.ids(split)
    if not ids:
        raise DataError(f"split {split!r} of {data.root} is empty", expected="one image or more")
    named = {scenario: scenario_of(sensors_of(scenario), order) for scenario in segmenter.scenarios}
    conditions = [(scenario, "", name) for scenario, name in named.items()]
    if noise:
        full = max(named, key=lambda scenario: len(sensors_of(scenario)))
        conditions += [(full, level, f"{named[full]}~{level}") for level in LEVELS]
    counts: dict[str, list[Counts]] = {name: [] for _, _, name in conditions}
    starts = range(0, len(ids), BATCH)
    for start in progress(starts, f"judge {segmenter.label} on {data.name} {split}"):
        samples = [data.on_grid(data.read(split, id_), task) for id_ in ids[start : start + BATCH]]
        labels = [_label(sample, data, split) for sample in samples]
        for scenario, level, name in conditions:
            masks = segmenter.masks(_frames(samples, segmenter, scenario, level), scenario)
            for label, mask in zip(labels, masks, strict=True):
                counts[name].append(confusion(label, mask, len(task.classes)))
    costs = {name: cost for scenario, name in named.items() if (cost := segmenter.cost(scenario)) is not None}
    return Evaluation(
        label=segmenter.label,
        network=segmenter.recipe_name,
        seed=segmenter.seed,
        dataset=data.name,
        split=split,
        classes=task.classes,
        sensors=tuple(name for name in order if name in task.sensor_names),
        ids=ids,
        counts={name: np.stack(found) for name, found in counts.items()},
        costs=costs,
        grid=task.grid,
        precision=segmenter.precision,
    )


def write_evaluation(
    path: Path,
    evaluation: Evaluation,
    scores: Mapping[str, Any] | None = None,
    engine: Mapping[str, Any] | None = None,
) -> None:
    """Write `evaluation` to `path` as JSON, whole or not at all; one line an entry, the counts of an image flat.

    `scores` are for whoever reads the file by eye; `read_evaluation` leaves them aside, as they follow from the counts.
    So it does with `engine`, which tells what ran the model, where and how fast, where engines were asked for.
    """
    table = {name: getattr(evaluation, name) for name in _PLAIN}
    table["scores"] = dict(scores or {})
    if engine:
        table["engine"] = dict(engine)
    table["format"] = FORMAT
    table["counts"] = {name: found.reshape(len(found), -1).tolist() for name, found in evaluation.counts.items()}
    table["costs"] = {name: [cost.parameters, cost.gflop] for name, cost in evaluation.costs.items()}
    lines = [f"{json.dumps(key)}: {json.dumps(table[key], ensure_ascii=False)}" for key in sorted(table)]
    write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")


def read_evaluation(path: Path) -> Evaluation:
    """What `write_evaluation` wrote; a missing, damaged or inconsistent file is a DataError that names it."""
    table = read_json(path, DataError)
    if not isinstance(table, dict) or table.get("format") != FORMAT:
        raise DataError(f"{path} is no evaluation of format {FORMAT}", mend="make it by: dis2-edge eval")
    missing = [key for key in (*_PLAIN, "counts", "costs") if key not in table]
    if missing:
        raise DataError(f"{path} has no {', '.join(missing)}", mend="make it anew by: dis2-edge eval")
    plain = {key: coerce(table[key], hint, f"{path}: {key}", DataError) for key, hint in _PLAIN.items()}
    counts = _counts(table["counts"], len(plain["ids"]), len(plain["classes"]), path)
    return Evaluation(**plain, counts=counts, costs=_costs(table["costs"], path))


_PLAIN: dict[str, Any] = {
    "label": str,
    "network": str,
    "seed": int | None,
    "dataset": str,
    "split": str,
    "classes": tuple[str, ...],
    "sensors": tuple[str, ...],
    "ids": tuple[str, ...],
    "grid": tuple[int, int],
    "precision": str,
    "recipe": str,
    "model": str,
    "data": str,
}
"""The fields that stand in the file as they are, with their types."""


def _label(sample: Sample, data: DataSet, split: str) -> npt.NDArray[np.uint8]:
    if sample.label is None:
        where = f"{split}/{sample.id} of {data.root}"
        raise DataError(f"{where} has no label", expected="labels for every image to judge by")
    return sample.label


def _frames(samples: list[Sample], segmenter: Segmenter, scenario: str, level: str) -> dict[str, Pixels]:
    """BxHxWxC of the scenario's sensors, and of no other."""
    return {
        sensor.name: np.stack(
            [
                noisy(sample.frames[sensor.name], sensor, level, sample.id) if level else sample.frames[sensor.name]
                for sample in samples
            ]
        )
        for sensor in segmenter.task.used(scenario)
    }


def _counts(table: Any, images: int, classes: int, path: Path) -> dict[str, Counts]:
    """The counts of each condition; every condition must count the same pixels of every image."""
    rows = coerce(table, dict[str, tuple[tuple[int, ...], ...]], f"{path}: counts", DataError)
    found: dict[str, Counts] = {}
    pixels = None
    for name, flat in rows.items():
        if len(flat) != images or any(len(row) != classes * (classes + 1) or min(row) < 0 for row in flat):
            expected = f"{images} rows of {classes * (classes + 1)} numbers of 0 or more"
            raise DataError(f"{path}: counts of {name!r} are damaged", expected=expected)
        found[name] = np.array(flat, np.int64).reshape(images, classes, classes + 1)
        truth = found[name].sum(axis=2)
        if pixels is not None and not np.array_equal(truth, pixels):
            raise DataError(f"{path}: {name!r} counts other pixels than the conditions before it")
        pixels = truth
    if not found:
        raise DataError(f"{path} counts nothing", mend="make it anew by: dis2-edge eval")
    return found


def _costs(table: Any, path: Path) -> dict[str, Cost]:
    from dis2_train.networks.cost import Cost

    rows: Mapping[str, tuple[int, float]] = coerce(table, dict[str, tuple[int, float]], f"{path}: costs", DataError)
    return {name: Cost(*row) for name, row in rows.items()}
