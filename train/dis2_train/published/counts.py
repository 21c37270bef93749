"""What the tiles of each split hold: class pixels, and what was ignored by its name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

NO_DATA = "no data"


@dataclass
class SplitCounts:
    """One split, counted in pixels of the scenes: what lies in two tiles counts once."""

    codes: npt.NDArray[np.int64]
    """Pixels of each class, then of each name of what is ignored, last those without data."""
    scenes: set[str] = field(default_factory=set)
    """Ids of its scenes."""
    tiles: int = 0
    """Number of tiles."""


@dataclass
class Counts:
    """All splits."""

    classes: tuple[str, ...]
    """Names of the classes."""
    ignored: tuple[str, ...]
    """Names of what is ignored, the last being that there are no data."""
    splits: dict[str, SplitCounts] = field(default_factory=dict)
    """By name of the split."""
    off_colour: dict[str, int] = field(default_factory=dict)
    """File of labels -> pixels whose colour was a little off."""

    def add(self, splits: Sequence[str], scene: str, codes: npt.NDArray[np.uint8]) -> None:
        """Take in one tile: the codes HxW of the pixels that count in it."""
        found = np.bincount(codes.ravel(), minlength=len(self.classes) + len(self.ignored))
        for split in splits:
            row = self.splits.setdefault(split, SplitCounts(np.zeros(found.size, np.int64)))
            row.codes += found
            row.scenes.add(scene)
            row.tiles += 1

    def rows(self) -> tuple[Sequence[str], list[Sequence[object]]]:
        """Columns and rows of the table: classes in per cent of what is labelled, the ignored in per cent of all."""
        columns = ("split", "scenes", "tiles", *self.classes, *(f"ignored: {name}" for name in self.ignored))
        rows: list[Sequence[object]] = []
        for split, row in self.splits.items():
            known, ignored = row.codes[: len(self.classes)], row.codes[len(self.classes) :]
            shares = [f"{100 * count / max(int(known.sum()), 1):.2f}" for count in known.tolist()]
            lost = [f"{100 * count / max(int(row.codes.sum()), 1):.2f}" for count in ignored.tolist()]
            rows.append((split, len(row.scenes), row.tiles, *shares, *lost))
        return columns, rows

    def record(self) -> dict[str, object]:
        """The counts for `prepared.json`."""
        names = (*self.classes, *self.ignored)
        return {
            "splits": {
                split: {
                    "scenes": sorted(row.scenes),
                    "tiles": row.tiles,
                    "class_pixels": dict(zip(self.classes, row.codes.tolist(), strict=False)),
                    "ignored_pixels": dict(
                        zip(self.ignored, row.codes[len(self.classes) : len(names)].tolist(), strict=True)
                    ),
                }
                for split, row in self.splits.items()
            },
            "off_colour_pixels": {name: count for name, count in self.off_colour.items() if count},
        }
