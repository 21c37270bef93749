"""The limits that health is judged by: data, one set a sensor, so that a recording can teach others."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from dis2_edge.errors import RecipeError


@dataclass(frozen=True)
class HealthLimits:
    """Limits of one sensor. None leaves it to the statistics of training, or to a plain rule without them."""

    off_periods: float = 2.0
    """Silence, in periods, from which a sensor is off."""
    slow_periods: float = 1.5
    """Median of the last five times between frames, in periods, from which it is slow."""
    gap_periods: float = 1.75
    """Time between two frames, in periods, from which it is a gap."""
    gaps: int = 3
    """So many gaps among the remembered frames, and a sensor is intermittent."""
    late_ms: float | None = None
    """Median time from capture to arrival from which it is delayed; None: a period, and half the maximum age."""
    stuck_repeats: int = 3
    """Frames in a row that repeat the one before, from which it is stuck, where a rule says that this is a fault."""
    never_repeats: bool = False
    """Whether the sensor is known to be so noisy that no two of its frames are alike, whatever it looks at."""
    hole_share: float | None = None
    """Largest share of holes (0..1) that passes; None: training's and a quarter more, at most 0.95; untrained 0.5."""
    saturated_share: float = 0.98
    """Share of values (0..1) at one end of the number range from which a frame says nothing."""
    mean_low: float | None = None
    """Least mean of a good frame, in the sensor's unit; None: training's least, less twice training's range."""
    mean_high: float | None = None
    """Largest mean of a good frame."""
    entropy_low: float | None = None
    """Least entropy of a good frame in bits (0..5) where mean and contrast are training's; None: see content.py."""
    entropy_high: float | None = None
    """Largest entropy of a good frame in bits (0..5)."""
    noise_ratio: float = 1.8
    """Mean squared step between neighbours over the variance; from here it is white noise, which has 2."""
    loud_std: float | None = None
    """Noise fainter than this is no fault; None: half of training's standard deviation, or a tenth of the range."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is not None and not math.isfinite(value):
                raise RecipeError(f"health: {field.name} is {value}", expected="a finite number")
        shares = [self.saturated_share, *([] if self.hole_share is None else [self.hole_share])]
        if not all(0 < share <= 1 for share in shares):
            raise RecipeError(f"health: shares {shares}", expected="above 0, at most 1")
        if not (self.off_periods > 1 and self.slow_periods > 1 and self.gap_periods > 1):
            found = f"health: off {self.off_periods}, slow {self.slow_periods}, gap {self.gap_periods} periods"
            raise RecipeError(found, expected="above 1, or every frame is late")
        if self.gaps < 1 or self.stuck_repeats < 1:
            raise RecipeError(f"health: gaps {self.gaps}, stuck_repeats {self.stuck_repeats}", expected="1 or more")
        for name, low, high in (
            ("mean", self.mean_low, self.mean_high),
            ("entropy", self.entropy_low, self.entropy_high),
        ):
            if low is not None and high is not None and low > high:
                raise RecipeError(f"health: {name} {low}..{high}", expected="low first")
