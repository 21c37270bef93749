"""The layout of a benchmark as it is distributed: names, bands, colours, splits. A table of facts, read from TOML."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from dis2_edge.errors import DataError
from dis2_edge.files import parse_toml, read_toml
from dis2_edge.sensors import Dtype, Kind
from dis2_edge.settings import from_table, nearest

NAMES = ("potsdam", "vaihingen", "mfnet", "pst900")
_READ_AS_IT_IS = ("msrs",)
"""Known, and so laid out that a description alone reads it."""


@dataclass(frozen=True)
class Variant:
    """One of the sets of files that a sensor, or the labels, may be taken from."""

    files: tuple[str, ...]
    """Ends of paths below RAW, the best first: `{id}`, `{padded}` (02_10 for 2_10), `{split}`, and `*` in a folder."""
    bands: tuple[int, ...] = ()
    """Bands of the file, the first being 1; empty takes all."""
    alpha_band: int = 0
    """Band that is 0 where the picture has no data, as mosaics of drones have it; 0: there is none."""
    scale: float = 1.0
    """Unit of one stored value, such as 0.1 metres a grey value; 0 where it is not published and must be told."""
    ground_m: float = 0.0
    """Above 0: the ground is estimated by an opening of this width in metres, and taken off."""
    dtype: Dtype | None = None
    """Type of the tiles, where it differs from the sensor's."""
    valid_min: float | None = None
    """Smallest value that is no hole, where it differs from the sensor's."""
    valid_max: float | None = None
    """Largest value that is no hole, where it differs from the sensor's."""
    about: str = ""
    """Where the values come from, in a sentence, for the record."""


@dataclass(frozen=True)
class SensorLayout:
    """One sensor of the prepared data set."""

    kind: Kind
    """optical, height, radar or thermal."""
    dtype: Dtype
    """Type of the tiles: uint8 and uint16 become PNG, float32 GeoTIFF."""
    unit: str
    """Unit of a value."""
    valid_min: float
    """Smallest value that is no hole."""
    valid_max: float
    """Largest value that is no hole."""
    variants: dict[str, Variant]
    """Name of a variant -> its files; the first is taken when nothing is said."""


@dataclass(frozen=True)
class SplitLayout:
    """How scenes come to splits. One of: ids, lists, folders, blocks."""

    train: tuple[str, ...] = ()
    """Ids of the published training part, less those of val."""
    val: tuple[str, ...] = ()
    """Ids kept back from training."""
    test: tuple[str, ...] = ()
    """Ids of the published test part."""
    lists: tuple[str, ...] = ()
    """Names of splits whose ids stand in `NAME.txt`; a split that names scenes of an earlier one is a part of it."""
    folders: tuple[str, ...] = ()
    """Names of splits that are folders: `{split}` of the patterns."""
    leave_out: str = ""
    """End of ids that are left out, such as copies that were flipped beforehand."""
    val_share: float = 0.0
    """Of folders: the share of train that becomes val, whole sequences at a time."""
    sequence_end: str = ""
    """Of folders: what ends the name of a sequence within an id; frames of a sequence stay in one split."""
    block_px: int = 0
    """Side of blocks of a scene that go to train, val and test (0.7, 0.15, 0.15) whole."""


@dataclass(frozen=True)
class Benchmark:
    """All that must be known of a benchmark to prepare it."""

    name: str
    """Name of the data set that is made."""
    about: str
    """What it is and where it is asked for."""
    terms: str
    """Its licence or terms in a word."""
    classes: tuple[str, ...]
    """Names of the classes."""
    colours: tuple[str, ...]
    """Their colours, `#rrggbb`: as they stand in the labels, or, where those are indices, for showing."""
    sensors: dict[str, SensorLayout]
    """Sensors in the order of scenarios. The first one's pixels are the grid that the others are laid on."""
    labels: dict[str, Variant]
    """Name of a variant -> files of the labels; the first is taken when nothing is said."""
    split: SplitLayout
    """How scenes come to splits."""
    label_values: str = "colours"
    """colours or indices: what the labels hold."""
    ignored: dict[str, str] = field(default_factory=dict)
    """What is no class and is ignored, and counted by this name: a colour, or an index as text."""
    tile: int = 0
    """Usual side of a tile in pixels; 0 keeps frames whole."""
    pixel_m: float = 0.0
    """Side of a ground pixel in metres, for files that carry no georeference; 0 is unknown."""
    epsg: int = 0
    """Reference system, for files that do not name it; 0 is unknown."""
    colour_tolerance: int = 8
    """How far each of red, green and blue may lie off a colour and still mean it."""


def load(name: str) -> Benchmark:
    """The benchmark called `name`, or the one that the TOML file of that path describes; DataError otherwise."""
    if name in NAMES:
        text = resources.files("dis2_train.published").joinpath(f"{name}.toml").read_text("utf-8")
        table, where = parse_toml(text), f"{name}.toml"
    elif name.endswith(".toml"):
        table, where = read_toml(Path(name), DataError), name
    elif name in _READ_AS_IT_IS:
        found = f"{name} needs no preparing"
        raise DataError(found, mend=f"dis2-edge data check RAW --describe train/datasets/{name}.toml")
    else:
        raise DataError(f"no benchmark {name!r}", expected="a known one or a file .toml", mend=nearest(name, NAMES))
    benchmark = from_table(Benchmark, table, where=where, error=DataError)
    _check(benchmark, where)
    return benchmark


def variant_of(variants: dict[str, Variant], name: str | None, what: str) -> tuple[str, Variant]:
    """Name and files of the variant called `name`, or the first; DataError when `what` has none of that name."""
    chosen = next(iter(variants)) if name is None else name
    if chosen not in variants:
        raise DataError(f"{what} has no variant {chosen!r}", expected=" or ".join(variants))
    return chosen, variants[chosen]


def _check(benchmark: Benchmark, where: str) -> None:
    split = benchmark.split
    ways = [bool(split.train), bool(split.lists), bool(split.folders), split.block_px > 0]
    problems = (
        (not benchmark.sensors or not benchmark.labels, "no sensors or no labels", "tables of both"),
        (len(benchmark.colours) != len(benchmark.classes), f"{len(benchmark.colours)} colours", "one a class"),
        (benchmark.label_values not in ("colours", "indices"), "label_values", "'colours' or 'indices'"),
        (sum(ways) != 1, f"{sum(ways)} ways to split", "one of train (ids), lists, folders, block_px"),
        (
            not all(row.variants for row in benchmark.sensors.values()),
            "a sensor without files",
            "a table [sensors.NAME.variants.NAME]",
        ),
    )
    for wrong, found, expected in problems:
        if wrong:
            raise DataError(f"{where}: {found}", expected=expected)
