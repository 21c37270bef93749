"""What is committed of a finished run: confusion counts of every image, and how it was made. No picture, no weight."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.reproduce.places import Places
from benchmarks.reproduce.plan import Run
from benchmarks.reproduce.recorded import differences
from dis2_edge.errors import DataError
from dis2_edge.files import read_json, write_text
from dis2_edge.scores import Counts
from dis2_edge.settings import from_table

if TYPE_CHECKING:
    from dis2_train.judging.evaluation import Evaluation

FORMAT = 1


@dataclass(frozen=True)
class Origin:
    """How a run was made."""

    command: str
    """The command line of its training, with DATA for the folder of the data set."""
    trained_on: str
    """Processor or GPU of the training; empty where nobody noted it."""
    torch: str
    """Version of torch that judged it."""
    threads: int
    """Threads of the training; 0 is torch's own choice."""
    seconds: float
    """Time of the training, all sittings added."""
    steps: int
    """Steps of the training."""
    images: dict[str, int] = field(default_factory=dict)
    """Images of each split of its data set."""
    taken: bool = False
    """Whether it was trained by other means than the plan's driver."""


@dataclass(frozen=True)
class Record:
    """One finished run."""

    run: str
    """`DATA/ROW-sSEED`."""
    recipe: dict[str, Any]
    """The resolved recipe."""
    origin: Origin
    """How it was made."""
    evaluations: dict[str, Evaluation]
    """Split -> what it answered there."""


def write(path: Path, record: Record) -> None:
    """Write `record` to `path`, whole or not at all: one line an image, zeros left out."""
    head = {"format": FORMAT, "run": record.run, "recipe": record.recipe, "origin": vars(record.origin)}
    parts = [f"{json.dumps(key)}: {json.dumps(value, sort_keys=True)}" for key, value in head.items()]
    parts += [f'"evaluations": {{{", ".join(map(_evaluation, record.evaluations.items()))}}}']
    write_text(path, "{\n" + ",\n".join(parts) + "\n}\n")


def read(path: Path) -> Record:
    """What `write` wrote; a missing or damaged file is a DataError that names it."""
    table = read_json(path, DataError)
    if not isinstance(table, dict) or table.get("format") != FORMAT:
        raise DataError(f"{path} is no record of format {FORMAT}", mend="remove it and run the plan again")
    try:
        origin = from_table(Origin, table["origin"], where=f"{path}: origin", error=DataError)
        found = {split: _read_evaluation(split, rows) for split, rows in table["evaluations"].items()}
        return Record(table["run"], table["recipe"], origin, found)
    except (KeyError, ValueError, TypeError, AttributeError, IndexError) as cause:
        raise DataError(f"{path} is damaged ({cause!r})", mend="remove it and run the plan again") from cause


def finished(places: Places, runs: Iterable[Run]) -> dict[str, Record]:
    """The records that there are of `runs`, by name: only those whose recipe is the plan's of today."""
    return {
        run.name: record
        for run in runs
        if places.record(run).is_file() and not stale(record := read(places.record(run)), run)
    }


def stale(record: Record, run: Run) -> list[str]:
    """What the plan says of `run` today that `record` was not made by."""
    return differences(record.recipe, run.row.resolved(run.seed))


def _evaluation(item: tuple[str, Evaluation]) -> str:
    split, found = item
    head = {
        name: getattr(found, name) for name in ("label", "network", "seed", "dataset", "classes", "sensors", "grid")
    }
    head["costs"] = {scenario: [cost.parameters, cost.gflop] for scenario, cost in found.costs.items()}
    head["conditions"] = list(found.counts)
    columns = [_flat(counts) for counts in found.counts.values()]
    rows = [json.dumps([id_, *cells], ensure_ascii=False) for id_, *cells in zip(found.ids, *columns, strict=True)]
    lines = [f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in head.items()]
    lines.append('"images": [\n' + ",\n".join(rows) + "]")
    return f"{json.dumps(split)}: {{\n" + ",\n".join(lines) + "}"


def _flat(counts: Counts) -> list[str]:
    """Each image's K x (K+1) counts row by row, zeros as nothing: `812,3,,,95`."""
    return [",".join(str(value or "") for value in image.ravel().tolist()).rstrip(",") for image in counts]


def _read_evaluation(split: str, table: Mapping[str, Any]) -> Evaluation:
    from dis2_train.judging.evaluation import Evaluation
    from dis2_train.networks.cost import Cost

    classes, images = len(table["classes"]), table["images"]
    counts = {
        condition: np.stack([_square(row[place], classes) for row in images])
        for place, condition in enumerate(table["conditions"], 1)
    }
    return Evaluation(
        label=table["label"],
        network=table["network"],
        seed=table["seed"],
        dataset=table["dataset"],
        split=split,
        classes=tuple(table["classes"]),
        sensors=tuple(table["sensors"]),
        ids=tuple(row[0] for row in images),
        counts=counts,
        costs={scenario: Cost(*cost) for scenario, cost in table["costs"].items()},
        grid=(table["grid"][0], table["grid"][1]),
    )


def _square(text: str, classes: int) -> Counts:
    values = [int(value or 0) for value in text.split(",")]
    wanted = classes * (classes + 1)
    if len(values) > wanted or min(values) < 0:
        raise ValueError(f"counts {text[:40]!r}")
    return np.array(values + [0] * (wanted - len(values)), np.int64).reshape(classes, classes + 1)
