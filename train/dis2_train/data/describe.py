"""Look at a folder of pictures and write the first draft of its `dataset.toml`."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dis2_edge.description import FILE
from dis2_edge.errors import DataError, StorageError
from dis2_edge.files import write_text
from dis2_edge.images import SUFFIXES, image_size, read_image, read_indices
from dis2_edge.labels import palette
from dis2_train.data.layout import SPLIT_WORDS, Patterns, find_patterns

_LABEL_WORDS = {"gt", "label", "labels", "mask", "masks", "annotation", "annotations", "truth", "target", "seg"}
_KIND_WORDS = {
    "height": {"dsm", "ndsm", "dem", "dtm", "chm", "height", "elevation", "depth", "lidar"},
    "thermal": {"ir", "tir", "lwir", "thermal", "infrared", "th", "flir"},
    "radar": {"sar", "radar", "s1", "vv", "vh"},
}


@dataclass(frozen=True)
class Draft:
    """A first description, and what was only guessed in it."""

    text: str
    """The TOML."""
    guesses: tuple[str, ...]
    """What a person should look at before trusting it."""


def describe(data: Path, out: Path | None = None) -> Draft:
    """Write a draft for the pictures below `data` to `out` (default: `dataset.toml` in it), and return it.

    Raises StorageError when `out` exists (it is never overwritten), DataError when no pictures are found.
    """
    out = out or data / FILE
    if out.exists():
        raise StorageError(f"{out} exists already", mend="remove it first, or write elsewhere: --out FILE")
    result = draft(data)
    write_text(out, result.text)
    return result


def draft(data: Path) -> Draft:
    """The draft for the pictures below `data`; nothing is written."""
    if not data.is_dir():
        raise DataError(f"{data} does not exist", expected="a folder of pictures")
    places = find_patterns(data)
    if not places:
        raise DataError(f"{data} holds no pictures", expected=", ".join(SUFFIXES))
    guesses: list[str] = []
    labels = {pattern: files for pattern, files in places.items() if _is_label(pattern)}
    sensors = _sensors({pattern: files for pattern, files in places.items() if pattern not in labels}, guesses)
    if not sensors:
        raise DataError(f"{data}: only labels found ({', '.join(labels)})", expected="at least one sensor")
    height, width = image_size(next(iter(sensors.values()))[0])
    total = sum(map(len, places.values()))
    lines = [
        f"# First draft of `dis2-edge data init`, from {total} pictures. Correct it, then: dis2-edge data check",
        f'name = "{_word(data.resolve().name)}"',
        *_label_lines(labels, guesses),
        f"grid = [{height}, {width}]",
        'alignment = "registered"',
        "",
        *_split_lines(data, places, guesses),
        "",
    ]
    for name, files in sensors.items():
        lines += _sensor_lines(name, files, (height, width), guesses)
    return Draft("\n".join(lines), tuple(guesses))


def _sensors(patterns: Patterns, guesses: list[str]) -> Patterns:
    """The patterns that are sensors of the samples, optical ones first; folders beside the splits are not."""
    split = any("{split}" in pattern for pattern in patterns)
    aside = [pattern for pattern in patterns if split and "{split}" not in pattern and "/" in pattern]
    if aside:
        guesses.append(f"left out, as they stand beside the splits: {', '.join(aside)}")
    kept = sorted(set(patterns).difference(aside), key=lambda pattern: (_kind(pattern) != "optical", pattern))
    return {pattern: patterns[pattern] for pattern in kept}


def _split_lines(data: Path, places: Patterns, guesses: list[str]) -> list[str]:
    """Splits as folders, or, where no folder is one, as the lists of ids that lie at the top of `data`."""
    lists = sorted(path for path in data.glob("*.txt") if path.stem.lower().split("_")[0] in SPLIT_WORDS)
    if not lists or any("{split}" in pattern for pattern in places):
        return ["[split]", 'by = "folder"']
    names = ", ".join(f'"{path.stem}"' for path in lists)
    guesses.append(
        f"splits: the lists {', '.join(path.name for path in lists)}; leave_out passes over ids by their end"
    )
    return ["[split]", 'by = "list"', f"names = [{names}]", 'list = "{split}.txt"']


def _is_label(pattern: str) -> bool:
    return bool(_words(pattern) & _LABEL_WORDS)


def _words(pattern: str) -> set[str]:
    return set(re.split(r"[^a-z0-9]+", pattern.replace("{split}", "").replace("{id}", "").lower()))


def _label_lines(labels: dict[str, list[Path]], guesses: list[str]) -> list[str]:
    """Classes and colours from the indices that the labels hold."""
    if not labels:
        guesses.append("no labels were found: classes and labels are yours to fill in")
        return ['classes = ["class_0", "class_1"]', 'labels = ""']
    pattern, files = max(labels.items(), key=lambda row: len(row[1]))
    if len(labels) > 1:
        guesses.append(f"labels: {pattern} was taken, {', '.join(sorted(set(labels) - {pattern}))} left out")
    colours, seen = _seen_colours(files), set()
    if not colours:
        seen = {int(index) for path in _some(files, 200) for index in np.unique(read_indices(path))}
    classes = len(colours) or max((index for index in seen if index < 250), default=0) + 1
    rest = sorted(index for index in seen if index >= 250)
    guesses.append(f"classes: {classes} were seen in {len(_some(files, 200))} labels; give them their names")
    shown = ", ".join(f'"{colour}"' for colour in (colours or palette(classes)))
    names = ", ".join(f'"class_{index}"' for index in range(classes))
    return [
        f"classes = [{names}]",
        f"colours = [{shown}]",
        f"ignore = {rest[0] if rest else 255}",
        f'labels = "{pattern}"',
    ]


def _seen_colours(files: list[Path]) -> tuple[str, ...]:
    """Where labels are colour pictures: their colours, the commonest first; else nothing."""
    counts: Counter[int] = Counter()
    for path in _some(files):
        array = read_indices(path)
        if array.ndim != 3:
            return ()
        packed, number = np.unique(array.astype(np.uint32) @ np.array([65536, 256, 1], np.uint32), return_counts=True)
        counts.update(dict(zip(packed.tolist(), number.tolist(), strict=True)))
    if len(counts) > 64:
        raise DataError(f"{files[0]}: {len(counts)} colours", expected="a label picture with a colour for each class")
    return tuple(f"#{colour:06x}" for colour, _ in counts.most_common())


def _sensor_lines(pattern: str, files: list[Path], size: tuple[int, int], guesses: list[str]) -> list[str]:
    """The table of one sensor."""
    frames = [read_image(path) for path in _some(files)]
    kind, name = _kind(pattern), _name(pattern)
    dtype = frames[0].dtype.name
    guesses.append(f"sensor {name}: kind {kind}")
    if frames[0].shape[2] == 4:
        guesses.append(
            f"sensor {name}: 4 bands; where the fourth is another sensor's, such as thermal, say bands = [1, 2, 3] "
            "here and [4] in a sensor of its own"
        )
    lines = [f"[sensors.{name}]", f'kind = "{kind}"', f'path = "{pattern}"', f'dtype = "{dtype}"']
    lines.append('unit = "metres"' if kind == "height" and dtype == "float32" else 'unit = "DN"')
    if dtype != "uint8":
        finite = [frame[np.isfinite(frame)] for frame in frames]
        values = np.concatenate([part.astype(np.float64) for part in finite if part.size] or [np.zeros(1)])
        low, high = _valid_range(values)
        if frames[0].dtype.kind == "u":
            low, high = max(low, 0.0), min(high, float(np.iinfo(dtype).max))
        guesses.append(
            f"sensor {name}: valid range {low:g}..{high:g}, from {len(frames)} pictures; what is outside is a hole"
        )
        lines += [f"valid_min = {low}", f"valid_max = {high}"]
    if any(frame.shape[:2] != size for frame in frames):
        guesses.append(f"sensor {name}: frames of another size than the grid; see `fit` and `alignment`")
    return [*lines, ""]


def _valid_range(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> tuple[float, float]:
    """A range with room around the values that were seen; far outliers, as no-data marks are, stay out of it."""
    low, high = np.percentile(values, [1, 99])
    room = 3 * max(high - low, 1.0)
    inside = values[(values >= low - room) & (values <= high + room)]
    spread = max(float(inside.max() - inside.min()), 1.0)
    return round(float(inside.min()) - 0.5 * spread, 2), round(float(inside.max()) + 0.5 * spread, 2)


def _kind(pattern: str) -> str:
    words = _words(pattern)
    found = next((kind for kind, known in _KIND_WORDS.items() if words & known), None)
    return found or "optical"


def _name(pattern: str) -> str:
    """The sensor's name: the folder that holds its files, or the file of a single scene."""
    parts = [part for part in pattern.split("/")[:-1] if part != "{split}"]
    file = pattern.rpartition("/")[2].rsplit(".", 1)[0].replace("{split}", "").replace("{id}", "")
    return _word(parts[-1] if parts else file) or "camera"


def _word(text: str) -> str:
    """`text` as a lower-case word."""
    word = re.sub(r"[^a-z0-9_]+", "_", text.lower()).strip("_")
    return word if not word or word[0].isalpha() else f"s_{word}"


def _some(files: list[Path], number: int = 12) -> list[Path]:
    """A few files, spread over all."""
    return files[:: -(-len(files) // number)]
