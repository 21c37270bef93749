"""Model files as a segmenter: one .onnx a scenario, each opened when its scenario is first asked for."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dis2_edge.recipe import Recipe
from dis2_edge.task import Task
from dis2_train.segmenters.frames import check_scenario, ready, single
from dis2_train.segmenters.model_file import ModelFile
from dis2_train.segmenters.segmenter import Frames

if TYPE_CHECKING:
    from dis2_train.networks.cost import Cost


class FilesSegmenter:
    """The model files of a quantised run or a bundle, or one file alone."""

    def __init__(
        self,
        label: str,
        task: Task,
        files: Mapping[str, Path],
        *,
        recipe_name: str = "",
        recipe: Recipe | None = None,
        seed: int | None = None,
        precision: str = "",
        opened: Mapping[str, ModelFile] | None = None,
    ) -> None:
        self.label, self.task, self.recipe_name = label, task, recipe_name
        self.seed = recipe.seed if recipe else seed
        self.precision, self._recipe = precision, recipe
        self.scenarios = tuple(scenario for scenario in task.scenarios if scenario in files)
        self._files = dict(files)
        self._opened = dict(opened or {})

    def probabilities(self, frames: Frames, scenario: str) -> npt.NDArray[np.float32]:
        """See `Segmenter.probabilities`."""
        found: npt.NDArray[np.float32] = self.many(single(frames), scenario)[0]
        return found

    def many(self, frames: Frames, scenario: str) -> npt.NDArray[np.float32]:
        """See `Segmenter.many`."""
        return self._model(scenario).probabilities(ready(frames, self.task, scenario), self.task)

    def masks(self, frames: Frames, scenario: str) -> npt.NDArray[np.uint8]:
        """See `Segmenter.masks`."""
        return self._model(scenario).masks(ready(frames, self.task, scenario), self.task)

    def cost(self, scenario: str) -> Cost | None:
        """What the exporter wrote into the file, or else of the network that the recipe names; None without either."""
        from dis2_train.networks import build
        from dis2_train.networks.cost import Cost, cost

        told = self._model(scenario).metadata.get("cost", "")
        with contextlib.suppress(ValueError, KeyError, TypeError):
            table = json.loads(told)
            return Cost(int(table["parameters"]), float(table["gflop"]))
        return cost(build(self._recipe, self.task), scenario) if self._recipe else None

    def _model(self, scenario: str) -> ModelFile:
        check_scenario(scenario, self.scenarios, self.label)
        if scenario not in self._opened:
            model = ModelFile(self._files[scenario])
            model.check_inputs(self.task.used(scenario))
            self._opened[scenario] = model
        return self._opened[scenario]
