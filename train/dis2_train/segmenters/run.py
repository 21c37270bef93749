"""A finished run as a segmenter: torch, every scenario of its task."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dis2_edge.errors import CheckpointError
from dis2_edge.task import Task
from dis2_train import networks
from dis2_train.checkpoint import Checkpoint, load
from dis2_train.device import choose_device
from dis2_train.networks.seam import Network
from dis2_train.segmenters.frames import check_scenario, normalised, ready, single
from dis2_train.segmenters.segmenter import Frames

if TYPE_CHECKING:
    from dis2_train.networks.cost import Cost


class RunSegmenter:
    """A trained network, on the CPU or on the GPU."""

    precision = "fp32"

    def __init__(self, run: Path, *, grid: tuple[int, int] | None = None, device: str = "auto") -> None:
        checkpoint = load(run)
        self.label = run.resolve().name
        self.recipe_name = f"{checkpoint.recipe.network}/{checkpoint.recipe.preset}"
        self.seed: int | None = checkpoint.recipe.seed
        self._device = choose_device(device)
        self._network = _at_grid(checkpoint, grid).to(self._device).eval()
        self.task: Task = self._network.task
        self.scenarios = self.task.scenarios

    def probabilities(self, frames: Frames, scenario: str) -> npt.NDArray[np.float32]:
        """See `Segmenter.probabilities`."""
        found: npt.NDArray[np.float32] = self.many(single(frames), scenario)[0]
        return found

    def many(self, frames: Frames, scenario: str) -> npt.NDArray[np.float32]:
        """See `Segmenter.many`."""
        found: npt.NDArray[np.float32] = self._logits(frames, scenario).softmax(1).cpu().numpy()
        return found

    def masks(self, frames: Frames, scenario: str) -> npt.NDArray[np.uint8]:
        """See `Segmenter.masks`."""
        return self._logits(frames, scenario).argmax(1).to(torch.uint8).cpu().numpy()

    def cost(self, scenario: str) -> Cost | None:
        """See `Segmenter.cost`."""
        from dis2_train.networks.cost import cost

        check_scenario(scenario, self.scenarios, self.label)
        return cost(self._network, scenario)

    def _logits(self, frames: Frames, scenario: str) -> Tensor:
        check_scenario(scenario, self.scenarios, self.label)
        inputs = {
            name: torch.from_numpy(normalised(batch, self.task.sensor(name))).to(self._device)
            for name, batch in ready(frames, self.task, scenario).items()
        }
        with torch.inference_mode():
            return self._network(inputs, scenario).logits.float()  # type: ignore[no-any-return]


def _at_grid(checkpoint: Checkpoint, grid: tuple[int, int] | None) -> Network:
    """The run's network, built for another grid where one is asked for: its weights must be free of the size."""
    if grid in (None, checkpoint.task.grid):
        return checkpoint.network
    network = networks.build(checkpoint.recipe, dataclasses.replace(checkpoint.task, grid=grid))
    try:
        network.load_state_dict(checkpoint.network.state_dict())
    except RuntimeError as cause:
        height, width = checkpoint.task.grid
        found = f"{checkpoint.path} holds weights that were made for a grid of {height}x{width} pixels"
        raise CheckpointError(found, mend="leave the size of windows as it is") from cause
    return network
