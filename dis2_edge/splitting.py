"""Splits made of splits: a val kept back from train, whole recordings at a time, and parts such as day and night."""

from __future__ import annotations

import fnmatch
import hashlib
from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

from dis2_edge.description import Split


class Named(Protocol):
    """Anything with an id."""

    @property
    def id(self) -> str:
        """Name of a sample."""


T = TypeVar("T", bound=Named)


def shared_out(found: Mapping[str, tuple[T, ...]], split: Split) -> dict[str, tuple[T, ...]]:
    """`found`, split -> samples, with what `split` makes of them: see `Split.val_share` and `Split.parts`.

    A part is named SPLIT_PART and holds samples that its split holds too. A split of that name which was found, such
    as a published list `test_night.txt`, stays as it is and has no parts; a part without samples is left out.
    """
    whole = _with_val(found, split)
    ends = tuple(f"_{part}" for part in split.parts)
    parts = {
        f"{name}_{part}": tuple(sample for sample in samples if fnmatch.fnmatchcase(sample.id, pattern))
        for name, samples in whole.items()
        for part, pattern in split.parts.items()
        if not name.endswith(ends)
    }
    return {**whole, **{name: samples for name, samples in parts.items() if samples and name not in whole}}


def held_back(ids: Sequence[str], end: str, share: float) -> set[str]:
    """About `share` of `ids`: whole sequences, in an order drawn from their names; of one sequence its last frames.

    `end` is what ends the name of a sequence within an id; empty: every id stands for itself.
    """
    sequences: dict[str, list[str]] = {}
    for id_ in ids:
        sequences.setdefault(id_.partition(end)[0] if end else id_, []).append(id_)
    if len(sequences) < 2:
        return set(ids[len(ids) - round(share * len(ids)) :])
    order = sorted(sequences, key=lambda name: hashlib.sha256(name.encode()).digest())
    held: set[str] = set()
    for name in order[:-1]:
        if len(held) + len(sequences[name]) / 2 <= share * len(ids) or not held:
            held.update(sequences[name])
    return held


def _with_val(found: Mapping[str, tuple[T, ...]], split: Split) -> dict[str, tuple[T, ...]]:
    if not split.val_share or "val" in found or "train" not in found:
        return dict(found)
    held = held_back([sample.id for sample in found["train"]], split.sequence_end, split.val_share)
    parts = {
        "train": tuple(sample for sample in found["train"] if sample.id not in held),
        "val": tuple(sample for sample in found["train"] if sample.id in held),
    }
    others = {name: samples for name, samples in found.items() if name != "train"}
    return {name: samples for name, samples in {**parts, **others}.items() if samples}
