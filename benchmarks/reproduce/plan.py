"""The plan: the table's rows as data, read from plan.toml, and the runs that they stand for, in order."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from dis2_edge import recipe as recipes
from dis2_edge.errors import RecipeError
from dis2_edge.files import read_toml
from dis2_edge.recipe import Recipe
from dis2_edge.settings import from_table, nearest

ROOT = Path(__file__).resolve().parents[2]
"""The checkout; paths of a plan start there."""
FILE = Path(__file__).with_name("plan.toml")


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
    infrared: str = ""
    """The sensor that is CSK-Net's infrared one, or stands in its place; empty where no row is CSK-Net's."""
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
    parts: tuple[str, ...] = ()
    """Parts of the images that have a table, by what their ids end in: `night` for `00002_night`."""
    called: dict[str, str] = field(default_factory=dict)
    """Sensor -> what the README calls it."""

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
    family: Literal["dis2", "csknet"] = "dis2"
    """Whose it is: ours is held against the singles and ablations of its own family alone; rivals are everybody's."""
    set: tuple[str, ...] = ()
    """Changes to the recipe, `key=value` each."""
    against: str = ""
    """Of paper: the line that is held against it; empty takes ours."""
    stage: int = 1
    """Runs of an earlier stage are made first, all seeds of them."""
    front: str = ""
    """What the README's table calls its line; empty leaves it out of there."""
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
            if row.teacher:
                self._check_teacher(row)

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

    def teacher_of(self, run: Run) -> Run | None:
        """The run that teaches `run`: of the same seed; None where the plan has none for it."""
        return self.find(f"{run.row.data}/{run.row.teacher}-s{run.seed}") if run.row.teacher else None

    def rows_of(self, data: str) -> list[Row]:
        """The rows of the data set `data`."""
        return [row for row in self.row if row.data == data]

    def _check_teacher(self, row: Row) -> None:
        told = f"row {row.data}/{row.name} is taught by {row.teacher!r}"
        named = [other for other in self.row if other.name == row.teacher]
        if not named:
            raise RecipeError(
                f"{told}, which is no row", mend=nearest(row.teacher, {r.name for r in self.row} - {row.name})
            )
        found = [other for other in named if other.data == row.data]
        if not found:
            raise RecipeError(f"{told}, a row of {named[0].data} alone", expected=f"a row of {row.data}")
        if found[0].stage >= row.stage:
            raise RecipeError(f"{told}, of stage {found[0].stage}", expected=f"a stage before its own, {row.stage}")


def load(file: Path = FILE) -> Plan:
    """Read a plan; RecipeError names what does not fit."""
    return from_table(Plan, read_toml(file, RecipeError), where=str(file))
