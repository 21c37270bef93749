"""Find the samples of a described data set: splits, ids, and the file of every sensor and label for each id."""

from __future__ import annotations

import glob
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dis2_edge.description import SCENE, Description
from dis2_edge.errors import DataError
from dis2_edge.splitting import shared_out

_USUAL = ("train", "val", "test")
_SHOWN = 5
Tables = dict[str, dict[str, Path]]


@dataclass(frozen=True)
class Pair:
    """The files of one sample."""

    id: str
    """Name of the sample, one in its split."""
    frames: Mapping[str, Path]
    """Sensor name -> file."""
    label: Path | None
    """The label's file, where there are labels."""


def pairs(root: Path, description: Description) -> dict[str, tuple[Pair, ...]]:
    """Split -> its samples in the order of their ids, parts last; of `by = "block"` all, under the empty name.

    DataError on a missing folder, on ids that not every sensor (or the label) has, and on a split without samples.
    """
    if not root.is_dir():
        raise DataError(f"{root} does not exist", expected="the folder of a data set")
    if description.split.by == "block":
        return {"": _paired(root, description, "")}
    names = description.split.names or _found_splits(root, description)
    return shared_out({name: _paired(root, description, name) for name in names}, description.split)


def _found_splits(root: Path, description: Description) -> tuple[str, ...]:
    """Every split that a pattern finds, train, val and test first."""
    patterns = [description.split.list] if description.split.by == "list" else list(description.patterns.values())
    found = {split for pattern in patterns if "{split}" in pattern for split in _splits_of(root, pattern)}
    if not found and any("{split}" in pattern for pattern in patterns):
        raise DataError(f"{root}: no split found", expected=f"something like {patterns[0]}")
    usual = [name for name in _USUAL if name in found]
    return (*usual, *sorted(found.difference(_USUAL))) if found else ("all",)


def _splits_of(root: Path, pattern: str) -> set[str]:
    """The words that stand for `{split}`: of folders, even empty ones, where `{id}` has a folder; else of files."""
    folder = _fixed_folder(pattern)
    if "{split}" in folder and folder != "{split}":
        return {found["split"] for found in _matches(root, folder, split=None) if (root / found[0]).is_dir()}
    return {found["split"] for found in _matches(root, pattern, split=None)}


def _paired(root: Path, description: Description, split: str) -> tuple[Pair, ...]:
    """The samples of one split."""
    out = description.split.leave_out
    tables = {name: _files(root, pattern, split, name, out) for name, pattern in description.patterns.items()}
    _refuse_empty(root, description, split, tables)
    listed = _listed(root, description, split)
    keyed = _keyed(tables, listed)
    wanted = sorted(set().union(*keyed.values())) if listed is None else listed
    _refuse_unpaired(root, split, wanted, keyed)
    return tuple(
        Pair(id_, {name: keyed[name][id_] for name in keyed if name}, keyed[""][id_] if "" in keyed else None)
        for id_ in wanted
    )


def _files(root: Path, pattern: str, split: str, name: str, leave_out: str) -> dict[str, Path]:
    """Id -> file of one pattern; ids that end in `leave_out` are passed over."""
    folder = root / _fixed_folder(pattern.replace("{split}", split))
    if not folder.is_dir():
        who = f"sensor {name!r}" if name else "the labels"
        raise DataError(f"folder {folder} of {who} is missing", expected=f"files like {pattern}")
    files = {found.groupdict().get("id") or SCENE: root / found[0] for found in _matches(root, pattern, split)}
    return {id_: path for id_, path in files.items() if not (leave_out and id_.endswith(leave_out))}


def _fixed_folder(pattern: str) -> str:
    """The folders of a pattern before the one with `{id}`."""
    return "/".join(pattern.split("{id}")[0].split("/")[:-1])


def _matches(root: Path, pattern: str, split: str | None) -> list[re.Match[str]]:
    """Every path below `root` that fits `pattern`, as a match with groups `id` and, unless given, `split`."""
    wild = glob.escape(pattern).replace("{split}", "*" if split is None else glob.escape(split)).replace("{id}", "*")
    shape = re.escape(pattern)
    for word, value in (("split", split), ("id", None)):
        mark = re.escape(f"{{{word}}}")
        if value is not None:
            shape = shape.replace(mark, re.escape(value))
        else:
            shape = shape.replace(mark, f"(?P<{word}>[^/]+)", 1).replace(mark, f"(?P={word})")
    paths = sorted(path.relative_to(root).as_posix() for path in root.glob(wild))
    return [found for path in paths if (found := re.fullmatch(shape, path))]


def _keyed(tables: Tables, listed: list[str] | None) -> Tables:
    """The tables under the ids of the first one, or of the list, where they differ in leading zeros alone.

    Some published sets name one place `2_10` for one sensor and `02_10` for the other.
    """
    names = set(next(iter(tables.values()))) if listed is None else set(listed)
    bare = {_bare(id_): id_ for id_ in names}
    bare_tables = {name: {_bare(id_): path for id_, path in table.items()} for name, table in tables.items()}
    exact = all(names <= set(table) for table in tables.values())
    clear = len(bare) == len(names) and all(len(bare_tables[name]) == len(tables[name]) for name in tables)
    if exact or not clear or not all(set(bare) <= set(table) for table in bare_tables.values()):
        return tables
    return {name: {bare.get(key, key): path for key, path in table.items()} for name, table in bare_tables.items()}


def _bare(id_: str) -> str:
    """`id_` without leading zeros in its numbers."""
    return re.sub(r"0*(\d+)", r"\1", id_)


def _listed(root: Path, description: Description, split: str) -> list[str] | None:
    """The ids of a split's list, or None where splits are no lists."""
    if description.split.by != "list":
        return None
    path = root / description.split.list.replace("{split}", split)
    try:
        lines = path.read_text("utf-8-sig").splitlines()  # an editor of Windows may have put a mark
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} cannot be read ({error})", expected=f"the ids of split {split!r}, one a line"
        ) from error
    out = description.split.leave_out
    ids = [line.strip() for line in lines if line.strip() and not (out and line.strip().endswith(out))]
    if not ids:
        raise DataError(f"split {split!r} is empty: {path} names no sample")
    return list(dict.fromkeys(ids))


def _refuse_empty(root: Path, description: Description, split: str, tables: Tables) -> None:
    if not any(tables.values()):
        where = f"split {split!r} of {root}" if split else str(root)
        raise DataError(
            f"{where} is empty: no file fits",
            expected=", ".join(description.patterns.values()),
            mend="fill it, or name the splits to use: [split] names = [...]",
        )


def _refuse_unpaired(root: Path, split: str, wanted: list[str], tables: Tables) -> None:
    lost = {name or "labels": [id_ for id_ in wanted if id_ not in table] for name, table in tables.items()}
    told = "; ".join(
        f"{name} lacks {len(ids)} of {len(wanted)}: {', '.join(ids[:_SHOWN])}{', ...' if len(ids) > _SHOWN else ''}"
        for name, ids in lost.items()
        if ids
    )
    if told:
        raise DataError(
            f"unpaired names in split {split!r} of {root}: {told}",
            expected="every sensor and label to have each id",
            mend="remove the others, or correct the patterns",
        )
