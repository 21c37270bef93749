"""The conditions that models are compared under: each is a weighted mean over what was measured.

Mean over scenarios and expectation are the EMM scores of Liao et al. (arXiv 2503.18445): all subsets of the sensors
alike, or each sensor failing on its own with probability p. With nothing left there is no mask to score, so both are
over the subsets that hold at least one sensor, and the probabilities are divided by their sum, as that paper's script
does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dis2_edge.scenario import all_scenarios, full_scenario, sensors_of
from dis2_train.judging.noise import LEVELS

FAILURES = (0.2, 0.1, 0.05)
MEAN = "mean"


@dataclass(frozen=True)
class Condition:
    """A column of the comparison."""

    name: str
    """A scenario (`opt+sar`), `mean`, `p=0.2`, or a scenario under noise (`opt+sar~low`)."""
    weights: dict[str, float]
    """Measured condition -> its share; they sum to 1."""
    kind: str
    """full, single, part (some sensors, neither all nor one), mean, failing or noise."""


def conditions_of(sensors: Sequence[str]) -> tuple[Condition, ...]:
    """Every condition of a task with `sensors`: full, each alone, the subsets between, mean, expectations, noise."""
    full = full_scenario(sensors)
    scenarios = all_scenarios(sensors)
    alone = [name for name in scenarios if len(sensors_of(name)) == 1 and name != full]
    between = [name for name in scenarios if name != full and name not in alone]
    found = [Condition(full, {full: 1.0}, "full")]
    found += [Condition(name, {name: 1.0}, "single") for name in alone]
    found += [Condition(name, {name: 1.0}, "part") for name in between]
    if len(scenarios) > 1:
        found.append(Condition(MEAN, dict.fromkeys(scenarios, 1 / len(scenarios)), "mean"))
        found += [Condition(f"p={p:g}", failing(sensors, p), "failing") for p in FAILURES]
    return (*found, *(Condition(f"{full}~{level}", {f"{full}~{level}": 1.0}, "noise") for level in LEVELS))


def failing(sensors: Sequence[str], p: float) -> dict[str, float]:
    """Probability of each scenario when each sensor fails on its own with probability `p`, given that one is left."""
    shares = {}
    for scenario in all_scenarios(sensors):
        left = len(sensors_of(scenario))
        shares[scenario] = p ** (len(sensors) - left) * (1 - p) ** left
    whole = sum(shares.values())
    return {scenario: share / whole for scenario, share in shares.items()}


def joined(tables: Iterable[Sequence[str]]) -> tuple[str, ...]:
    """The sensors of all `tables`, in an order that agrees with the longest of them."""
    ordered = sorted(tables, key=len, reverse=True)
    return tuple(dict.fromkeys(name for table in ordered for name in table))
