"""The ground: streets with markings, pavements, yards, lawns and the hedges between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dis2_train.synth.noise import Field, Rng, value_noise
from dis2_train.synth.world import Kind, Mask, Material, World, colour, textured

_LAWNS = (
    colour(0.21, 0.30, 0.13),
    colour(0.27, 0.34, 0.18),
    colour(0.18, 0.25, 0.12),
    colour(0.42, 0.39, 0.25),
)
PAVINGS = (
    (colour(0.27, 0.27, 0.28), Material.ASPHALT),
    (colour(0.36, 0.35, 0.35), Material.ASPHALT),
    (colour(0.50, 0.48, 0.45), Material.STONE),
    (colour(0.46, 0.33, 0.28), Material.STONE),
)
"""Colours of roads and yards; flat roofs and tiles take the same ones, so that colour alone cannot tell them."""


@dataclass
class Streets:
    """Where the streets run. Fields are HxW."""

    along: Field
    """Metres along the first family of streets."""
    across: Field
    """Metres across it."""
    first: Field
    """Signed metres from the middle of the nearest street of the first family."""
    second: Field
    """Signed metres from the middle of the nearest street that crosses."""
    first_half_m: float
    """Half width of the first family."""
    second_half_m: float
    """Half width of the crossing family."""
    walk_m: float
    """Width of the pavement on either side."""

    @property
    def road(self) -> Mask:
        """The carriageways."""
        return (np.abs(self.first) < self.first_half_m) | (np.abs(self.second) < self.second_half_m)

    @property
    def public(self) -> Mask:
        """Carriageways and pavements."""
        return (np.abs(self.first) < self.first_half_m + self.walk_m) | (
            np.abs(self.second) < self.second_half_m + self.walk_m
        )


def lay_streets(rng: Rng, world: World) -> Streets:
    """Two families of slightly bent streets across the world."""
    y, x = ((np.indices(world.shape, dtype=np.float32) + 0.5) * world.pixel_m).astype(np.float32)
    cos, sin = np.float32(np.cos(world.angle)), np.float32(np.sin(world.angle))
    bend = [np.float32(5) * value_noise(rng, world.shape, 40 / world.pixel_m) for _ in range(2)]
    along, across = x * cos + y * sin + bend[0], y * cos - x * sin + bend[1]
    periods, starts = rng.uniform((30, 42), (50, 80)), rng.uniform(0, 80, 2)
    return Streets(
        along=along,
        across=across,
        first=_to_nearest(across, periods[0], starts[0]),
        second=_to_nearest(along, periods[1], starts[1]),
        first_half_m=float(rng.uniform(2.6, 3.9)),
        second_half_m=float(rng.uniform(2.2, 3.2)),
        walk_m=float(rng.uniform(1.2, 2.2)),
    )


def paint_ground(rng: Rng, world: World, streets: Streets) -> Mask:
    """Paint lots, hedges, pavements, roads and their markings; the mask of paved yards is given back."""
    rough = value_noise(rng, world.shape, 2.5 / world.pixel_m, 3)
    broad = value_noise(rng, world.shape, 9 / world.pixel_m, 2)
    yards = _paint_lots(rng, world, streets, rough, broad)
    _paint_hedges(rng, world, streets)
    public, road = streets.public, streets.road
    walk_colour, _ = PAVINGS[int(rng.integers(1, 4))]
    _cover(world, public & ~road, textured(rng, walk_colour * 1.15, rough, 0.2), Material.STONE)
    base, material = PAVINGS[int(rng.choice(3, p=(0.5, 0.4, 0.1)))]
    worn = textured(rng, base, 0.5 * (rough + broad), 0.45)
    patches = value_noise(rng, world.shape, 4 / world.pixel_m) > 0.8
    worn[patches] *= np.float32(0.75)
    _cover(world, road, worn, material)
    _paint_markings(world, streets)
    return yards & ~public


def _to_nearest(metres: Field, period_m: float, start_m: float) -> Field:
    distance: Field = np.mod(metres + np.float32(start_m), np.float32(period_m)) - np.float32(period_m / 2)
    return distance


def _cover(world: World, where: Mask, colours: Field, material: Material) -> None:
    """Make `where` flat paved ground."""
    world.albedo[where] = colours[where]
    world.kind[where], world.material[where] = Kind.IMPERVIOUS, material
    world.height[where] = 0.0


def _paint_lots(rng: Rng, world: World, streets: Streets, rough: Field, broad: Field) -> Mask:
    """Lawns and yards, lot by lot; the yards are given back."""
    lot = _lots(streets, 9.0, 12.0)
    which = rng.choice(len(_LAWNS), 64, p=(0.35, 0.3, 0.2, 0.15))[lot]
    shade = (0.8 + 0.4 * rng.random(64, dtype=np.float32))[lot]
    dry = np.clip((broad - 0.55) * 4, 0, 0.7)[..., None]
    lawn = np.stack(_LAWNS)[which] * shade[..., None]
    lawn = lawn * (1 - dry) + _LAWNS[3] * dry
    stripes = 1 + 0.08 * np.sign(np.sin(streets.along * np.float32(2 * np.pi / 1.6))) * (which == 1)
    world.albedo[:] = textured(rng, colour(1, 1, 1), rough, 0.5, 0.07) * lawn * stripes[..., None]
    paved = (rng.random(64) < 0.22)[lot]
    paving = rng.integers(0, len(PAVINGS), 64)[lot]
    for index, (base, material) in enumerate(PAVINGS):
        _cover(world, paved & (paving == index), textured(rng, base, rough, 0.35), material)
    return paved


def _paint_hedges(rng: Rng, world: World, streets: Streets) -> None:
    """Hedges and low walls on borders of lots: as high as a car, and as green as a lawn or as grey as a road."""
    lot = _lots(streets, 9.0, 12.0)
    half = 0.35 + 0.4 * world.clutter
    border = (np.abs(np.mod(streets.along, 9.0) - 4.5) > 4.5 - half) | (
        np.abs(np.mod(streets.across, 12.0) - 6.0) > 6.0 - half
    )
    choice = rng.choice(3, 64, p=(0.5, 0.35, 0.15))[lot]
    tall = (0.7 + rng.random(64, dtype=np.float32))[lot] * (0.75 + 0.5 * world.clutter)
    everywhere = slice(0, world.shape[0]), slice(0, world.shape[1])
    green = textured(rng, colour(0.15, 0.22, 0.10), world.clutter, 0.9, 0.1)
    world.paint(everywhere, border & (choice == 1), tall, green, Kind.LOW_VEGETATION, Material.GRASS)
    wall = border & (choice == 2) & (half < 0.6)
    world.paint(everywhere, wall, tall, colour(0.42, 0.40, 0.38), Kind.IMPERVIOUS, Material.STONE)


def _lots(streets: Streets, along_m: float, across_m: float) -> npt.NDArray[np.intp]:
    """A number 0..63 for the lot of each pixel."""
    column, row = np.floor(streets.along / along_m), np.floor(streets.across / across_m)
    numbers: npt.NDArray[np.intp] = np.mod(column * 7 + row * 13, 64).astype(np.intp)
    return numbers


def _paint_markings(world: World, streets: Streets) -> None:
    """Dashed middle lines, and zebra crossings before junctions."""
    line_m = max(0.09, 0.45 * world.pixel_m)
    crossing_free = np.abs(streets.second) > streets.second_half_m + 1
    dashes = (np.abs(streets.first) < line_m) & (np.mod(streets.along, 5.0) < 2.6) & crossing_free
    far = np.abs(streets.second) - streets.second_half_m
    bars = (np.abs(streets.first) < streets.first_half_m - 0.3) & (far > 1.0) & (far < 3.4)
    bars &= np.mod(streets.across, 1.1) < 0.55
    white = (dashes | bars) & (world.clutter > 0.25)
    world.albedo[white] = 0.55 * world.albedo[white] + 0.33
