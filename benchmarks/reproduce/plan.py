"""The plan: the table's rows as data, read from plan.toml, and the runs that they stand for, in order."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from dis2_edge import recipe as recipes
from dis2_edge.errors import RecipeError
from dis2_edge.files import read_toml
from dis2_edge.recipe import Recipe
from dis2_edge.settings import from_table

ROOT = Path(__file__).resolve().parents[2]
"""The checkout; paths of a plan start there."""
FILE = Path(__file__).with_name("plan.toml")
_NOT_TRAINING = {
    "seed",
    "threads",
    "workers",
    "tune_above",
    "quantize_epochs",
    "quantize_learning_rate",
    "calibration_images",
    "observer",
    "quantize_lesson",
    "learned_scales",
    "quantize_freeze_norms",
}
"""Keys that two recipes of one row may differ in.

Quantisation comes later, threads move the last digits only, workers nothing at all.
"""
OF_DIS2 = {
    "shared",
    "hierarchical",
    "disentangle_weight",
    "distill_weight",
    "distill_balance",
    "distill_features",
    "distill_after",
}
"""Keys that no other network than DIS2 reads: what they say of another one is no difference."""
OF_CSKNET = {
    "optical",
    "shared_convs",
    "norms",
    "channel_exchange",
    "exchange_threshold",
    "exchange_pressure",
    "strip_exchange",
    "gated_fusion",
    "texture_weight",
    "texture",
    "texture_into",
    "contrast_weight",
    "contrast_temperature",
    "contrast_share",
    "contrast_bank",
}
"""Keys that no other network than CSK-Net reads."""
_READ_BY = [
    (OF_DIS2, {"dis2"}),
    (OF_CSKNET, {"csknet"}),
    ({"every_scenario"}, {"dis2", "csknet"}),
    ({"output_stride", "pyramid_rates"}, {"csknet", "deeplabv3"}),
]
"""Keys, and the networks that read them."""


@dataclass(frozen=True)
class Synth:
    """A data set that the plan makes itself, with `data synth`."""

    kind: Literal["aerial", "thermal"]
    """Kind of scenes."""
    count: int
    """Number of scenes."""
    size: int
    """Side in pixels."""
    seed: int
    """Another seed gives other scenes."""


@dataclass(frozen=True)
class DataPlan:
    """A data set of the plan."""

    title: str
    """Heading of its table."""
    sensors: tuple[str, ...]
    """The sensors that are compared, in recipe order."""
    split: str
    """The split that every finished run is judged on."""
    final: str = ""
    """The split that is looked at on request only (`--test`); empty where there is none besides `split`."""
    bar: str = ""
    """The class whose IoU the bar is about; empty takes the mean over classes."""
    folder: str = ""
    """Its folder below the data root; empty for a set that is made."""
    environment: str = ""
    """Variable of the environment that names its folder elsewhere."""
    describe: str = ""
    """Path of its dataset.toml, where that does not lie in the folder."""
    synth: Synth | None = None
    """How it is made."""
    note: str = ""
    """What a reader of its table has to know."""

    def __post_init__(self) -> None:
        if bool(self.folder) == bool(self.synth):
            raise RecipeError(f"data set {self.title!r}", expected="either folder or synth")


@dataclass(frozen=True)
class Row:
    """A recipe of the plan; with each seed it is one run."""

    data: str
    """Its data set."""
    name: str
    """Name of its runs, one in the data set."""
    group: str
    """Line of the table. Rows of one sensor each may share a line."""
    recipe: str
    """Path of its recipe."""
    role: Literal["ours", "paper", "single", "rival", "ablation"] = "rival"
    """What the verdict takes it for: ours is held against every single, and against paper."""
    set: tuple[str, ...] = ()
    """Changes to the recipe, `key=value` each."""
    against: str = ""
    """Of paper: the line that is held against it; empty takes ours."""
    stage: int = 1
    """Runs of an earlier stage are made first, all seeds of them."""
    teacher: str = ""
    """Row of the same data and an earlier stage whose run of the same seed teaches this one; empty trains a teacher."""

    def resolved(self, seed: int, threads: int = 0) -> Recipe:
        """The recipe of the run of `seed`."""
        return recipes.load(ROOT / self.recipe, (*self.set, f"seed={seed}", f"threads={threads}"))


@dataclass(frozen=True)
class Run:
    """One row with one seed."""

    row: Row
    """What is trained."""
    seed: int
    """Seed of weights, batches and augmentation."""

    @property
    def name(self) -> str:
        """`DATA/ROW-sSEED`: its place below the folder of runs, and below that of records."""
        return f"{self.row.data}/{self.row.name}-s{self.seed}"


@dataclass(frozen=True)
class Plan:
    """All rows."""

    seeds: tuple[int, ...]
    """Seeds of every row."""
    data: dict[str, DataPlan]
    """Data sets by name."""
    row: tuple[Row, ...] = field(default=())
    """In the order of the tables."""

    def __post_init__(self) -> None:
        names = [(row.data, row.name) for row in self.row]
        for row in self.row:
            if row.data not in self.data:
                raise RecipeError(f"row {row.name!r} is of data {row.data!r}", expected=" or ".join(self.data))
            if names.count((row.data, row.name)) > 1:
                raise RecipeError(f"two rows of {row.data} are named {row.name!r}", expected="each name once")

    def runs(self, only: str = "") -> list[Run]:
        """What is decisive first: by stage, then seed by seed, then as the plan lists them.

        `only` keeps the runs whose name it matches: a part of the name, or a pattern with * or ?.
        """
        pattern = only if any(mark in only for mark in "*?[") else f"*{only}*"
        made = [Run(row, seed) for row in self.row for seed in self.seeds]
        chosen = [run for run in made if fnmatch.fnmatchcase(run.name, pattern)]
        if not chosen:
            raise RecipeError(f"no run of the plan is like {only!r}", mend="see: python -m benchmarks.reproduce --list")
        return sorted(chosen, key=lambda run: (run.row.stage, self.seeds.index(run.seed)))

    def find(self, name: str) -> Run:
        """The run of exactly that `name`."""
        found = {run.name: run for run in self.runs()}
        if name not in found:
            raise RecipeError(f"the plan has no run {name!r}", mend="see: python -m benchmarks.reproduce --list")
        return found[name]

    def rows_of(self, data: str) -> list[Row]:
        """The rows of the data set `data`."""
        return [row for row in self.row if row.data == data]


def load(file: Path = FILE) -> Plan:
    """Read a plan; RecipeError names what does not fit."""
    return from_table(Plan, read_toml(file, RecipeError), where=str(file))


def differences(found: Mapping[str, Any], wanted: Recipe) -> list[str]:
    """What the recipe table `found` says of training otherwise than `wanted`; a key that it lacks has its default."""
    defaults = recipe_table(Recipe())
    asked = recipe_table(wanted)
    unread = _NOT_TRAINING.union(*(keys for keys, readers in _READ_BY if wanted.network not in readers))
    keys = [key for key in dict.fromkeys([*asked, *found]) if key not in unread]
    pairs = {key: (_listed(found.get(key, defaults.get(key))), asked.get(key)) for key in keys}
    return [f"{key} = {then!r}, not {now!r}" for key, (then, now) in pairs.items() if then != now]


def recipe_table(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain values, tuples as lists, as JSON gives them back."""
    return {key: _listed(getattr(recipe, key)) for key in Recipe.__dataclass_fields__}


def _listed(value: Any) -> Any:
    return [_listed(item) for item in value] if isinstance(value, Sequence) and not isinstance(value, str) else value
