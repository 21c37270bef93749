"""The thermal kind: a drone's camera and its thermal camera by day, at dusk, by night and in glare; five classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dis2_train.synth.ground import lay_streets, paint_ground
from dis2_train.synth.light import Sun, draw_sun, lit, photograph, shadows
from dis2_train.synth.noise import Field, Rng, blur, grain, value_noise
from dis2_train.synth.plants import put_trees
from dis2_train.synth.roofs import put_buildings
from dis2_train.synth.scene import Scene
from dis2_train.synth.traffic import put_cars, put_people
from dis2_train.synth.world import Kind, Material, World, colour, empty_world

PIXEL_M = 0.18
CONDITIONS = ("day", "dusk", "night", "glare")
CLASS_OF_KIND = np.array([0, 1, 2, 2, 3, 4], np.uint8)
"""`Kind` -> ground, building, vegetation, car, person."""
_KELVIN = {
    #         asphalt stone  grass  canopy tile   metal  flat   car    engine skin
    "day":   (307.0, 304.0, 299.0, 296.5, 308.0, 301.0, 309.0, 305.0, 312.0, 305.0),
    "dusk":  (293.5, 292.5, 290.0, 291.0, 292.0, 287.0, 292.5, 291.0, 304.0, 302.0),
    "night": (287.0, 286.0, 281.5, 283.5, 284.5, 278.5, 284.0, 282.0, 301.0, 300.0),
    "glare": (297.0, 295.5, 291.0, 291.5, 297.0, 290.0, 297.5, 295.0, 305.0, 302.5),
}  # fmt: skip
_SUN_KELVIN = {"day": 8.0, "dusk": 1.0, "night": 0.0, "glare": 4.0}


def thermal_scene(rng: Rng, shape: tuple[int, int]) -> Scene:
    """A scene of `shape` (height, width) pixels: rgb HxWx3 uint8, thermal HxWx1 uint16 centikelvin, dead pixels 0."""
    condition = CONDITIONS[int(rng.integers(len(CONDITIONS)))]
    world = empty_world(rng, shape, PIXEL_M)
    streets = lay_streets(rng, world)
    yards = paint_ground(rng, world, streets)
    put_buildings(rng, world, streets)
    put_cars(rng, world, streets, yards)
    put_people(rng, world)
    put_trees(rng, world)
    sun = _sun(rng, condition)
    frames: dict[str, npt.NDArray[Any]] = {
        "rgb": _picture(rng, world, sun, condition),
        "thermal": measured_heat(rng, world, sun, condition)[..., None],
    }
    return Scene(frames, CLASS_OF_KIND[world.kind], condition)


def measured_heat(rng: Rng, world: World, sun: Sun, condition: str) -> npt.NDArray[np.uint16]:
    """HxW centikelvin: heat of materials and of what ran or lives, then the camera's blur, drift, stripes and noise."""
    heat = np.asarray(_KELVIN[condition], np.float32)[world.material] + world.warmth
    heat += 1.6 * (value_noise(rng, world.shape, 3 / world.pixel_m, 3) - 0.5) + 1.0 * (world.clutter - 0.5)
    hidden = shadows(world, sun) * (world.kind != Kind.PERSON)
    heat -= np.float32(_SUN_KELVIN[condition] * sun.strength) * (hidden - 0.15)
    seen = blur(heat, float(rng.uniform(0.6, 1.2)))
    seen += float(rng.normal(0, 1.2)) + 1.2 * (value_noise(rng, world.shape, max(world.shape) / 2) - 0.5)
    seen += 0.06 * grain(rng, (1, world.shape[1])) + float(rng.uniform(0.05, 0.15)) * grain(rng, world.shape)
    centikelvin = np.rint(np.clip(seen, 223.15, 423.15) * 100).astype(np.uint16)
    centikelvin[rng.random(world.shape, dtype=np.float32) < 0.0004] = 0
    return centikelvin


def _sun(rng: Rng, condition: str) -> Sun:
    if condition == "day":
        return draw_sun(rng)
    strength, sky = {"dusk": (0.04, 0.17), "night": (0.0, 0.012), "glare": (0.75, 0.35)}[condition]
    return Sun(float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(0.35, 0.5)), strength, sky)


def _picture(rng: Rng, world: World, sun: Sun, condition: str) -> npt.NDArray[np.uint8]:
    light = lit(world, sun)
    if condition == "night":
        light += world.albedo * _lamps(rng, world)
        light += _headlights(rng, world)
    if condition == "glare":
        light = light * 0.8 + _flare(rng, world.shape)
    noise = {"day": 1.0, "dusk": 2.2, "night": 4.0, "glare": 1.0}[condition]
    return photograph(
        rng, light, exposure={"day": 1.15, "dusk": 1.3, "night": 1.6, "glare": 1.15}[condition], noise=noise
    )


def _lamps(rng: Rng, world: World) -> Field:
    """HxWx3 pools of warm light under a few street lamps; some streets have none."""
    y, x = np.indices(world.shape, dtype=np.float32) * np.float32(world.pixel_m)
    pool = np.zeros(world.shape, np.float32)
    for _ in range(int(rng.integers(0, 3) * max(1.0, world.area_m2 / 600))):
        at = rng.uniform(0, np.array(world.shape) * world.pixel_m)
        pool += 0.5 / np.square(1 + (np.square(y - at[0]) + np.square(x - at[1])) / np.float32(rng.uniform(8, 25)))
    return pool[..., None] * colour(1.2, 0.95, 0.6)


def _headlights(rng: Rng, world: World) -> Field:
    """HxWx3 glow around cars that drive."""
    lamps = (world.material == Material.ENGINE) & (rng.random(world.shape, dtype=np.float32) < 0.08)
    glow = blur(lamps.astype(np.float32), 0.5 / world.pixel_m) * 2
    return glow[..., None] * colour(1.0, 0.97, 0.85)


def _flare(rng: Rng, shape: tuple[int, int]) -> Field:
    """HxWx3 light that low sun throws into the lens: a veil over all, a burnt-out part, streaks away from it."""
    y, x = np.indices(shape, dtype=np.float32) / np.float32(max(shape))
    at, ray = rng.uniform(-0.1, 1.1, 2), rng.uniform(0, np.pi)
    dy, dx = y - np.float32(at[0]), x - np.float32(at[1])
    far = np.square(dy) + np.square(dx)
    streak = np.abs(dx * np.sin(ray) - dy * np.cos(ray))
    glow = 1.6 / (1 + far * float(rng.uniform(14, 45))) + 0.35 * np.exp(-streak * 30) / (1 + 3 * far) + 0.08
    flare: Field = glow[..., None].astype(np.float32) * colour(1.0, 0.95, 0.82)
    return flare
