"""Find how a folder of pictures is laid out: one pattern with `{split}` and `{id}` for each sensor, and for labels."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from dis2_edge.images import SUFFIXES

SPLIT_WORDS = {"train", "training", "val", "valid", "validation", "test", "testing", "dev", "samples"}
Patterns = dict[str, list[Path]]


def find_patterns(data: Path) -> Patterns:
    """Pattern -> the pictures below `data` that it stands for, in a fixed order.

    Files of one folder (the same folder of every split) are one pattern with `{id}`. Where one folder holds several
    sensors told apart by the last word of the name, each is one. Pictures right below `data` that are few and unlike
    are one scene: each is a pattern of its own, without `{id}`.
    """
    folders: dict[str, list[Path]] = {}
    paths = sorted(path for path in data.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    for path in paths:
        parts = list(path.relative_to(data).parts[:-1])
        split = next((index for index, part in enumerate(parts) if part.lower() in SPLIT_WORDS), None)
        if split is not None:
            parts[split] = "{split}"
        folders.setdefault("/".join([*parts, path.suffix]), []).append(path)
    patterns: Patterns = {}
    for place, files in folders.items():
        folder, _, suffix = place.rpartition("/")
        head = f"{folder}/" if folder else ""
        patterns.update(_by_last_word(head, suffix, files) or _whole(head, suffix, files))
    return _with_equal_ids(patterns)


def _by_last_word(head: str, suffix: str, files: list[Path]) -> Patterns:
    """`{id}_rgb.png` and `{id}_dsm.png` of one folder; nothing where names do not end so."""
    last = Counter(path.stem.rpartition("_")[2] for path in files if "_" in path.stem)
    even = set(last.values()) == {max(last.values(), default=0)}
    if not even or min(last.values(), default=0) < 2 or sum(last.values()) != len(files):
        return {}
    if any(word.isdigit() or re.search(r"\d{3}$", word) for word in last):  # numbers of frames, not sensors
        return {}
    if len(last) < 2 and head not in ("", "{split}/"):
        return {}
    return {f"{head}{{id}}_{word}{suffix}": [p for p in files if p.stem.endswith(f"_{word}")] for word in sorted(last)}


def _whole(head: str, suffix: str, files: list[Path]) -> Patterns:
    """All files of a folder as one pattern, or, right below the top, each as its own."""
    if head:
        return {f"{head}{{id}}{suffix}": files}
    patterns: Patterns = {}
    for path in files:
        words = re.split(r"([_\-.])", path.stem)
        name = "".join("{split}" if word.lower() in SPLIT_WORDS else word for word in words)
        patterns.setdefault(f"{name}{suffix}", []).append(path)
    return patterns


def _with_equal_ids(patterns: Patterns) -> Patterns:
    """Where ids differ between patterns, what all names of a pattern share at either end is taken out of the id."""
    ids = {pattern: {path.stem for path in files} for pattern, files in patterns.items() if "/{id}." in pattern}
    if len(ids) < 2 or len(set(map(frozenset, ids.values()))) == 1:
        return patterns
    trimmed = {}
    for pattern, files in patterns.items():
        if pattern in ids and len(ids[pattern]) > 1:
            front, back = _shared_ends(ids[pattern])
            pattern = pattern.replace("{id}", f"{front}{{id}}{back}")
        trimmed[pattern] = files
    return trimmed


def _shared_ends(names: set[str]) -> tuple[str, str]:
    """What all names begin and end with, up to a separator."""
    front, back = _shared_start(names), _shared_start({name[::-1] for name in names})[::-1]
    front = front[: len(front) - len(re.split(r"[_\-.]", front)[-1])]
    back = back[len(re.split(r"[_\-.]", back)[0]) :]
    return front, back


def _shared_start(names: set[str]) -> str:
    """The letters that all names begin with: those of the first and the last in order."""
    first, last = min(names), max(names)
    unlike = (place for place, (one, other) in enumerate(zip(first, last, strict=False)) if one != other)
    return first[: next(unlike, min(len(first), len(last)))]
