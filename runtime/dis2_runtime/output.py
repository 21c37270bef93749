"""The table `[output]` of a rig: where flights are written, and how much of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dis2_edge.errors import RecipeError


@dataclass(frozen=True)
class Output:
    """The table `[output]`: where flights are written, and how much of them."""

    folder: str = "flights"
    """Where a run without --out makes its folder; a relative one is taken below the rig's folder."""
    quota_mb: float | None = None
    """Most that all flights of `folder` may take, in 10^6 bytes; left out, QUOTA_MB there and no limit with --out."""
    confidence: bool = False
    """Whether the sink png writes a confidence picture of each fresh tick."""
    sidecar: bool = False
    """Whether the sink png writes the telemetry row beside each mask."""

    def __post_init__(self) -> None:
        if self.quota_mb is not None and not 0 < self.quota_mb < math.inf:
            raise RecipeError(f"quota_mb is {self.quota_mb}", expected="above 0")
