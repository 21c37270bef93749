"""Buildings: flat, gabled and hipped roofs of materials that roads and lawns have too."""

from __future__ import annotations

import numpy as np

from dis2_train.synth.ground import PAVINGS, Streets
from dis2_train.synth.noise import Field, Rng, value_noise
from dis2_train.synth.world import Kind, Mask, Material, Place, World, colour, textured

_PITCHED = (
    (colour(0.46, 0.26, 0.20), Material.TILE),
    (colour(0.36, 0.19, 0.15), Material.TILE),
    (colour(0.22, 0.22, 0.24), Material.TILE),
    (colour(0.38, 0.36, 0.34), Material.TILE),
    (colour(0.52, 0.53, 0.55), Material.METAL_ROOF),
)
_FLAT = (
    *((base, Material.FLAT_ROOF) for base, _ in PAVINGS),
    (colour(0.62, 0.61, 0.60), Material.METAL_ROOF),
    (colour(0.25, 0.31, 0.15), Material.FLAT_ROOF),
)


def put_buildings(rng: Rng, world: World, streets: Streets) -> None:
    """Put houses wherever they stand clear of streets and of each other."""
    taken = streets.public
    rough = value_noise(rng, world.shape, 2.0 / world.pixel_m, 3)
    extent = np.array(world.shape) * world.pixel_m
    for _ in range(int(world.area_m2 / 14) + 6):
        y, x = rng.uniform(-3, extent + 3)
        long, wide = rng.uniform(7, 17), rng.uniform(5.5, 11)
        angle = world.angle + rng.choice((0, np.pi / 2)) + rng.normal(0, 0.03)
        found = world.around(float(y), float(x), float(angle), float(np.hypot(long, wide) / 2 + 1))
        if found is None:
            continue
        place, a, b = found
        near = (np.abs(a) < long / 2 + 1.2) & (np.abs(b) < wide / 2 + 1.2)
        if not near.any() or taken[place][near].any():
            continue
        taken[place][near] = True
        _put(rng, world, place, a, b, (float(long), float(wide)), rough)


def _put(rng: Rng, world: World, place: Place, a: Field, b: Field, size: tuple[float, float], rough: Field) -> None:
    """One house, of one rectangle or of two."""
    where = (np.abs(a) < size[0] / 2) & (np.abs(b) < size[1] / 2)
    if rng.random() < 0.35:  # a corner is cut out
        where &= ~((a * rng.choice((-1, 1)) > size[0] * 0.1) & (b * rng.choice((-1, 1)) > size[1] * 0.05))
    eaves = float(rng.choice((rng.uniform(2.6, 4.5), rng.uniform(4.5, 7.5), rng.uniform(7, 13)), p=(0.3, 0.5, 0.2)))
    warmth = float(rng.normal(0, 2.0))
    if rng.random() < 0.5:
        base, material = _FLAT[int(rng.choice(len(_FLAT), p=(0.24, 0.2, 0.16, 0.1, 0.15, 0.15)))]
        height = np.full(a.shape, eaves, np.float32)
        rim = where & ((np.abs(a) > size[0] / 2 - 0.4) | (np.abs(b) > size[1] / 2 - 0.4))
        height[rim] += 0.4
        amount = 0.35
    else:
        base, material = _PITCHED[int(rng.choice(len(_PITCHED), p=(0.3, 0.15, 0.2, 0.2, 0.15)))]
        height = eaves + _pitched(rng, a, b, size)
        amount = 0.3
    shade = float(rng.uniform(0.85, 1.15))
    tint = textured(rng, base * np.float32(shade), rough[place], amount)
    world.paint(place, where, height, tint, Kind.BUILDING, material, warmth)
    _furnish(rng, world, place, a, b, size, where)


def _pitched(rng: Rng, a: Field, b: Field, size: tuple[float, float]) -> Field:
    """Height over the eaves of a gabled or hipped roof."""
    slope = float(rng.uniform(0.35, 0.9))
    rise = size[1] / 2 - np.abs(b)
    if rng.random() < 0.4:
        rise = np.minimum(rise, size[0] / 2 - np.abs(a))
    return (np.float32(slope) * np.maximum(rise, 0)).astype(np.float32)


def _furnish(rng: Rng, world: World, place: Place, a: Field, b: Field, size: tuple[float, float], where: Mask) -> None:
    """Chimneys, machines, roof windows and solar panels."""
    for _ in range(int(rng.integers(1, 5))):
        at, off = rng.uniform(-0.4, 0.4, 2) * size
        item = where & (np.abs(a - at) < rng.uniform(0.25, 1.0)) & (np.abs(b - off) < rng.uniform(0.25, 0.9))
        grey = colour(*(rng.uniform(0.2, 0.65) * np.ones(3)))
        lifted = world.height[place] + np.float32(rng.uniform(0.2, 1.2))
        world.paint(place, item, lifted, grey, Kind.BUILDING, Material.METAL_ROOF, float(rng.uniform(0, 6)))
    if rng.random() < 0.25:
        panels = where & (np.abs(a) < size[0] * 0.3) & (b > size[1] * 0.1) & (b < size[1] * 0.4)
        world.albedo[place][panels] = colour(0.09, 0.11, 0.20)
        joints = panels & ((np.mod(a, 1.7) < world.pixel_m) | (np.mod(b, 1.0) < world.pixel_m))
        world.albedo[place][joints] = 0.3
