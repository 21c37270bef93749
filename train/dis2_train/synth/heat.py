"""Heat: how warm a surface is at an hour, and how warm a thermal camera takes it to be.

A surface is warmer than the air by what the sun gives now and by what it kept since, and colder by what it loses to
the sky. Heavy ones (roads) keep, thin ones (cars, metal, grass) do not: that turns much of the contrast round from day
to night, and near sunset most surfaces pass each other (thermal crossover). The camera sees emissivity times the
surface's radiance, and for the rest the cold sky in it; both as fourth powers of temperature.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dis2_train.synth.light import Sun, facing, shadows
from dis2_train.synth.noise import Field, Rng, value_noise
from dis2_train.synth.world import Kind, Material, World


@dataclass(frozen=True)
class Hour:
    """What a time of day does to every surface."""

    air: float
    """Kelvin of the air."""
    sun: float
    """Share of the midday sun's warmth that surfaces have now."""
    kept: float
    """Share of the warmth that heavy surfaces can have over the air, which cools before them after sunset."""
    lost: float
    """Share of what a clear night takes."""


class Surface(NamedTuple):
    """How a material takes, keeps and shows heat; kelvin against the air."""

    sun: float
    """Gained in full midday sun."""
    kept: float
    """Kept after sunset, at most."""
    lost: float
    """Lost to a clear night sky."""
    emissivity: float
    """Share of a black body's radiance, 8 to 14 um."""
    inner: float = 0.0
    """Kelvin of a source of heat within: an engine, a body."""
    pull: float = 0.0
    """How far that source draws the surface from the air's temperature to its own."""


HOURS = {
    "day": Hour(297.0, 1.0, 0.2, 0.2),
    "dusk": Hour(290.0, 0.03, 0.4, 0.12),
    "night": Hour(282.5, 0.0, 0.8, 1.0),
    "glare": Hour(290.5, 0.5, 0.35, 0.35),
}
SURFACES = {
    Material.ASPHALT: Surface(12.0, 3.8, 0.8, 0.95),
    Material.STONE: Surface(9.0, 3.0, 0.8, 0.93),
    Material.GRASS: Surface(3.5, 0.4, 3.4, 0.98),
    Material.CANOPY: Surface(0.5, 1.2, 0.6, 0.98),
    Material.TILE: Surface(13.0, 2.0, 2.0, 0.93),
    Material.METAL_ROOF: Surface(9.0, 0.0, 2.0, 0.86),
    Material.FLAT_ROOF: Surface(14.0, 2.6, 2.4, 0.93),
    Material.CAR_BODY: Surface(10.0, 0.3, 2.4, 0.92),
    Material.ENGINE: Surface(3.0, 0.0, 0.5, 0.92, 330.0, 0.42),
    Material.SKIN: Surface(1.0, 0.0, 0.3, 0.98, 307.0, 0.6),
}
_SKY_KELVIN = (8.0, 45.0)
"""How much colder than the air the sky looks: under clouds, and more by this where it is clear."""


def apparent_heat(rng: Rng, world: World, sun: Sun, hour: Hour, clear: float) -> Field:
    """HxW kelvin as a camera of emissivity 1 takes them to be; `clear`: 1 under an open sky, 0 under clouds."""
    sunlit = (1 + 0.5 * (facing(world, sun) - 1)) * (1 - 0.7 * shadows(world, sun))
    sunlit[world.kind == Kind.PERSON] = 1.0
    heat = hour.air + _column("sun")[world.material] * np.float32(hour.sun * (0.2 + 0.8 * clear)) * sunlit
    heat += (_column("kept") * hour.kept - _column("lost") * (hour.lost * clear))[world.material]
    heat += (_column("pull") * np.maximum(_column("inner") - hour.air, 0))[world.material] + world.warmth
    rough = value_noise(rng, world.shape, 3 / world.pixel_m, 3) - 0.5 + 0.6 * (world.clutter - 0.5)
    heat += np.float32(0.9 + 0.9 * hour.sun) * rough
    return radiated(heat, _column("emissivity")[world.material], hour.air - _SKY_KELVIN[0] - _SKY_KELVIN[1] * clear)


def radiated(heat: Field, emissivity: Field, sky: float) -> Field:
    """HxW kelvin that a black body of the same radiance would have; `sky`: kelvin of what the surface mirrors."""
    seen: Field = (emissivity * heat**4 + (1 - emissivity) * np.float32(sky) ** 4) ** np.float32(0.25)
    return seen.astype(np.float32)


def _column(name: str) -> Field:
    """One figure of every material, by its number."""
    return np.array([getattr(SURFACES[material], name) for material in Material], np.float32)
