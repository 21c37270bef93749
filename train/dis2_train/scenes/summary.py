"""What a prediction found, as tables: area of each class, share of the scene by scenario, speed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dis2_edge.terminal import say, table


@dataclass(frozen=True)
class Summary:
    """Counts over a whole scene."""

    size: tuple[int, int]
    """Rows and columns of the scene."""
    class_pixels: dict[str, int]
    """Pixels of each class in the mask."""
    scenario_pixels: dict[str, int]
    """Pixels that each scenario answered."""
    windows: int
    """Windows that were looked at."""
    seconds: float
    """From opening the scene to the finished files."""
    pixel_m2: float | None
    """Area of a pixel in m²; None where the scene's system is not in metres."""

    @property
    def pixels(self) -> int:
        """Pixels of the scene."""
        return self.size[0] * self.size[1]

    @property
    def empty(self) -> int:
        """Pixels without an answer: nodata in the mask."""
        return self.pixels - sum(self.class_pixels.values())

    @property
    def megapixels_per_second(self) -> float:
        """Speed over all, reading and writing included."""
        return self.pixels / 1e6 / self.seconds if self.seconds else 0.0


def show(summary: Summary) -> None:
    """Print the tables."""
    unit = "pixels" if summary.pixel_m2 is None else "m²"
    rows = {**summary.class_pixels, "(no data)": summary.empty}
    table("classes", ["class", unit, "% of the scene"], _rows(rows.items(), summary, summary.pixel_m2 or 1))
    scenarios = {**summary.scenario_pixels, "(no data)": summary.empty}
    table("scenarios", ["scenario", "pixels", "% of the scene"], _rows(scenarios.items(), summary, 1))
    height, width = summary.size
    speed = f"{summary.megapixels_per_second:.2f} megapixels a second"
    say(f"{height}x{width} pixels in {summary.seconds:.1f} s, {summary.windows} windows: {speed}")


def _rows(counts: Iterable[tuple[str, int]], summary: Summary, each: float) -> list[list[str]]:
    return [
        [name, f"{count * each:.0f}", f"{100 * count / summary.pixels:.1f}"]
        for name, count in counts
        if count or name != "(no data)"
    ]
