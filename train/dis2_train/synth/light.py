"""Light and the camera: shadows that heights cast, slopes that face the sun, then lens and sensor of the camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dis2_train.synth.noise import Field, Rng, blur, grain, shifted, value_noise
from dis2_train.synth.world import World, colour


@dataclass(frozen=True)
class Sun:
    """Where the light comes from."""

    azimuth: float
    """Direction to the sun in the picture, radians from the x axis towards the y axis."""
    elevation: float
    """Above the horizon, radians."""
    strength: float
    """Direct light, 1 on a clear day."""
    sky: float
    """Light from the whole sky."""


def draw_sun(rng: Rng) -> Sun:
    """A sun of the working day: clear, hazy or behind clouds."""
    clear = float(rng.choice((1.0, 0.7, 0.25), p=(0.6, 0.25, 0.15)))
    return Sun(float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(0.55, 1.15)), clear, 0.75 - 0.4 * clear)


def shadows(world: World, sun: Sun) -> Field:
    """HxW, 1 where something taller stands between the ground and the sun; soft at the edge."""
    step_m = 1.5 * world.pixel_m
    rise = np.float32(np.tan(sun.elevation) * step_m)
    hidden = np.zeros(world.shape, bool)
    for index in range(1, int(world.height.max() / rise) + 2):
        far = index * step_m / world.pixel_m
        rows, columns = round(far * np.sin(sun.azimuth)), round(far * np.cos(sun.azimuth))
        hidden |= shifted(world.height, rows, columns) - index * rise > world.height + 0.15
    return blur(hidden.astype(np.float32), 0.7)


def facing(world: World, sun: Sun) -> Field:
    """HxW, how squarely a surface faces the sun, against flat ground as 1."""
    down, across = np.gradient(world.height, world.pixel_m)
    down, across = np.clip(down, -1.2, 1.2), np.clip(across, -1.2, 1.2)
    level = np.cos(sun.elevation)
    toward = np.sin(sun.elevation) - level * (across * np.cos(sun.azimuth) + down * np.sin(sun.azimuth))
    tilt = np.sqrt(1 + np.square(down) + np.square(across))
    turned: Field = np.clip(toward / tilt / np.sin(sun.elevation), 0.15, 1.8).astype(np.float32)
    return turned


def lit(world: World, sun: Sun) -> Field:
    """HxWx3 light that reaches the camera."""
    direct = (sun.strength * (1 - shadows(world, sun)) * facing(world, sun))[..., None]
    return world.albedo * (direct * colour(1.05, 1.0, 0.92) + np.float32(sun.sky) * colour(0.85, 0.95, 1.15))


def photograph(
    rng: Rng, light: Field, *, exposure: Field | float = 1.0, noise: Field | float = 1.0, veil: Field | float = 1.0
) -> npt.NDArray[np.uint8]:
    """HxWx3 uint8 picture of `light`: lens blur, haze, uneven light, tone curve, noise that grows in the dark.

    `exposure`, `noise` and `veil` (factors on the light, the noise and the haze) are numbers, or fields of HxWx1.
    """
    shape = light.shape[:2]
    light = blur(light, float(rng.uniform(0.35, 0.9)))
    uneven = 0.88 + 0.24 * value_noise(rng, (shape[0], shape[1]), max(shape) / 2)
    gain = exposure * float(rng.uniform(0.85, 1.2)) * uneven[..., None]
    balance = colour(*rng.normal(1, 0.035, 3))
    signal = light * gain * balance + veil * float(rng.uniform(0, 0.04))
    signal = signal + noise * (0.006 + 0.02 * np.sqrt(np.maximum(signal, 0))) * grain(rng, light.shape)
    picture: npt.NDArray[np.uint8] = np.rint(255 * np.clip(signal, 0, 1) ** 0.7).astype(np.uint8)
    return picture
