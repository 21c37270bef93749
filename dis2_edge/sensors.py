"""A sensor: one modality of a task, with all that a stage must know to read, place and normalise its frames."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from dis2_edge.errors import RecipeError
from dis2_edge.lens import Lens
from dis2_edge.limits import HealthLimits

Kind = Literal["optical", "height", "radar", "thermal"]
Dtype = Literal["uint8", "uint16", "float32"]
Fit = Literal["resize", "crop", "tile"]
IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_RESERVED = ("blind", "mask", "confidence", "logits", "truth")
"""Names that mean something beside a sensor's: no sensor at all, a model's outputs, a tile's labels."""


@dataclass(frozen=True)
class Sensor:
    """One sensor of a task. A frame of it is an array HxWxC of `dtype`, in `unit`."""

    name: str
    """Lower-case word; also the name of the model's input."""
    kind: Kind
    """optical, height, radar or thermal."""
    channels: int
    """Number of channels of a frame."""
    dtype: Dtype
    """Type of a frame's values as the source gives them."""
    unit: str
    """Unit of a value: DN (digital number), metres, kelvin, decibel."""
    valid_min: float
    """Smallest value that the sensor can mean; less is a hole."""
    valid_max: float
    """Largest value that the sensor can mean; more is a hole."""
    mean: tuple[float, ...] = ()
    """Per-channel mean of the training split, in `unit`; empty until statistics were taken."""
    std: tuple[float, ...] = ()
    """Per-channel standard deviation of the training split, in `unit`."""
    size: tuple[int, int] = (0, 0)
    """Native height and width in pixels; (0, 0) when frames may differ."""
    to_grid: tuple[float, ...] = IDENTITY
    """3x3 homography, row by row, from native pixel coordinates (x, y, 1) to grid pixels before `fit`.

    With a `lens` it starts from what a perfect camera of the same matrix would have seen."""
    fit: Fit = "resize"
    """How a frame of another size comes to the grid: resize, centre crop, or tile (overlapping windows)."""
    rate_hz: float = 10.0
    """Nominal rate in frames a second."""
    max_age_ms: float = 250.0
    """Oldest frame that a tick may still use, in milliseconds."""
    lens: Lens | None = None
    """Distortion to be taken out on the way to the grid; None when frames are straight."""
    pause_ms: float = 0.0
    """Longest pause that the sensor takes by itself, such as a flat-field correction; 0: it takes none."""
    pause_every_s: float = 0.0
    """Shortest time from one such pause to the next, begin to begin, in seconds; 0: at any time."""
    health: HealthLimits = field(default_factory=HealthLimits)
    """Limits that its health is judged by."""

    def __post_init__(self) -> None:
        where = f"sensor {self.name!r}"
        if not _NAME.fullmatch(self.name):
            raise RecipeError(f"{where}: bad name", expected="lower-case letters, digits and _, a letter first")
        if self.name in _RESERVED:
            raise RecipeError(f"{where}: the name is taken", expected=f"another name than {', '.join(_RESERVED)}")
        if self.channels < 1:
            raise RecipeError(f"{where}: channels is {self.channels}", expected="1 or more")
        if not self.valid_min < self.valid_max:
            raise RecipeError(f"{where}: valid range {self.valid_min}..{self.valid_max}", expected="min below max")
        if len(self.to_grid) != 9 or not all(math.isfinite(value) for value in self.to_grid):
            raise RecipeError(f"{where}: to_grid {self.to_grid}", expected="9 finite numbers, a 3x3 homography")
        if not (0 < self.rate_hz < math.inf and 0 < self.max_age_ms < math.inf):
            raise RecipeError(f"{where}: rate_hz {self.rate_hz}, max_age_ms {self.max_age_ms}", expected="above 0")
        if not (0 <= self.pause_ms < math.inf and 0 <= self.pause_every_s < math.inf):
            found = f"{where}: pause_ms {self.pause_ms}, pause_every_s {self.pause_every_s}"
            raise RecipeError(found, expected="0 or more")
        for label, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (0, self.channels):
                found = f"{where}: {len(values)} values of {label}"
                raise RecipeError(found, expected=f"{self.channels}, one a channel")

    @property
    def numpy_dtype(self) -> npt.DTypeLike:
        """The NumPy type of a frame."""
        return np.dtype(self.dtype)

    @property
    def period_ms(self) -> float:
        """Nominal time between two frames, in milliseconds."""
        return 1000.0 / self.rate_hz
