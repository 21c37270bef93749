"""A finished run as a segmenter: torch, every scenario of its task."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

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

    precision: str = "fp32"

    def __init__(self, run: Path, *, grid: tuple[int, int] | None = None, device: str = "auto") -> None:
        checkpoint = load(run)
        self.label = run.resolve().name
        self.recipe_name = f"{checkpoint.recipe.network}/{checkpoint.recipe.preset}"
        self.seed: int | None = checkpoint.recipe.seed
        self.device = choose_device(device)
        self._network = _at_grid(checkpoint, grid).to(self.device).eval()
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

    def flying(self, scenario: str) -> tuple[nn.Module, list[Tensor]]:
        """The module that flies in `scenario`, and one frame for it, on its device: what a latency is taken of."""
        return self._network.deployable(scenario).eval(), blank(self.task, scenario, self.device)

    def parts(self, scenario: str) -> dict[str, int]:
        """What a compiler made of the scenario's module; nothing where torch runs it as it is."""
        return {}

    def _logits(self, frames: Frames, scenario: str) -> Tensor:
        check_scenario(scenario, self.scenarios, self.label)
        with torch.inference_mode():
            found: Tensor = self._network(self._inputs(frames, scenario), scenario).logits.float()
            return found

    def _inputs(self, frames: Frames, scenario: str) -> dict[str, Tensor]:
        """Normalised tensors (B, C, H, W) float32 of the scenario's sensors, in its order, on the device."""
        return {
            name: torch.from_numpy(normalised(batch, self.task.sensor(name))).to(self.device)
            for name, batch in ready(frames, self.task, scenario).items()
        }


def blank(task: Task, scenario: str, device: torch.device) -> list[Tensor]:
    """A frame (1, C, H, W) float32 of each of the scenario's sensors, standard normal as normalised frames are."""
    random = torch.Generator().manual_seed(0)
    shapes = [(1, sensor.channels, *task.grid) for sensor in task.used(scenario)]
    return [torch.randn(shape, generator=random).to(device) for shape in shapes]


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
