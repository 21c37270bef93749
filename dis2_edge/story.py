"""What a demo shows: which scenes, which networks, and what befalls the camera on the flight."""

from __future__ import annotations

from dataclasses import dataclass

_STRIP_WINDOWS = 7
"""Sides of a scene that a window moves by from one end of the flight's strip to the other."""


@dataclass(frozen=True)
class Story:
    """One demo's data, networks and flight."""

    kind: str
    """Kind of synthetic scenes."""
    why: str
    """What the scenes are made for."""
    sensors: tuple[str, ...]
    """Their sensors, the camera first."""
    networks: dict[str, str]
    """Name of each network's folders -> its recipe in `dis2_edge/recipes`."""
    lost: tuple[float, float]
    """When the camera falls silent and when it returns, in seconds; with `once_along` as shares of the flight."""
    once_along: bool = False
    """Whether the flight is as fast as takes it from the strip's one end to the other, once."""

    def faults(self, flight_s: float) -> str:
        """The text of FAULTS.toml."""
        start_s, end_s = (time * (flight_s if self.once_along else 1.0) for time in self.lost)
        return f"""# What happens in flight: the camera falls silent from second {start_s:g} to second {end_s:g}.
[[fault]]
sensor = "{self.sensors[0]}"
kind = "off"
start_s = {start_s:.1f}
length_s = {end_s - start_s:.1f}
"""

    def options(self, pixels: int, flight_s: float) -> str:
        """What follows the address of the flight over scenes of `pixels`."""
        return f"?speed_px_s={_STRIP_WINDOWS * pixels / flight_s:g}" if self.once_along else ""


DAY = Story(
    kind="aerial",
    why="make scenes where colour knows what height cannot, and the reverse",
    sensors=("rgb", "ndsm"),
    networks={"dis2": "demo.toml", "early_fusion": "demo_fusion.toml"},
    lost=(4.0, 8.0),
)
NIGHT = Story(
    kind="thermal",
    why="make scenes by day, at dusk, by night and in glare, for a camera and a thermal camera",
    sensors=("rgb", "thermal"),
    networks={"dis2": "demo.toml", "csknet": "demo_csknet.toml"},
    lost=(0.75, 1.0),
    once_along=True,
)
