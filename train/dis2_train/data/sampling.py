"""A few samples of every split, each place once: what a look at a data set needs when all of it would take long."""

from __future__ import annotations

import numpy as np

from dis2_edge.dataset import DataSet


def each_once(dataset: DataSet) -> dict[str, list[str]]:
    """Split -> its ids, without those that an earlier split holds: parts such as `test_night` fall away."""
    seen = set()
    found: dict[str, list[str]] = {}
    for split in dataset.splits:
        for id_ in dataset.ids(split):
            place = (id_, *dataset.entry(split, id_).pair.frames.values())
            if place not in seen:
                seen.add(place)
                found.setdefault(split, []).append(id_)
    return found


def spread(names: list[str], most: int) -> list[str]:
    """At most `most` of `names`, evenly from the first to the last."""
    chosen = np.unique(np.linspace(0, len(names) - 1, min(most, len(names))).round().astype(int))
    return [names[index] for index in chosen]
