"""Which precision of an engine flies: the fastest of those that are proven and within the accuracy budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dis2_edge.bundle import Bundle
from dis2_edge.engine_names import EngineName
from dis2_edge.manifest import BY_EXACTNESS, Precision
from dis2_edge.scores import known
from dis2_runtime.engines import PRECISIONS
from dis2_runtime.engines.rows import rows_of
from dis2_runtime.selftest.rows import Row

__all__ = ["Choice", "choose", "tick_ms"]

_SLACK = 1e-9


@dataclass(frozen=True)
class Choice:
    """What flies of an engine."""

    engine: EngineName
    """The engine."""
    precision: Precision | None
    """The precision; None where none may."""
    why: str
    """What it was weighed against, or what is wrong with each."""


def choose(bundle: Bundle, engine: EngineName, rows: Sequence[Row], max_drop: float) -> Choice:
    """The fastest precision of `rows` whose mIoU is, in each scenario, at most `max_drop` points under the best there.

    Every scenario of a precision must be proven, and a precision that lacks a scenario of another proven one does not
    stand beside it. mIoU is that of the tiles, else the manifest's. Where a precision's is not known, the most exact
    one flies.
    """
    whole = _whole(engine, rows)
    if not whole:
        return Choice(engine, None, _problems(engine, rows))
    exact = min(whole, key=BY_EXACTNESS.index)
    drops = _drops(_mious(bundle, engine, whole), exact)
    fitting = {name: found for name, found in whole.items() if _fits(drops[name], max_drop, name == exact)}
    if not fitting:
        told = ", ".join(f"{name} loses {drop:.2f} points" for name, drop in drops.items() if drop is not None)
        return Choice(engine, None, f"{engine}: no precision is within {max_drop:g} points: {told}")
    fastest = min(fitting, key=lambda name: (tick_ms(fitting[name]), PRECISIONS.index(name)))
    others = [_told(name, whole[name], drops[name], name in fitting, max_drop) for name in whole if name != fastest]
    lines = [f"{engine} {fastest}, {tick_ms(whole[fastest]):.2f} ms a tick", *others]
    return Choice(engine, fastest, "; ".join([*lines, *filter(None, [_problems(engine, rows)])]))


def tick_ms(rows: Sequence[Row]) -> float:
    """Mean over the scenarios of the median time of a tick, in milliseconds."""
    times = [row.latency.median_ms for row in rows if row.latency is not None]
    return sum(times) / len(times) if times else float("inf")


def _whole(engine: EngineName, rows: Sequence[Row]) -> dict[Precision, list[Row]]:
    """The rows of each precision that is proven in all its scenarios, and serves as many as any of these."""
    found: dict[Precision, list[Row]] = {}
    for row in rows:
        if row.engine == engine:
            found.setdefault(row.precision, []).append(row)
    found = {name: held for name, held in found.items() if all(row.proven for row in held)}
    most = max((len(held) for held in found.values()), default=0)
    return {name: held for name, held in found.items() if len(held) == most}


def _mious(
    bundle: Bundle, engine: EngineName, whole: Mapping[Precision, Sequence[Row]]
) -> dict[Precision, dict[str, float | None]]:
    """mIoU (0..1) of each precision and scenario: of the tiles where all were counted, else what the manifest says."""
    if all(row.scores for held in whole.values() for row in held):
        return {
            name: {row.scenario: known(row.scores.miou) for row in held if row.scores} for name, held in whole.items()
        }
    listed = {(row.precision, row.scenario): row.miou for row in rows_of(bundle, engine)}
    return {name: {row.scenario: listed.get((name, row.scenario)) for row in held} for name, held in whole.items()}


def _drops(mious: Mapping[Precision, Mapping[str, float | None]], exact: Precision) -> dict[Precision, float | None]:
    """Points that each precision loses to the best, in its worst scenario; None where its own or that of `exact`,
    the most exact one, is not known."""
    drops: dict[Precision, float | None] = {}
    for name, held in mious.items():
        lost = []
        for scenario, miou in held.items():
            values = [value for other in mious.values() if (value := other.get(scenario)) is not None]
            unknown = miou is None or mious[exact].get(scenario) is None
            lost.append(None if unknown else 100 * (max(values) - (miou or 0.0)))
        drops[name] = None if None in lost else max(value for value in lost if value is not None)
    return drops


def _fits(drop: float | None, max_drop: float, exact: bool) -> bool:
    return exact if drop is None else drop <= max_drop + _SLACK


def _told(name: Precision, rows: Sequence[Row], drop: float | None, fits: bool, max_drop: float) -> str:
    """Why a proven precision is not the one that flies."""
    if fits:
        return f"{name} takes {tick_ms(rows):.2f} ms"
    if drop is None:
        return f"{name} was never measured on labels"
    return f"{name} loses {drop:.2f} points, more than {max_drop:g}"


def _problems(engine: EngineName, rows: Sequence[Row]) -> str:
    """What is wrong with each precision that is not proven, once a precision and reason."""
    told = dict.fromkeys(f"{engine} {row.precision}: {row.why}" for row in rows if row.engine == engine and row.why)
    return "; ".join(told)
