"""Scenarios: the sensors usable at a tick, written in recipe order and joined by `+`.

A task of sensors (rgb, ndsm) has the scenarios `rgb+ndsm` (full), `rgb` and `ndsm`. With no sensor the runtime is
blind, which is a state and not a scenario.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

from dis2_edge.errors import RecipeError
from dis2_edge.settings import nearest

BLIND = "blind"


def scenario_of(sensors: Iterable[str], order: Sequence[str]) -> str:
    """The scenario in which exactly `sensors` are usable; `BLIND` when there is none."""
    present = set(sensors)
    unknown = present - set(order)
    if unknown:
        raise RecipeError(f"unknown sensor {min(unknown)!r}", mend=nearest(min(unknown), order))
    return "+".join(name for name in order if name in present) or BLIND


def sensors_of(scenario: str) -> tuple[str, ...]:
    """The sensors of a scenario, in its order."""
    return () if scenario == BLIND else tuple(scenario.split("+"))


def full_scenario(order: Sequence[str]) -> str:
    """The scenario in which every sensor is usable."""
    return "+".join(order)


def all_scenarios(order: Sequence[str]) -> tuple[str, ...]:
    """Every scenario of `order`, the full one first, then by falling number of sensors in recipe order."""
    sizes = range(len(order), 0, -1)
    return tuple("+".join(chosen) for size in sizes for chosen in combinations(order, size))


def best_served(available: Iterable[str], served: Iterable[str], order: Sequence[str]) -> str:
    """Of the `served` scenarios, the one with most sensors that needs only `available`; `BLIND` if none does."""
    have = set(available)
    fitting = [scenario for scenario in served if set(sensors_of(scenario)) <= have]
    ranked = {scenario: rank for rank, scenario in enumerate(all_scenarios(order))}
    return min(fitting, key=lambda scenario: ranked[scenario], default=BLIND)
