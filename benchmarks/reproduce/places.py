"""Where things lie: data sets as the plan, the environment and the command line name them, runs, records, pages."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.reproduce.plan import ROOT, DataPlan, Run, Synth
from dis2_edge.dataset import DataSet, open_dataset
from dis2_edge.errors import DataError

ENVIRONMENT = "DIS2_DATA"
"""Names the folder that the data sets lie in."""
WEIGHTS = "weights.safetensors"
"""Written last by a training: where it is, the run is finished."""


@dataclass(frozen=True)
class Places:
    """The folders of one reproduction."""

    data_root: Path = ROOT.parent / "shared" / "data"
    """Holds the folders of the data sets."""
    runs: Path = ROOT / "out" / "reproduce"
    """Run folders, logs, and data that are made; not committed."""
    records: Path = ROOT / "docs" / "reproduce"
    """What is committed: counts of every finished run, and figures."""
    page: Path = ROOT / "docs" / "reproduce.md"
    """The page whose tables are made from the records."""

    @property
    def readme(self) -> Path:
        """The README of the folder that the page's folder lies in."""
        return self.page.parent.parent / "README.md"

    def run(self, run: Run) -> Path:
        """Folder of a run."""
        return self.runs / run.name

    def log(self, run: Run) -> Path:
        """What a run printed."""
        return self.runs / f"{run.name}.log"

    def record(self, run: Run) -> Path:
        """Counts of a finished run."""
        return self.records / f"{run.name}.json"

    def data(self, name: str, plan: DataPlan) -> Path:
        """Folder of the data set `name`, whether it is there or not."""
        if plan.environment and os.environ.get(plan.environment):
            return Path(os.environ[plan.environment])
        return self.runs / "data" / name if plan.synth else self.data_root / plan.folder

    def described(self, plan: DataPlan) -> Path | None:
        """Its dataset.toml, where that lies elsewhere."""
        return ROOT / plan.describe if plan.describe else None


def default_root() -> Path:
    """The environment's data root, or the folder beside the checkout."""
    return Path(os.environ.get(ENVIRONMENT) or Places.data_root)


def is_there(places: Places, name: str, plan: DataPlan) -> bool:
    """Whether the data set can be had: its folder is there, or it can be made."""
    return bool(plan.synth) or places.data(name, plan).is_dir()


def ready(places: Places, name: str, plan: DataPlan) -> DataSet:
    """The data set, opened; one that is synthetic is made first. DataError says where it was looked for."""
    folder = places.data(name, plan)
    if plan.synth and not folder.is_dir():
        from dis2_train.synth.make import synthesise

        synthesise(folder, plan.synth.kind, plan.synth.count, plan.synth.size, plan.synth.seed)
    if not folder.is_dir():
        raise DataError(
            f"{folder} is no folder",
            expected=f"the data set {name}",
            mend=f"name its folder by {plan.environment or ENVIRONMENT}, or its parent by --data-root",
        )
    data = open_dataset(folder, places.described(plan))
    if plan.synth and not _is_drawn_today(data, plan.synth):
        raise DataError(
            f"{folder} holds other scenes than today's plan and code draw: no run on them can be made again",
            mend="remove it, and the runs and records that were made with it",
        )
    return data


def _is_drawn_today(data: DataSet, synth: Synth) -> bool:
    """Whether the first scene is what `data synth` draws today."""
    from dis2_train.synth.make import draw

    found = data.read("val", data.ids("val")[0])
    drawn = draw(synth.kind, (synth.size, synth.size), synth.seed, "val", 0)
    pairs = [(found.frames[name], drawn.frames[name]) for name in drawn.frames]
    same = found.label is not None and np.array_equal(found.label, drawn.label)
    return same and all(np.array_equal(one, other, equal_nan=True) for one, other in pairs)
