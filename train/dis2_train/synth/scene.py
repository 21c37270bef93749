"""A scene: what every sensor saw of one world, and the truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Scene:
    """Frames and truth of one place."""

    frames: dict[str, npt.NDArray[Any]]
    """Sensor name -> HxWxC."""
    label: npt.NDArray[np.uint8]
    """HxW class index."""
    condition: str
    """Under which light it was seen: day, dusk, night or glare."""
