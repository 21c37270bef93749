"""Which scenario a step trains: by fixed shares, or more often the one that does worse on the validation split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dis2_edge.errors import RecipeError
from dis2_edge.recipe import Recipe


class Shares:
    """The shares of steps that a network's training scenarios get."""

    def __init__(self, recipe: Recipe, scenarios: Sequence[str]) -> None:
        shares = recipe.scenario_share or (1.0,) * len(scenarios)
        if len(shares) != len(scenarios):
            raise RecipeError(
                f"scenario_share has {len(shares)} values",
                expected=f"{len(scenarios)}, one for each of {list(scenarios)}",
            )
        self.scenarios = tuple(scenarios)
        self._by_error = recipe.scenario_sampling == "worst"
        self._fixed = [share / sum(shares) for share in shares]

    def now(self, miou: Mapping[str, float]) -> list[float]:
        """Shares, which sum to 1, after a look at the validation split that gave `miou` (0..1) by scenario.

        fixed: the recipe's, whatever the look. worst: those times the error 1 - mIoU of each scenario, so that one
        with twice the error gets twice the steps. A scenario that the look says nothing of counts with the mean error
        of the others; before the first look, and when there is no error left, the recipe's shares hold.
        """
        seen = [1 - miou[name] for name in self.scenarios if name in miou]
        if not self._by_error or not seen:
            return self._fixed
        mean = sum(seen) / len(seen)
        weighed = [
            share * (1 - miou[name] if name in miou else mean)
            for name, share in zip(self.scenarios, self._fixed, strict=True)
        ]
        total = sum(weighed)
        return [weight / total for weight in weighed] if total > 0 else self._fixed
