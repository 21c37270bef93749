"""Cars that drive and park, and people on foot."""

from __future__ import annotations

import numpy as np

from dis2_train.synth.ground import Streets
from dis2_train.synth.noise import Rng
from dis2_train.synth.world import Kind, Mask, Material, World, colour

_PAINTS = (
    colour(0.75, 0.75, 0.75),
    colour(0.48, 0.49, 0.50),
    colour(0.06, 0.06, 0.07),
    colour(0.28, 0.29, 0.31),
    colour(0.45, 0.08, 0.07),
    colour(0.08, 0.14, 0.38),
    colour(0.14, 0.24, 0.16),
)
_GLASS = colour(0.05, 0.06, 0.07)


def put_cars(rng: Rng, world: World, streets: Streets, yards: Mask) -> None:
    """Put cars on lanes and kerbs along the street, and on yards in either direction."""
    distance = np.where(
        np.abs(streets.first) < streets.first_half_m,
        streets.first_half_m - np.abs(streets.first),
        streets.second_half_m - np.abs(streets.second),
    )
    lanes = streets.road & (distance > 0.9) & (distance < 1.8) & (world.height < 0.5)
    parking = yards & (world.height < 0.5)
    taken = world.height > 0.5
    for spots, area_m2, direction in ((lanes, 26.0, 0.0), (parking, 40.0, np.pi / 2)):
        rows, columns = np.nonzero(spots)
        for _ in range(int(rows.size * world.pixel_m**2 / area_m2 * rng.uniform(0.4, 1.6)) if rows.size else 0):
            index = int(rng.integers(rows.size))
            row, column = int(rows[index]), int(columns[index])
            crossing = abs(float(streets.first[row, column])) >= streets.first_half_m
            turn = np.pi / 2 if direction == 0.0 and crossing else direction * rng.integers(0, 2)
            _put_car(rng, world, taken, (row, column), float(world.angle + turn + rng.normal(0, 0.05)))


def put_people(rng: Rng, world: World) -> None:
    """Put people, alone and in groups, on open ground; most of them stand or walk upright and are small from above."""
    extent = np.array(world.shape) * world.pixel_m
    for _ in range(int(world.area_m2 / 130 * rng.uniform(0.3, 1.6)) + 1):
        centre = rng.uniform(0, extent)
        for _ in range(int(rng.integers(1, 4))):
            y, x = centre + rng.normal(0, 0.9, 2)
            _put_person(rng, world, float(y), float(x))


def _put_car(rng: Rng, world: World, taken: Mask, at: tuple[int, int], angle: float) -> None:
    van = rng.random() < 0.12
    long, wide = (rng.uniform(5, 6.4), rng.uniform(2, 2.2)) if van else (rng.uniform(3.9, 4.8), rng.uniform(1.7, 1.9))
    found = world.around((at[0] + 0.5) * world.pixel_m, (at[1] + 0.5) * world.pixel_m, angle, float(long / 2 + 0.6))
    if found is None:
        return
    place, a, b = found
    if taken[place][(np.abs(a) < long / 2 + 0.5) & (np.abs(b) < wide / 2 + 0.3)].any():
        return
    body = (np.abs(2 * a / long) ** 4 + np.abs(2 * b / wide) ** 4) < 1
    taken[place][body] = True
    cabin = (np.abs(a + 0.25) < long * (0.4 if van else 0.24)) & (np.abs(b) < wide * 0.42)
    top = np.float32(2.3 if van else 1.5)
    height = np.where(cabin, top, np.float32(0.9)) + np.float32(rng.normal(0, 0.05))
    paint = _PAINTS[int(rng.choice(len(_PAINTS), p=(0.24, 0.2, 0.17, 0.17, 0.09, 0.08, 0.05)))]
    driven = rng.random() < 0.4
    warmth = float(rng.uniform(2, 6)) if driven else float(rng.normal(-0.5, 0.8))
    tint = np.broadcast_to(paint * np.float32(rng.uniform(0.8, 1.2)), (*a.shape, 3)).copy()
    glass = cabin & (np.abs(np.abs(a + 0.25) - long * 0.2) < 0.28)
    tint[glass] = _GLASS
    world.paint(place, body, height.astype(np.float32), tint, Kind.CAR, Material.CAR_BODY, warmth)
    if driven:
        hood = body & (a > long * 0.22) & (np.abs(b) < wide * 0.42) & (world.kind[place] == Kind.CAR)
        world.material[place][hood] = Material.ENGINE
    world.moving[place] |= body & bool(driven and rng.random() < 0.6)


def _put_person(rng: Rng, world: World, y: float, x: float) -> None:
    found = world.around(y, x, float(rng.uniform(0, np.pi)), 1.2)
    if found is None or world.height[found[0]][tuple(n // 2 for n in found[1].shape)] > 1.0:
        return
    place, a, b = found
    lying = rng.random() < 0.12
    long, wide = (1.7, 0.5) if lying else (rng.uniform(0.65, 0.95), rng.uniform(0.5, 0.7))
    where = np.square(2 * a / long) + np.square(2 * b / wide) < 1
    tall = np.full(a.shape, 0.4 if lying else 1.7, np.float32)
    cloth = rng.uniform(0.05, 0.7) * rng.dirichlet((4, 4, 4)) * 2
    world.paint(place, where, tall, colour(*cloth), Kind.PERSON, Material.SKIN, float(rng.normal(0, 1.2)))
