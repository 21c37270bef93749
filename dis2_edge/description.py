"""The description of a data set: what `dataset.toml` may say, checked as it is read."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from dis2_edge.errors import DataError
from dis2_edge.files import read_toml
from dis2_edge.lens import Lens
from dis2_edge.sensors import IDENTITY, Dtype, Fit, Kind
from dis2_edge.settings import from_table

FILE = "dataset.toml"
SCENE = "scene"


@dataclass(frozen=True)
class Split:
    """How the samples are shared out to splits: the table `[split]`."""

    by: Literal["folder", "list", "block"] = "folder"
    """folder: `{split}` of the patterns; list: a text file of ids a split; block: blocks of one or more big scenes."""
    names: tuple[str, ...] = ()
    """The splits to use; empty takes all that are found."""
    list: str = "{split}.txt"
    """Of list: pattern of the files that hold one id a line."""
    leave_out: str = ""
    """Of folder and list: end of ids that are left out, such as `_flip` of copies that were mirrored beforehand."""
    val_share: float = 0.0
    """Of folder and list: share of train that becomes val, whole recordings at a time, where there is no val."""
    sequence_end: str = ""
    """With val_share: what ends the name of a recording within an id; empty takes every id for itself."""
    parts: dict[str, str] = field(default_factory=dict)
    """Of folder and list: name of a part -> pattern of its ids with `*`; split `test` gets a part `test_NAME` each."""
    block_px: int = 0
    """Of block: side of a block in pixels, at least the grid's."""
    train: float = 0.7
    """Of block: share of the blocks for training."""
    val: float = 0.15
    """Of block: share of the blocks for validation."""
    test: float = 0.15
    """Of block: share of the blocks for the test."""

    @property
    def shares(self) -> dict[str, float]:
        """Of block: split -> share, those above 0."""
        return {name: share for name in ("train", "val", "test") if (share := getattr(self, name)) > 0}


@dataclass(frozen=True)
class SensorTable:
    """One table `[sensors.NAME]`. What is left out is taken from the first file, or from the kind's habit."""

    kind: Kind
    """optical, height, radar or thermal."""
    path: str
    """Pattern of its files below DATA, with `{split}` and `{id}`."""
    bands: tuple[int, ...] = ()
    """Which of the file's bands to take, the first being 1; empty takes all."""
    dtype: Dtype | None = None
    """Type of a frame's values; None takes the file's."""
    unit: str = ""
    """Unit of a value; empty takes DN, metres for heights, decibel for radar in float32."""
    valid_min: float | None = None
    """Smallest value that is no hole; None takes the type's smallest, or the kind's for float32."""
    valid_max: float | None = None
    """Largest value that is no hole."""
    inverted: tuple[str, ...] = ()
    """Paths below DATA, with `*`, of files whose scale runs the other way, such as black-hot frames of a thermal
    camera: they are mirrored in the valid range as they are read."""
    mean: tuple[float, ...] = ()
    """Per-channel mean, when it shall not be measured."""
    std: tuple[float, ...] = ()
    """Per-channel standard deviation, when it shall not be measured."""
    rate_hz: float = 10.0
    """Nominal rate in flight."""
    max_age_ms: float = 250.0
    """Oldest frame that a tick may use, in milliseconds."""
    pause_ms: float = 0.0
    """Longest pause that the sensor takes by itself in flight, in milliseconds."""
    pause_every_s: float = 0.0
    """Shortest time from one such pause to the next, in seconds."""
    size: tuple[int, int] = (0, 0)
    """Native height and width; frames of another size are refused. (0, 0) does not say."""
    to_grid: tuple[float, ...] = IDENTITY
    """3x3 homography, row by row, from native pixels to grid pixels."""
    fit: Fit | None = None
    """resize, crop or tile; None expects frames of the grid's size, or resizes where alignment is declared."""
    lens: Lens | None = None
    """Distortion to be taken out on the way to the grid."""


@dataclass(frozen=True)
class Description:
    """The whole of a `dataset.toml`."""

    classes: tuple[str, ...]
    """Name of each class; its place is its index in the labels."""
    sensors: dict[str, SensorTable]
    """One table a sensor; their order is the order of scenarios."""
    name: str = ""
    """Name of the data set; empty takes the folder's."""
    colours: tuple[str, ...] = ()
    """One `#rrggbb` a class; empty takes a palette of our own."""
    ignore: int = 255
    """Index in the labels that stands for no class."""
    labels: str = ""
    """Pattern of the label pictures: class indices, or the classes' colours. Empty: there are none."""
    labels_like: str = ""
    """Where alignment is declared: the sensor whose geometry the labels have; empty resizes them to the grid."""
    grid: tuple[int, int] = (0, 0)
    """Height and width of the network's input; (0, 0) takes the size of the first file."""
    alignment: Literal["registered", "declared"] = "registered"
    """registered: pixel for pixel, all of one size; declared: each sensor says size, to_grid and fit."""
    split: Split = field(default_factory=Split)
    """How the samples are shared out."""

    @property
    def patterns(self) -> dict[str, str]:
        """The sensors' patterns and, under the empty name, the labels'."""
        patterns = {name: table.path for name, table in self.sensors.items()}
        return {**patterns, "": self.labels} if self.labels else patterns


def load(path: Path) -> Description:
    """Read and check the description at `path`; DataError when it is missing or says what cannot be."""
    if not path.is_file():
        raise DataError(
            f"{path} does not exist", expected="a description of the data set", mend="dis2-edge data init DATA"
        )
    description = from_table(Description, read_toml(path, DataError), where=str(path), error=DataError)
    _check(description, path)
    return description


def _check(description: Description, path: Path) -> None:
    problems = (
        (not description.sensors, "no sensors", "a table [sensors.NAME] for each"),
        (bool(description.colours) and len(description.colours) != len(description.classes), "colours", "one a class"),
        (
            bool(description.labels_like) and description.labels_like not in description.sensors,
            f"labels_like {description.labels_like!r}",
            "the name of a sensor",
        ),
        (
            description.split.by == "block" and description.split.block_px < 1,
            f"block_px {description.split.block_px}",
            "the side of a block in pixels",
        ),
        (not 0 <= description.split.val_share < 1, f"val_share {description.split.val_share}", "0 to below 1"),
        (
            description.split.by == "block" and bool(_derived(description.split)),
            f"{', '.join(_derived(description.split))} with blocks",
            'by = "folder" or "list"',
        ),
        (min(description.grid) < 1 and description.grid != (0, 0), f"grid {description.grid}", "[height, width]"),
    )
    for wrong, found, expected in problems:
        if wrong:
            raise DataError(f"{path}: {found}", expected=expected)
    if description.alignment == "registered":
        fits = {table.fit for table in description.sensors.values()}
        bent = [name for name, table in description.sensors.items() if table.to_grid != IDENTITY or table.lens]
        if len(fits) > 1 or bent:
            raise DataError(
                f"{path}: sensors that come to the grid in different ways ({', '.join(bent) or 'fit'})",
                expected="one way for all, as they are registered",
                mend='set alignment = "declared"',
            )


def _derived(split: Split) -> list[str]:
    """The keys that are said of `split` and that make splits of splits."""
    return [key for key in ("leave_out", "val_share", "sequence_end", "parts") if getattr(split, key)]


def valid_range(table: SensorTable, dtype: Dtype) -> tuple[float, float]:
    """Smallest and largest value that is no hole, as stated or as the type and kind suggest."""
    habits: dict[Any, tuple[float, float]] = {
        "uint8": (0.0, 255.0),
        "uint16": (0.0, 65535.0),
        "height": (-500.0, 9000.0),
        "radar": (-100.0, 100.0),
    }
    low, high = habits.get(dtype) or habits.get(table.kind) or (-1e6, 1e6)
    return (
        low if table.valid_min is None else table.valid_min,
        high if table.valid_max is None else table.valid_max,
    )


def usual_unit(table: SensorTable, dtype: Dtype) -> str:
    """The unit as stated, or as the kind and type suggest."""
    habit = {"height": "metres", "radar": "decibel", "thermal": "kelvin"} if dtype == "float32" else {}
    return table.unit or habit.get(table.kind, "DN")
