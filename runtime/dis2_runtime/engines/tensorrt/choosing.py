"""Which plan flies: every form of a model file is built, proven on the goldens and timed; the fastest right one stays.

What a form did is noted beside its plan, so that the next start loads one plan and builds none. A form that cannot be
built, or that answers a golden wrongly, is told and left.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from dis2_edge.bundle import Bundle, ModelRow
from dis2_edge.errors import BundleError, EngineError, UserError
from dis2_edge.goldens import Arrays
from dis2_edge.terminal import warn
from dis2_runtime.driver import Driver, Stream
from dis2_runtime.engines.tensorrt.bindings import Trt
from dis2_runtime.engines.tensorrt.cache import Cache, Form, Key
from dis2_runtime.engines.tensorrt.model import Loaded
from dis2_runtime.engines.tensorrt.tick import Tick
from dis2_runtime.selftest.goldens import check_row

__all__ = ["Candidate", "Site", "choose", "median_ms"]

TIMED = 50
"""Ticks whose median decides."""
WARM_UP = 10


@dataclass(frozen=True)
class Candidate:
    """One form of a row's file."""

    form: Form
    """Bodies of plain operators, or kernels of our own."""
    key: Key
    """Under which its plan is kept."""
    build: Callable[[], bytes]
    """Builds the plan; an EngineError says why it cannot be."""
    ready: Callable[[], AbstractContextManager[None]]
    """What must stand while such a plan is loaded and run: its plug-ins."""


@dataclass(frozen=True)
class Site:
    """Where plans are tried: the device, its memory, what the bundle says must come out."""

    trt: Trt
    driver: Driver
    stream: Stream
    cache: Cache
    bundle: Bundle
    goldens: Sequence[Arrays]
    make_tick: Callable[[Loaded, ModelRow], AbstractContextManager[Tick]]
    """A tick that is settled, on buffers that are given back afterwards."""


def choose(site: Site, row: ModelRow, candidates: Sequence[Candidate]) -> tuple[Candidate, bytes]:
    """The fastest candidate that answers the goldens of `row` as it must, and its plan.

    EngineError naming what is wrong with each where none does.
    """
    known = {one.form: site.cache.noted_ms(one.key) for one in candidates}
    problems = {one.form: site.cache.noted_problem(one.key) for one in candidates}
    if not any(ms is not None for ms in known.values()):
        problems = dict.fromkeys(known, "")  # what failed may have lacked memory then: all are tried again
    for one in candidates:
        if known[one.form] is None and not problems[one.form]:
            try:
                known[one.form] = _try(site, row, one)
            except UserError as error:
                problems[one.form] = str(error)
    _tell(site, row, candidates, known, problems)
    noted = [(one, ms) for one in candidates if (ms := known[one.form]) is not None]
    for candidate, _ in sorted(noted, key=lambda each: each[1]):
        plan = site.cache.find(candidate.key)
        if plan is not None:
            return candidate, plan
    raise EngineError(
        f"no engine of {row.file} can fly: {'; '.join(filter(None, problems.values())) or 'its plans are gone'}"
    )


def median_ms(driver: Driver, stream: Stream, tick: Tick) -> float:
    """Median time of a tick on the device, by its events, in milliseconds."""
    times = []
    for _ in range(WARM_UP + TIMED):
        before, after = driver.event(), driver.event()
        before.record(stream)
        tick.enqueue()
        after.record(stream)
        times.append(after.elapsed_ms(before))
    return statistics.median(times[WARM_UP:])


def _tell(
    site: Site,
    row: ModelRow,
    candidates: Sequence[Candidate],
    known: Mapping[Form, float | None],
    problems: Mapping[Form, str],
) -> None:
    """Say and note which forms are left out, as long as another one flies."""
    if any(ms is not None for ms in known.values()):
        for one in candidates:
            if problems[one.form] and site.cache.noted_problem(one.key) != problems[one.form]:
                warn(f"{row.file} as {one.form} is left out: {problems[one.form]}")
                site.cache.keep_problem(one.key, problems[one.form])


def _try(site: Site, row: ModelRow, candidate: Candidate) -> float:
    """Build one form if it is not there, prove and time it; a plan that is not taken is built once more."""
    plan = site.cache.find(candidate.key)
    if plan is not None:
        try:
            return _proven(site, row, candidate, plan)
        except BundleError:
            site.cache.drop(candidate.key)
            raise
        except EngineError as error:
            warn(f"the engine of {row.file} that was kept is built again: {error}")
            site.cache.drop(candidate.key)
    return _proven(site, row, candidate, candidate.build())


def _proven(site: Site, row: ModelRow, candidate: Candidate, plan: bytes) -> float:
    """Median milliseconds of a plan that answered every golden; it is kept with them."""
    with _loaded(site, row, candidate, plan) as tick:
        check_row(site.bundle, row, site.goldens, tick.run)
        ms = median_ms(site.driver, site.stream, tick)
    site.cache.keep(candidate.key, plan, {"median_ms": ms, "form": candidate.form, "file": row.file})
    return ms


@contextmanager
def _loaded(site: Site, row: ModelRow, candidate: Candidate, plan: bytes) -> Iterator[Tick]:
    with candidate.ready():
        loaded = Loaded(site.trt, plan, row.file)
        try:
            with site.make_tick(loaded, row) as tick:
                yield tick
        finally:
            loaded.close()
