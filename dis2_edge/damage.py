"""Damaged samples that learning goes on without: named once, counted, and no more than one in a hundred."""

from __future__ import annotations

import threading

from dis2_edge.errors import DamagedError, DataError
from dis2_edge.terminal import warn

LARGEST_SHARE = 0.01
"""Of a split's samples; with more of them damaged something else is wrong, and what is left is another data set."""
_SHOWN = 5


class Damage:
    """The damaged samples of one data set that were met so far. Threads may share it."""

    def __init__(self) -> None:
        self._found: dict[str, dict[str, DamagedError]] = {}
        self._lock = threading.Lock()

    def ids(self, split: str) -> tuple[str, ...]:
        """Ids of the damaged samples of `split`, sorted."""
        with self._lock:
            return tuple(sorted(self._found.get(split, ())))

    def holds(self, split: str, id_: str) -> bool:
        """Whether a file of this sample is known to be damaged."""
        return id_ in self._found.get(split, ())

    def note(self, split: str, id_: str, error: DamagedError, samples: int) -> None:
        """Take in that sample `id_`, one of the `samples` of `split`, is damaged as `error` says; warns the first time.

        DataError that lists the first names when more than `LARGEST_SHARE` of the split is.
        """
        with self._lock:
            found = self._found.setdefault(split, {})
            if id_ not in found:
                found[id_] = error
                warn(f"sample {id_} of {split} is skipped: {error}")
            names = sorted(found)
        if len(names) > LARGEST_SHARE * samples:
            shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
            raise DataError(
                f"{len(names)} of {samples} samples of split {split!r} are damaged so far: {shown} ({error.found})",
                expected=f"at most {LARGEST_SHARE:.0%}, which training skips",
                mend="copy or download them again; dis2-edge data check reads every file",
            ) from error
