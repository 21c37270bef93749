"""Which samples to look at where all splits are looked at: each place once, and of many a few."""

from __future__ import annotations

import numpy as np

from dis2_edge.dataset import DataSet


def holders(dataset: DataSet, *, labels: bool) -> dict[str, dict[str, list[str]]]:
    """Split -> id -> every split that holds the same files, for the first split that does.

    A part such as `test_night` holds samples of `test`; so do lists that were published beside it. With `labels`,
    what differs in its labels alone is another sample, as of one scene whose polygons are shared out to splits.
    """
    first: dict[tuple[object, ...], tuple[str, str]] = {}
    found: dict[str, dict[str, list[str]]] = {}
    for split in dataset.splits:
        for id_ in dataset.ids(split):
            pair = dataset.entry(split, id_).pair
            owner, name = first.setdefault((id_, *pair.frames.values(), pair.label if labels else None), (split, id_))
            found.setdefault(owner, {}).setdefault(name, []).append(split)
    return found


def each_once(dataset: DataSet) -> dict[str, list[str]]:
    """Split -> its ids, without those whose frames an earlier split holds."""
    return {split: list(ids) for split, ids in holders(dataset, labels=False).items()}


def spread(names: list[str], most: int) -> list[str]:
    """At most `most` of `names`, evenly from the first to the last."""
    chosen = np.unique(np.linspace(0, len(names) - 1, min(most, len(names))).round().astype(int))
    return [names[index] for index in chosen]
