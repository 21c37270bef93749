"""Trees: rough canopies of lawn's own colours that hang over roads, cars and roofs."""

from __future__ import annotations

import numpy as np

from dis2_train.synth.noise import Rng
from dis2_train.synth.world import Kind, Material, World, colour, textured

_LEAVES = (
    colour(0.21, 0.30, 0.13),
    colour(0.17, 0.24, 0.12),
    colour(0.27, 0.34, 0.17),
    colour(0.36, 0.34, 0.17),
    colour(0.33, 0.21, 0.13),
)


def put_trees(rng: Rng, world: World) -> None:
    """Put single trees and groves; none grows out of a house or of the middle of a road."""
    extent = np.array(world.shape) * world.pixel_m
    groves = rng.uniform(0, extent, (max(1, int(world.area_m2 / 900)), 2))
    rooted = (world.kind == Kind.LOW_VEGETATION) | (world.material == Material.STONE)
    rooted &= world.height < 2
    for _ in range(int(world.area_m2 / rng.uniform(45, 110)) + 2):
        grove = groves[int(rng.integers(len(groves)))]
        y, x = rng.uniform(-2, extent + 2) if rng.random() < 0.6 else grove + rng.normal(0, 4.5, 2)
        row, column = (int(np.clip(v / world.pixel_m, 0, n - 1)) for v, n in zip((y, x), world.shape, strict=True))
        if rooted[row, column]:
            _put(rng, world, float(y), float(x))


def _put(rng: Rng, world: World, y: float, x: float) -> None:
    radius = float(rng.choice((rng.uniform(0.9, 1.6), rng.uniform(1.6, 3.2), rng.uniform(3, 4.8)), p=(0.25, 0.5, 0.25)))
    found = world.around(y, x, float(rng.uniform(0, np.pi)), radius * 1.35)
    if found is None:
        return
    place, a, b = found
    rough = world.clutter[place]
    far = np.hypot(a, b * np.float32(rng.uniform(0.85, 1.2))) / np.float32(radius)
    where = far + 0.9 * (rough - 0.5) < 0.95
    top = np.float32(radius * rng.uniform(1.4, 2.4) + 1.2)
    dome = np.sqrt(np.maximum(1 - np.square(np.minimum(far, 1)), 0.05))
    height = (top * (0.45 + 0.55 * dome) * (0.72 + 0.55 * rough)).astype(np.float32)
    leaf = _LEAVES[int(rng.choice(len(_LEAVES), p=(0.32, 0.28, 0.22, 0.1, 0.08)))]
    leaf = leaf * np.float32(rng.uniform(0.85, 1.2))
    tint = textured(rng, leaf, rough, 1.0, 0.1)
    world.paint(place, where, height, tint, Kind.TREE, Material.CANOPY, float(rng.normal(0, 0.4)))
