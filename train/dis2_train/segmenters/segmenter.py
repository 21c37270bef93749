"""The seam of whatever segments: what evaluation, comparison and scenes know of a model, be it torch or ONNX."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from dis2_edge.task import Task

if TYPE_CHECKING:
    from dis2_train.networks.cost import Cost

Pixels = npt.NDArray[Any]
Frames = Mapping[str, Pixels]
"""Raw frames on the grid by sensor name, in the sensor's own dtype and unit; holes may still be in them."""


class Segmenter(Protocol):
    """A model that was opened; preprocessing is that of flight (`dis2_edge.prepare`).

    Frames of sensors outside the scenario are not read. A frame of another size than the grid, another dtype or
    number of channels is a DataError; a scenario that the model does not serve is a CheckpointError.
    """

    @property
    def label(self) -> str:
        """Short name for tables: the run's folder, the file's stem or the bundle's name."""

    @property
    def task(self) -> Task:
        """Sensors with their normalisation, classes and grid."""

    @property
    def scenarios(self) -> tuple[str, ...]:
        """The scenarios that it answers, fullest first; an .onnx file has one."""

    @property
    def recipe_name(self) -> str:
        """Network and preset, `dis2/default`; empty where unknown."""

    @property
    def seed(self) -> int | None:
        """Seed of the training; None where unknown."""

    @property
    def precision(self) -> str:
        """Number format of the convolutions: fp32 or int8; empty where unknown."""

    def probabilities(self, frames: Frames, scenario: str) -> npt.NDArray[np.float32]:
        """Class probabilities (K, H, W) of one HxWxC (or HxW) frame a sensor.

        A file of io `frame` tells the mask's class and its confidence c only: the other classes get (1 - c) / (K - 1).
        """

    def many(self, frames: Frames, scenario: str) -> npt.NDArray[np.float32]:
        """Class probabilities (B, K, H, W) of a batch, BxHxWxC (or BxHxW) a sensor."""

    def masks(self, frames: Frames, scenario: str) -> npt.NDArray[np.uint8]:
        """Class index of each pixel (B, H, W) of a batch, BxHxWxC (or BxHxW) a sensor: the fast way to be judged."""

    def cost(self, scenario: str) -> Cost | None:
        """Parameters and operations of the network that flies in `scenario`, at the grid; None where unknown."""
