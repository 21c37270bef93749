"""Feeding a training: the next batches prepared by background threads, the same bits however many there are."""

from __future__ import annotations

import collections
import os
import time
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from dis2_edge.errors import RecipeError

if TYPE_CHECKING:
    from types import TracebackType

    from dis2_train.data.batches import Batch, Sampler

T = TypeVar("T")
R = TypeVar("R")
_AHEAD = 2
"""Results that may lie ready for each worker: one being taken, one to spare; more would only cost memory."""
_LONG_WAIT = 0.1
"""Share of the time spent waiting for data above which a user is told what to do."""


class Feed:
    """The batches of steps `first_step` .. `steps` - 1 as (step, Batch), in order; used in a `with`, or closed.

    With `workers` threads up to two batches for each are prepared while the loop learns; with 0 each is prepared
    when it is asked for. Threads do, since reading files, decoding pictures and moving tensors let go of Python's lock.
    `rank` of `world` processes gets its share of the rows of each global batch (`Sampler.batch`). An error of a worker
    is raised at the step it belongs to.
    """

    def __init__(
        self, sampler: Sampler, first_step: int, steps: int, workers: int, rank: int = 0, world: int = 1
    ) -> None:
        if not 0 <= rank < world <= sampler.recipe.batch:
            raise RecipeError(
                f"a batch of {sampler.recipe.batch} for {world} processes",
                expected="one image or more for each",
                mend=f"--set batch={world}, or fewer processes",
            )
        self.waited_s = 0.0
        """Seconds that the loop has spent waiting for batches so far."""
        self._told_s, self._told_at = 0.0, time.perf_counter()

        def prepared(step: int) -> tuple[int, Batch]:
            return step, sampler.batch(*divmod(step, sampler.steps), rank=rank, world=world)

        self._batches = ahead(prepared, range(first_step, steps), workers)

    def __enter__(self) -> Feed:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Feed:
        return self

    def __next__(self) -> tuple[int, Batch]:
        begun = time.perf_counter()
        try:
            return next(self._batches)
        finally:
            self.waited_s += time.perf_counter() - begun

    def wait_share(self) -> float:
        """Share (0..1) of the time since the last call, or since the start, that was spent waiting for batches."""
        now = time.perf_counter()
        share = (self.waited_s - self._told_s) / max(now - self._told_at, 1e-9)
        self._told_s, self._told_at = self.waited_s, now
        return share

    def close(self) -> None:
        """Stop the workers; what they had prepared is dropped."""
        self._batches.close()


def ahead(make: Callable[[T], R], items: Iterable[T], workers: int) -> Generator[R, None, None]:
    """`make(item)` for each of `items` in order, made by `workers` threads while the caller uses earlier ones.

    With 0 workers each is made when it is asked for. What `make` raises is raised in its turn.
    """
    if workers < 1:
        yield from map(make, items)
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix="feed")
    under_way: collections.deque[Future[R]] = collections.deque()
    try:
        for item in items:
            under_way.append(pool.submit(make, item))
            if len(under_way) >= _AHEAD * workers:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def waiting(waited_s: float, spent_s: float, workers: int) -> tuple[str, str]:
    """A line about the share of a training's `spent_s` spent waiting for data; and advice, empty when it was short."""
    share = waited_s / spent_s if spent_s > 0 else 0.0
    told = f"waited for data: {100 * share:.1f} % of {spent_s:.0f} s"
    if share <= _LONG_WAIT:
        return told, ""
    if workers >= max(4, os.cpu_count() or 1):
        return (
            told,
            f"{told}, with a worker for each core: put the data on a faster disk, or cut them into smaller files",
        )
    return told, f"{told}; prepare more at once: --set workers={max(4, 2 * workers)}"
