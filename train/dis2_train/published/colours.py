"""Label pictures as codes: classes first, then what is ignored by name; colours that are a little off are counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from dis2_edge.errors import DataError
from dis2_edge.labels import rgb_of
from dis2_train.published.benchmark import Benchmark

Codes = npt.NDArray[np.uint8]
_PACK = np.array([65536, 256, 1], np.uint32)
_LOST = 255


class Legend:
    """What the values of a benchmark's labels mean."""

    def __init__(self, benchmark: Benchmark, tolerance: int) -> None:
        self.classes, self.by_colour = benchmark.classes, benchmark.label_values == "colours"
        self.ignored = tuple(benchmark.ignored)
        self._named: Mapping[str, str] = (
            dict(zip(benchmark.classes, benchmark.colours, strict=True)) | benchmark.ignored
        )
        self._values = np.zeros(0, np.int64)
        if self.by_colour:
            self._colours = rgb_of(tuple(self._named.values())).astype(np.int16)  # (K + ignored, 3)
            self._tolerance = _clear(tolerance, self._colours)
        else:
            self._values = np.array([*range(len(self.classes)), *map(int, benchmark.ignored.values())])

    def codes(self, labels: npt.NDArray[Any], where: str) -> tuple[Codes, int]:
        """`labels` HxWxC (3 colours or 1 index) as HxW codes, and how many pixels had a colour a little off.

        A code below the number of classes is a class, a higher one the place in `ignored`. DataError names `where`,
        the value that means nothing, and on how many pixels it stands.
        """
        if self.by_colour != (labels.shape[2] >= 3):
            kind = "colours, 3 bands" if self.by_colour else "class indices, 1 band"
            raise DataError(f"{where} has {labels.shape[2]} bands", expected=kind)
        return self._from_colours(labels[..., :3], where) if self.by_colour else self._from_indices(labels, where)

    def _from_colours(self, labels: npt.NDArray[Any], where: str) -> tuple[Codes, int]:
        packed = labels.astype(np.uint32) @ _PACK
        codes = np.full(packed.shape, _LOST, np.uint8)
        for code, colour in enumerate((self._colours @ _PACK).tolist()):
            codes[packed == colour] = code
        lost = codes == _LOST
        off = int(np.count_nonzero(lost))
        if off:
            codes[lost] = self._nearest(packed[lost], where)
        return codes, off

    def _nearest(self, packed: npt.NDArray[np.uint32], where: str) -> Codes:
        """Codes of colours (N) that are no class's own but near one."""
        seen, place, counts = np.unique(packed, return_inverse=True, return_counts=True)
        colours = np.stack([seen >> 16, seen >> 8 & 255, seen & 255], axis=1).astype(np.int16)
        off = np.abs(colours[:, None] - self._colours[None]).max(axis=2)  # (seen, named)
        lost = off.min(axis=1) > self._tolerance
        if lost.any():
            worst = int(np.argmax(np.where(lost, counts, 0)))
            raise DataError(
                f"{where}: colour #{int(seen[worst]):06x} of no class on {int(counts[worst])} pixels "
                f"({int(counts[lost].sum())} pixels without a class)",
                expected=", ".join(f"{name} {value}" for name, value in self._named.items()),
                mend=f"correct the labels, or say --colour-tolerance above {self._tolerance}",
            )
        codes: Codes = off.argmin(axis=1).astype(np.uint8)[place]
        return codes

    def _from_indices(self, labels: npt.NDArray[Any], where: str) -> tuple[Codes, int]:
        seen, place, counts = np.unique(labels[..., 0], return_inverse=True, return_counts=True)
        table = {int(value): code for code, value in enumerate(self._values.tolist())}
        foreign = [at for at, value in enumerate(seen.tolist()) if int(value) not in table]
        if foreign:
            raise DataError(
                f"{where}: class index {int(seen[foreign[0]])} on {int(counts[foreign[0]])} pixels",
                expected=f"0..{len(self.classes) - 1} ({', '.join(self.classes)})",
            )
        codes = np.array([table[int(value)] for value in seen.tolist()], np.uint8)
        return codes[place].reshape(labels.shape[:2]), 0


def _clear(tolerance: int, colours: npt.NDArray[np.int16]) -> int:
    """`tolerance`, when no colour can be within it of two named ones."""
    apart = np.abs(colours[:, None] - colours[None]).max(axis=2)
    least = int(apart[~np.eye(len(colours), dtype=bool)].min()) if len(colours) > 1 else 256
    if not 0 <= tolerance < (least + 1) // 2:
        raise DataError(
            f"a colour tolerance of {tolerance}",
            expected=f"0 to {(least + 1) // 2 - 1}, as two colours are {least} apart",
        )
    return tolerance
