"""What a sensor's frames looked like over a split: for normalisation, and for the thresholds of health."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SensorStatistics:
    """Figures of one sensor, in its unit. Holes count in none of them but `hole_share_high`."""

    name: str
    """The sensor."""
    mean: tuple[float, ...]
    """Mean of each channel."""
    std: tuple[float, ...]
    """Standard deviation of each channel."""
    low: float
    """0.1 percentile of all values."""
    high: float
    """99.9 percentile of all values."""
    frame_mean_low: float
    """Lowest mean of a frame, with margin."""
    frame_mean_high: float
    """Highest mean of a frame, with margin."""
    frame_std_low: float
    """Lowest standard deviation of a frame, with margin."""
    frame_std_high: float
    """Highest standard deviation of a frame, with margin."""
    hole_share_high: float
    """Largest share (0..1) of holes in a frame, with margin."""
