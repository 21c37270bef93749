"""The aerial kind: colour and height above ground, five classes."""

from __future__ import annotations

import numpy as np

from dis2_train.synth.ground import lay_streets, paint_ground
from dis2_train.synth.light import draw_sun, lit, photograph
from dis2_train.synth.noise import Field, Rng, blur, grain, shifted, value_noise
from dis2_train.synth.plants import put_trees
from dis2_train.synth.roofs import put_buildings
from dis2_train.synth.scene import Scene
from dis2_train.synth.traffic import put_cars
from dis2_train.synth.world import Kind, World, empty_world

PIXEL_M = 0.3


def aerial_scene(rng: Rng, shape: tuple[int, int]) -> Scene:
    """A scene of `shape` (height, width) pixels: rgb HxWx3 uint8, ndsm HxWx1 float32 metres with NaN holes."""
    world = empty_world(rng, shape, PIXEL_M)
    streets = lay_streets(rng, world)
    yards = paint_ground(rng, world, streets)
    put_buildings(rng, world, streets)
    put_cars(rng, world, streets, yards)
    put_trees(rng, world)
    rgb = photograph(rng, lit(world, draw_sun(rng)), exposure=1.1)
    label = np.minimum(world.kind, Kind.CAR).astype(np.uint8)
    return Scene({"rgb": rgb, "ndsm": measured_height(rng, world)[..., None]}, label, "day")


def measured_height(rng: Rng, world: World) -> Field:
    """HxW metres as a height sensor gives them: without driving cars, bled over edges, noisy, with holes (NaN)."""
    height = np.where(world.moving & (world.kind == Kind.CAR), np.float32(0), world.height)
    rows, columns = rng.integers(-1, 2, 2)
    around = np.stack([shifted(height, dy, dx) for dy, dx in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))])
    bled = np.where(world.clutter > 0.6, around.max(axis=0), np.where(world.clutter < 0.35, around.min(axis=0), height))
    bled = blur(shifted(bled, int(rows), int(columns)) if rng.random() < 0.3 else bled, float(rng.uniform(0.3, 0.9)))
    drift = 0.8 * (value_noise(rng, world.shape, 25 / world.pixel_m) - 0.5)
    noisy = bled + drift + float(rng.uniform(0.04, 0.16)) * grain(rng, world.shape)
    through = (world.kind == Kind.TREE) & (rng.random(world.shape, dtype=np.float32) < 0.06)
    noisy[through] *= rng.random(int(through.sum()), dtype=np.float32)
    return _with_holes(rng, world, noisy.astype(np.float32))


def _with_holes(rng: Rng, world: World, height: Field) -> Field:
    """Holes where nothing came back: beside walls, on dark roofs, and in a few blots."""
    steep = np.maximum(np.abs(np.gradient(world.height, axis=0)), np.abs(np.gradient(world.height, axis=1))) > 1.5
    lost = steep & (rng.random(world.shape, dtype=np.float32) < float(rng.uniform(0, 0.12)))
    if rng.random() < 0.6:
        lost |= value_noise(rng, world.shape, 3 / world.pixel_m, 2) > float(rng.uniform(0.8, 0.9))
    height[lost] = np.nan
    return height
