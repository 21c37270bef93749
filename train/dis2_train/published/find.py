"""Find the scenes of a benchmark in a folder of raw files, however deep the archives were unpacked."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dis2_edge.errors import DataError
from dis2_edge.splitting import held_back
from dis2_edge.terminal import warn
from dis2_train.published.benchmark import Benchmark, Variant

_SHOWN = 5
WHOLE = "scene"
BLOCKS = ("train", "val", "test")


@dataclass(frozen=True)
class Scene:
    """One scene, or one frame, and its files."""

    id: str
    """Its name in the benchmark."""
    splits: tuple[str, ...]
    """The split that it belongs to, then those that are parts of it; of blocks: every split."""
    frames: Mapping[str, Path]
    """Sensor name -> file."""
    label: Path
    """File of the labels."""


@dataclass(frozen=True)
class Chosen:
    """Which variant is taken of each sensor, and of the labels in each split."""

    sensors: Mapping[str, Variant]
    """Sensor name -> its files."""
    labels: Mapping[str, Variant]
    """Split -> its label files; under the empty name those of every other split."""

    def labels_of(self, split: str) -> Variant:
        """The label files of `split`."""
        return self.labels.get(split, self.labels[""])


class RawFiles:
    """All files below a folder, by name."""

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise DataError(f"{root} does not exist", expected="the folder with the unpacked archives")
        self.root = root
        self.paths = sorted(
            os.path.relpath(os.path.join(folder, name), root).replace(os.sep, "/")
            for folder, _, names in os.walk(root)
            for name in names
        )
        self._by_name: dict[str, list[str]] = {}
        for path in self.paths:
            self._by_name.setdefault(path.rpartition("/")[2].lower(), []).append(path)

    def first(self, patterns: Iterable[str], id_: str, split: str) -> Path | None:
        """The file that the best of `patterns` finds for an id; letter case does not matter."""
        for pattern in patterns:
            end = filled(pattern, id_, split).lower()
            shape = re.sub(r"\[|\?", r"[\g<0>]", end)  # of fnmatch's marks a pattern has but *
            for path in self._by_name.get(end.rpartition("/")[2], ()):
                if fnmatch.fnmatchcase(f"/{path.lower()}", f"*/{shape}"):
                    return self.root / path
        return None

    def ids(self, pattern: str, split: str = "") -> list[str]:
        """Every id for which `pattern` has a file."""
        shape = re.escape(pattern.replace("{split}", split)).replace(r"\*", "[^/]*")
        shape = shape.replace(r"\{id\}", "(?P<id>[^/]+)")
        found = (re.fullmatch(f"(?:.*/)?{shape}", path, re.IGNORECASE) for path in self.paths)
        return list(dict.fromkeys(match.groupdict().get("id") or WHOLE for match in found if match))

    def packed(self) -> list[str]:
        """Names of archives that nobody unpacked."""
        return [path.rpartition("/")[2] for path in self.paths if path.lower().endswith((".zip", ".tgz", ".tar.gz"))]


def filled(pattern: str, id_: str, split: str) -> str:
    """`pattern` with its words in place."""
    padded = re.sub(r"\d+", lambda number: number[0].zfill(2), id_)
    return pattern.replace("{id}", id_).replace("{padded}", padded).replace("{split}", split)


def scenes(raw: RawFiles, benchmark: Benchmark, chosen: Chosen, *, partial: bool = False) -> list[Scene]:
    """The scenes of every split, in a fixed order.

    DataError names the files that are missing; `partial` takes the scenes that are whole, and warns. A split other
    than train without a single label, as archives for participants have it, is left out with a warning.
    """
    found: list[Scene] = []
    missing: list[str] = []
    for split, ids in _ids(raw, benchmark, chosen).items():
        rows = [_scene(raw, chosen, id_, split) for id_ in ids]
        seen = any(len(frames) == len(chosen.sensors) for frames, _, _ in rows)
        if split[0] != "train" and seen and not any(label for _, label, _ in rows):
            warn(f"split {split[0]} is left out: its labels are not in {raw.root}")
            continue
        for id_, (frames, label, absent) in zip(ids, rows, strict=True):
            if absent or label is None:
                missing += absent
            else:
                found.append(Scene(id_, split, frames, label))
    first = next(iter(chosen.sensors.values())).files[0]
    _tell_missing(raw, missing or ([] if found else [first]), len(found), partial)
    return found


def _scene(
    raw: RawFiles, chosen: Chosen, id_: str, split: tuple[str, ...]
) -> tuple[dict[str, Path], Path | None, list[str]]:
    """Frames, label, and what is missing."""
    # A val that was kept back here lies in the folder of train.
    folder = "train" if split == ("val",) else split[0]
    wanted = {**chosen.sensors, "": chosen.labels_of(split[0])}
    files = {
        name: raw.first(row.files, id_, folder) or raw.first(row.files, id_, split[0]) for name, row in wanted.items()
    }
    absent = [filled(wanted[name].files[0], id_, folder) for name, path in files.items() if path is None]
    return {name: path for name, path in files.items() if path and name}, files[""], absent


def _ids(raw: RawFiles, benchmark: Benchmark, chosen: Chosen) -> dict[tuple[str, ...], list[str]]:
    """Splits that scenes belong to -> their ids."""
    split = benchmark.split
    if split.train:
        held = set(split.val)
        parts = {"train": [id_ for id_ in split.train if id_ not in held], "val": split.val, "test": split.test}
        return {(name,): list(ids) for name, ids in parts.items() if ids}
    if split.lists:
        return _listed(raw, benchmark)
    first = next(iter(chosen.sensors.values())).files[0]
    if split.block_px:
        return {BLOCKS: raw.ids(first)}
    return _in_folders(raw, benchmark, first)


def _listed(raw: RawFiles, benchmark: Benchmark) -> dict[tuple[str, ...], list[str]]:
    """Scenes by the lists that name them; a later list that names them again makes a part of a split."""
    owners: dict[str, tuple[str, ...]] = {}
    for name in benchmark.split.lists:
        path = raw.first((f"{name}.txt",), "", "")
        if path is None:
            raise DataError(f"{raw.root} has no {name}.txt", expected=f"the ids of split {name}, one a line")
        for id_ in dict.fromkeys(_words(path)):
            if not (benchmark.split.leave_out and id_.endswith(benchmark.split.leave_out)):
                owners[id_] = (*owners.get(id_, ()), name)
    parts: dict[tuple[str, ...], list[str]] = {}
    for id_, names in owners.items():
        parts.setdefault(names, []).append(id_)
    return parts


def _words(path: Path) -> list[str]:
    """The words of a text file; DataError where it is none. An editor of Windows may have put a mark before them."""
    try:
        return path.read_text("utf-8-sig").split()
    except (OSError, UnicodeDecodeError) as cause:
        raise DataError(f"{path} cannot be read as text ({cause})", expected="ids, one a line, in UTF-8") from cause


def _in_folders(raw: RawFiles, benchmark: Benchmark, pattern: str) -> dict[tuple[str, ...], list[str]]:
    split = benchmark.split
    parts = {name: raw.ids(pattern, name) for name in split.folders}
    if split.val_share and "val" not in parts:
        held = held_back(parts["train"], split.sequence_end, split.val_share)
        train = [id_ for id_ in parts.pop("train") if id_ not in held]
        parts = {"train": train, "val": sorted(held), **parts}
    return {(name,): ids for name, ids in parts.items() if ids}


def _tell_missing(raw: RawFiles, missing: list[str], whole: int, partial: bool) -> None:
    shown = f"{', '.join(missing[:_SHOWN])}{', ...' if len(missing) > _SHOWN else ''}"
    packed = raw.packed()
    unpack = f"unpack {', '.join(packed[:_SHOWN])} first" if packed else ""
    if not whole:
        raise DataError(f"{raw.root} holds no whole scene", expected=f"files like {shown}", mend=unpack)
    if missing and partial:
        warn(f"{len(missing)} files are missing, their scenes are left out: {shown}")
    elif missing:
        mend = unpack or "complete the folder, or say --partial to take the scenes that are whole"
        raise DataError(f"{raw.root} lacks {len(missing)} files: {shown}", mend=mend)
