"""The world that sensors look at: height, truth, colour and material of every ground pixel, and brushes to paint it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from dis2_train.synth.noise import Field, Rng, grain, value_noise

Mask = npt.NDArray[np.bool_]
Place = tuple[slice, slice]


class Kind(IntEnum):
    """What stands at a pixel; the truth before a kind of data set names its classes."""

    IMPERVIOUS = 0
    BUILDING = 1
    LOW_VEGETATION = 2
    TREE = 3
    CAR = 4
    PERSON = 5


class Material(IntEnum):
    """What a surface is made of, as heat knows it."""

    ASPHALT = 0
    STONE = 1
    GRASS = 2
    CANOPY = 3
    TILE = 4
    METAL_ROOF = 5
    FLAT_ROOF = 6
    CAR_BODY = 7
    ENGINE = 8
    SKIN = 9


@dataclass
class World:
    """A piece of ground seen from straight above. Fields are HxW unless said otherwise."""

    pixel_m: float
    """Side of a pixel in metres."""
    height: Field
    """Metres above the ground."""
    kind: npt.NDArray[np.uint8]
    """`Kind` of each pixel."""
    material: npt.NDArray[np.uint8]
    """`Material` of each pixel."""
    albedo: Field
    """HxWx3, share of light given back, 0..1."""
    warmth: Field
    """Kelvin by which an object is warmer than its material usually is."""
    moving: Mask
    """Cars that drive: a height flight on another day has not seen them."""
    clutter: Field
    """Noise of about half a metre a cell, 0..1, that roughens canopies and edges."""
    angle: float
    """Direction of the streets in radians."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.height.shape[0], self.height.shape[1]

    @property
    def area_m2(self) -> float:
        """Ground that is seen, in square metres."""
        return self.height.size * self.pixel_m**2

    def paint(
        self,
        place: Place,
        where: Mask,
        height: Field,
        colour: Field,
        kind: Kind,
        material: Material,
        warmth: float = 0.0,
    ) -> None:
        """Put an object into the window `place`: it covers what is lower than it.

        `where`, `height`: of the window's size; `colour`: window x3 or 3 values.
        """
        seen = where & (height >= self.height[place])
        self.height[place][seen] = height[seen]
        self.kind[place][seen] = kind
        self.material[place][seen] = material
        self.warmth[place][seen] = warmth
        self.albedo[place][seen] = colour[seen] if colour.ndim == 3 else colour

    def around(self, y_m: float, x_m: float, angle: float, reach_m: float) -> tuple[Place, Field, Field] | None:
        """The window of `reach_m` around a point and, in it, metres along and across `angle`; None when it is empty."""
        reach = int(np.ceil(reach_m / self.pixel_m)) + 1
        row, column = int(y_m / self.pixel_m), int(x_m / self.pixel_m)
        rows = np.arange(max(row - reach, 0), min(row + reach + 1, self.shape[0]))
        columns = np.arange(max(column - reach, 0), min(column + reach + 1, self.shape[1]))
        if not rows.size or not columns.size:
            return None
        y = ((rows + 0.5) * self.pixel_m - y_m).astype(np.float32)[:, None]
        x = ((columns + 0.5) * self.pixel_m - x_m).astype(np.float32)
        cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        place = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        return place, x * cos + y * sin, y * cos - x * sin


def empty_world(rng: Rng, shape: tuple[int, int], pixel_m: float) -> World:
    """Bare ground, with the direction of its streets drawn."""
    return World(
        pixel_m=pixel_m,
        height=np.zeros(shape, np.float32),
        kind=np.full(shape, Kind.LOW_VEGETATION, np.uint8),
        material=np.full(shape, Material.GRASS, np.uint8),
        albedo=np.zeros((*shape, 3), np.float32),
        warmth=np.zeros(shape, np.float32),
        moving=np.zeros(shape, bool),
        clutter=value_noise(rng, shape, 0.9 / pixel_m, 2),
        angle=float(rng.uniform(0, np.pi)),
    )


def colour(*values: float) -> Field:
    """Three values as an array."""
    return np.asarray(values, np.float32)


def textured(rng: Rng, base: Field, rough: Field, amount: float, speckle: float = 0.03) -> Field:
    """`base` (3 values) spread over `rough` (HxW, 0..1), brighter and darker by `amount`, with `speckle`."""
    light = 1 + amount * (rough - 0.5) + speckle * grain(rng, rough.shape)
    return (base * light[..., None]).astype(np.float32)
