"""The parts list: which networks there are, and how a recipe becomes one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from dis2_edge.errors import RecipeError
from dis2_edge.recipe import Recipe
from dis2_edge.task import Task
from dis2_train.networks.seam import Network, Output

if TYPE_CHECKING:
    from dis2_train.networks.paper import PaperDis2

__all__ = ["Network", "Output", "build", "load_official"]

STRIDE = 16
"""Pixels of the grid that one position of the coarsest level stands for, in every network."""


def build(recipe: Recipe, task: Task) -> Network:
    """The network of `recipe` for `task`, with weights drawn from `recipe.seed`.

    Raises RecipeError when the network cannot be had for that task, or the grid is none that it can halve four times.
    """
    _check_grid(task.grid)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        if recipe.network == "csknet":
            from dis2_train.networks.csknet import CskNet

            return CskNet(recipe, task)
        if recipe.network == "deeplabv3":
            from dis2_train.networks.deeplab import DeepLabV3

            return DeepLabV3(recipe, task)
        if recipe.network == "early_fusion":
            from dis2_train.networks.early_fusion import EarlyFusion

            return EarlyFusion(recipe, task)
        if recipe.network == "feature_mean":
            from dis2_train.networks.feature_mean import FeatureMean

            return FeatureMean(recipe, task)
        if recipe.network == "single":
            from dis2_train.networks.single import Single

            return Single(recipe, task)
        if recipe.preset == "paper":
            if not (recipe.classwise and recipe.hierarchical):
                raise RecipeError("the paper preset has all its parts", mend="--set preset=default")
            from dis2_train.networks.paper import PaperDis2

            return PaperDis2(recipe, task)
        from dis2_train.networks.dis2 import Dis2

        return Dis2(recipe, task)


def load_official(source: Mapping[str, Any] | Path | str, size: tuple[int, int] = (0, 0)) -> PaperDis2:
    """The `paper` network with a released checkpoint's weights; see `dis2_train.networks.paper.load_official`."""
    from dis2_train.networks.paper import load_official as load

    return load(source, size)


def _check_grid(grid: tuple[int, int]) -> None:
    """Levels are halved on the way down and joined on the way up: a side that is no multiple of 16 would not meet."""
    if grid[0] % STRIDE or grid[1] % STRIDE:
        near = [max(STRIDE, STRIDE * round(side / STRIDE)) for side in grid]
        raise RecipeError(
            f"the grid is {grid[0]} x {grid[1]} pixels", expected="multiples of 16", mend=f"--set 'grid={near}'"
        )
