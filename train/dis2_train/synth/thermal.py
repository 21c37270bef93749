"""The thermal kind: colour and thermal infrared, at any hour; five classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dis2_train.synth.ground import lay_streets, paint_ground
from dis2_train.synth.heat import HOURS, apparent_heat
from dis2_train.synth.infrared import counts
from dis2_train.synth.lamps import flare, headlights, street_lamps
from dis2_train.synth.light import Sun, draw_sun, lit, photograph
from dis2_train.synth.noise import Field, Rng
from dis2_train.synth.plants import put_trees
from dis2_train.synth.roofs import put_buildings
from dis2_train.synth.scene import Scene
from dis2_train.synth.traffic import put_cars, put_people
from dis2_train.synth.world import World, empty_world

PIXEL_M = 0.18
CONDITIONS = ("day", "dusk", "night", "glare")
CLASS_OF_KIND = np.array([0, 1, 2, 2, 3, 4], np.uint8)
"""`Kind` -> ground, building, vegetation, car, person."""
EVENING = {"day": -1.0, "glare": 0.30, "dusk": 0.44, "night": 0.66}
"""Condition -> where along a flight it begins, as a share of its length; the day was there before."""
DAY_TO_NIGHT = "day to night"
_TURN = 0.05
"""Share of a flight's length in which one condition turns into the next."""


@dataclass(frozen=True)
class Look:
    """What reaches the camera in a condition, and how it answers."""

    sun: float
    """Direct light, 1 on a clear day."""
    sky: float
    """Light from the whole sky."""
    exposure: float
    """Gain of the camera."""
    noise: float
    """Its noise against that of a day."""
    veil: float = 1.0
    """Haze against that of a day, which is lit."""


_LOOKS = {
    "day": Look(1.0, 0.35, 1.15, 1.0),
    "dusk": Look(0.04, 0.17, 1.2, 2.2, 0.5),
    "night": Look(0.0, 0.008, 1.4, 2.2, 0.1),
    "glare": Look(0.75, 0.35, 1.15, 1.0),
}


def thermal_scene(rng: Rng, shape: tuple[int, int], number: int) -> Scene:
    """A scene of `shape` (height, width) pixels: rgb HxWx3 uint8, thermal HxWx1 uint16 centikelvin, dead pixels 0.

    `number` is its place in the split: conditions take turns, so that every split has as much of each.
    """
    condition = CONDITIONS[number % len(CONDITIONS)]
    return _seen(rng, shape, {condition: np.ones((1, shape[1]), np.float32)}, condition)


def thermal_flight(rng: Rng, shape: tuple[int, int]) -> Scene:
    """A strip from whose left end to the right one the day turns to night, with a low sun in between."""
    return _seen(rng, shape, evening(shape[1]), DAY_TO_NIGHT)


def evening(width: int) -> dict[str, Field]:
    """Condition -> 1xW, how much of it there is in each column of a flight; they sum to 1."""
    along = (np.arange(width, dtype=np.float32)[None] + 0.5) / np.float32(width)
    begun = [np.clip((along - np.float32(start)) / np.float32(_TURN) + 0.5, 0, 1) for start in EVENING.values()]
    over = [*begun[1:], np.zeros_like(along)]
    return {name: rise - gone for name, rise, gone in zip(EVENING, begun, over, strict=True)}


def _seen(rng: Rng, shape: tuple[int, int], mix: Mapping[str, Field], condition: str) -> Scene:
    """A world as both sensors see it, under a mix of conditions, 1xW each."""
    world = _town(rng, shape)
    suns = {name: _sun(rng, name) for name in mix}
    frames: dict[str, npt.NDArray[Any]] = {
        "rgb": _picture(rng, world, suns, mix),
        "thermal": _heat(rng, world, suns, mix)[..., None],
    }
    return Scene(frames, CLASS_OF_KIND[world.kind], condition)


def _town(rng: Rng, shape: tuple[int, int]) -> World:
    world = empty_world(rng, shape, PIXEL_M)
    streets = lay_streets(rng, world)
    yards = paint_ground(rng, world, streets)
    put_buildings(rng, world, streets)
    put_cars(rng, world, streets, yards)
    put_people(rng, world)
    put_trees(rng, world)
    return world


def _sun(rng: Rng, condition: str) -> Sun:
    if condition == "day":
        return draw_sun(rng)
    look = _LOOKS[condition]
    return Sun(float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(0.35, 0.5)), look.sun, look.sky)


def _heat(rng: Rng, world: World, suns: Mapping[str, Sun], mix: Mapping[str, Field]) -> npt.NDArray[np.uint16]:
    """HxW centikelvin; the sky is as clear as the sun is strong by day, and drawn where there is none."""
    heat, air = np.zeros(world.shape, np.float32), np.zeros((1, world.shape[1]), np.float32)
    for name, share in mix.items():
        clear = suns[name].strength if name == "day" else float(rng.uniform(0.5, 1.0))
        heat += share * apparent_heat(rng, world, suns[name], HOURS[name], clear)
        air += share * np.float32(HOURS[name].air)
    return counts(rng, heat, air)


def _picture(rng: Rng, world: World, suns: Mapping[str, Sun], mix: Mapping[str, Field]) -> npt.NDArray[np.uint8]:
    light = np.zeros((*world.shape, 3), np.float32)
    for name, share in mix.items():
        light += share[..., None] * _light(rng, world, suns[name], name, share)
    exposure, noise, veil = (
        sum(share[..., None] * np.float32(getattr(_LOOKS[name], what)) for name, share in mix.items())
        for what in ("exposure", "noise", "veil")
    )
    return photograph(rng, light, exposure=exposure, noise=noise, veil=veil)


def _light(rng: Rng, world: World, sun: Sun, condition: str, share: Field) -> Field:
    """HxWx3 light of one condition; `share`, 1xW, says in which columns it is seen at all."""
    light = lit(world, sun)
    if condition == "night":
        light += world.albedo * street_lamps(rng, world) + headlights(rng, world)
    if condition == "glare":
        columns = np.nonzero(share[0])[0]
        light = light * 0.8 + flare(rng, world.shape, (int(columns[0]), int(columns[-1]) + 1))
    return light
