"""What shines besides sun and sky: street lamps, headlights, and a low sun in the lens."""

from __future__ import annotations

import numpy as np

from dis2_train.synth.noise import Field, Rng, blur
from dis2_train.synth.world import Material, World, colour


def street_lamps(rng: Rng, world: World) -> Field:
    """HxWx3 pools of warm light under a few street lamps; some streets have none."""
    y, x = np.indices(world.shape, dtype=np.float32) * np.float32(world.pixel_m)
    pool = np.zeros(world.shape, np.float32)
    for _ in range(int(rng.poisson(max(0.4, world.area_m2 / 600)))):
        at = rng.uniform(0, np.array(world.shape) * world.pixel_m)
        pool += 0.35 / np.square(1 + (np.square(y - at[0]) + np.square(x - at[1])) / np.float32(rng.uniform(5, 16)))
    return pool[..., None] * colour(1.2, 0.95, 0.6)


def headlights(rng: Rng, world: World) -> Field:
    """HxWx3 glow around cars that drive."""
    bright = (world.material == Material.ENGINE) & (rng.random(world.shape, dtype=np.float32) < 0.12)
    core, halo = (blur(bright.astype(np.float32), reach_m / world.pixel_m) for reach_m in (0.35, 1.2))
    glow = 3 * core + halo
    return glow[..., None] * colour(1.0, 0.97, 0.85)


def flare(rng: Rng, shape: tuple[int, int], columns: tuple[int, int]) -> Field:
    """HxWx3 light that a low sun throws into the lens: a veil over all, a burnt-out part, streaks away from it.

    `columns`: the first one of the frame that it shines into, and the one behind the last.
    """
    side = np.float32(max(shape[0], columns[1] - columns[0]))
    y, x = np.indices(shape, dtype=np.float32)
    at, ray = rng.uniform(-0.1, 1.1, 2), rng.uniform(0, np.pi)
    dy, dx = y / side - np.float32(at[0]), (x - columns[0]) / side - np.float32(at[1])
    far = np.square(dy) + np.square(dx)
    streak = np.abs(dx * np.sin(ray) - dy * np.cos(ray))
    glow = 1.6 / (1 + far * float(rng.uniform(14, 45))) + 0.35 * np.exp(-streak * 30) / (1 + 3 * far) + 0.08
    found: Field = glow[..., None].astype(np.float32) * colour(1.0, 0.95, 0.82)
    return found
