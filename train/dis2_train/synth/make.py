"""Make a synthetic data set: splits of scenes, a long strip to fly over, and the description of it all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from dis2_edge.description import FILE
from dis2_edge.errors import DataError
from dis2_edge.files import new_folder, write_text
from dis2_edge.images import write_png, write_tiff
from dis2_edge.terminal import progress
from dis2_train.synth import aerial, thermal
from dis2_train.synth.noise import Rng
from dis2_train.synth.scene import Scene

KindName = Literal["aerial", "thermal"]
FLIGHT = "flight"
_SHARES = {"val": 0.15, "test": 0.15}
_ORIGIN_M = (500_000.0, 5_400_000.0)
_UTM_32_NORTH = 32632


@dataclass(frozen=True)
class SceneKind:
    """A kind of synthetic data set."""

    scene: Callable[[Rng, tuple[int, int], int], Scene]
    """Makes the scene of a height and width in pixels that has this number in its split."""
    flight: Callable[[Rng, tuple[int, int]], Scene]
    """Makes the strip to fly over."""
    pixel_m: float
    """Side of a ground pixel in metres."""
    classes: tuple[str, ...]
    """Names of the classes."""
    colours: tuple[str, ...]
    """Their colours, told apart by people of any colour vision by lightness as well."""
    sensors: str
    """The sensor tables of the description."""
    conditions: tuple[str, ...] = ()
    """The conditions that scenes take turns in, which their ids end in; empty where there is one."""


_RGB = """[sensors.rgb]
kind = "optical"
path = "{split}/rgb/{id}.png"
dtype = "uint8"
unit = "DN"
rate_hz = 10.0
max_age_ms = 250.0
"""
_NDSM = """[sensors.ndsm]
kind = "height"
path = "{split}/ndsm/{id}.tif"
dtype = "float32"
unit = "metres"
valid_min = -10.0
valid_max = 100.0
rate_hz = 5.0
max_age_ms = 500.0
"""
_THERMAL = """[sensors.thermal]
kind = "thermal"
path = "{split}/thermal/{id}.tif"
dtype = "uint16"
unit = "centikelvin"
valid_min = 20000.0
valid_max = 45000.0
rate_hz = 9.0
max_age_ms = 300.0
pause_ms = 1000.0
pause_every_s = 30.0
"""
KINDS: dict[str, SceneKind] = {
    "aerial": SceneKind(
        lambda rng, shape, number: aerial.aerial_scene(rng, shape),
        aerial.aerial_scene,
        aerial.PIXEL_M,
        ("impervious", "building", "low_vegetation", "tree", "car"),
        ("#c9c5bd", "#d1495b", "#a7c957", "#2d6a4f", "#f9c74f"),
        f"{_RGB}\n{_NDSM}",
    ),
    "thermal": SceneKind(
        thermal.thermal_scene,
        thermal.thermal_flight,
        thermal.PIXEL_M,
        ("ground", "building", "vegetation", "car", "person"),
        ("#9aa0a6", "#d1495b", "#4f9d69", "#f9c74f", "#48cae4"),
        f"{_RGB}\n{_THERMAL}",
        thermal.CONDITIONS,
    ),
}


def synthesise(out: Path, kind: KindName, count: int, size: int, seed: int) -> Path:
    """Write `count` scenes of `size` x `size` pixels into the new folder `out`, and return it.

    15 % each go to val and test, at least one. Scenes of a kind with conditions take turns in them; ids end in the
    condition, and each split has a part for each. `out/flight` holds one strip of 1.5 `size` x 8 `size` pixels,
    which the simulated flight moves over; of kind thermal, the day turns to night from its left end to the right.
    The same arguments give the same pictures; each scene is drawn from `seed`, split and number alone. Raises
    DataError on a count or size that cannot be, StorageError when `out` is in use.
    """
    if kind not in KINDS:
        raise DataError(f"kind {kind!r}", expected=" or ".join(KINDS))
    if count < 3 or size < 32 or seed < 0:
        raise DataError(f"count {count}, size {size}, seed {seed}", expected="3 scenes, 32 pixels and seed 0, or more")
    jobs = [(split, number) for split, total in _shared_out(count).items() for number in range(total)]
    with new_folder(out) as folder:
        for split, number in progress(jobs, f"{kind} scenes of {size} px"):
            scene = draw(kind, (size, size), seed, split, number)
            id_ = f"{number:05d}_{scene.condition}" if KINDS[kind].conditions else f"{number:05d}"
            _write(folder, kind, scene, f"{split}/{{sensor}}/{id_}", (number % 100, number // 100))
        strip = draw(kind, (size * 3 // 2, size * 8), seed, FLIGHT, 0)
        _write(folder, kind, strip, f"{FLIGHT}/{{sensor}}", (0, -9))
        write_text(folder / FILE, _description(kind, size, seed))
    return out


def draw(kind: KindName, shape: tuple[int, int], seed: int, split: str = FLIGHT, number: int = 0) -> Scene:
    """The scene of `shape` (height, width) that stands at `number` of `split`; of any size, so also a strip to fly."""
    place = ("train", "val", "test", FLIGHT).index(split)
    rng = np.random.default_rng([seed, place, number])
    return KINDS[kind].flight(rng, shape) if split == FLIGHT else KINDS[kind].scene(rng, shape, number)


def _shared_out(count: int) -> dict[str, int]:
    """Split -> number of scenes."""
    held = {split: max(1, round(share * count)) for split, share in _SHARES.items()}
    return {"train": count - sum(held.values()), **held}


def _write(folder: Path, kind: KindName, scene: Scene, pattern: str, tile: tuple[int, int]) -> None:
    """One scene's files: 8-bit frames as PNG, others as GeoTIFF, the truth with its colours."""
    pixel_m = KINDS[kind].pixel_m
    width_m, height_m = (length * pixel_m for length in scene.label.shape[::-1])
    corner_m = (_ORIGIN_M[0] + tile[0] * width_m, _ORIGIN_M[1] - tile[1] * height_m)
    for sensor, pixels in scene.frames.items():
        path = folder / pattern.format(sensor=sensor)
        if pixels.dtype == np.uint8:
            write_png(path.with_name(f"{path.name}.png"), pixels)
        else:
            path = path.with_name(f"{path.name}.tif")
            write_tiff(path, pixels, pixel_m=pixel_m, east_north_m=corner_m, epsg=_UTM_32_NORTH)
    path = folder / pattern.format(sensor="gt")
    write_png(path.with_name(f"{path.name}.png"), scene.label, KINDS[kind].colours)


def _description(kind: KindName, size: int, seed: int) -> str:
    """The text of `dataset.toml`."""
    row = KINDS[kind]
    classes, colours = (", ".join(f'"{word}"' for word in words) for words in (row.classes, row.colours))
    return f"""# Synthetic scenes of dis2-edge, kind {kind}, {row.pixel_m} m a pixel, seed {seed}.
name = "synth_{kind}"
classes = [{classes}]
colours = [{colours}]
ignore = 255
labels = "{{split}}/gt/{{id}}.png"
grid = [{size}, {size}]
alignment = "registered"

[split]
by = "folder"
{_parts(row.conditions)}
{row.sensors}"""


def _parts(conditions: tuple[str, ...]) -> str:
    """The line that makes a part of each split for every condition, where there are some."""
    named = ", ".join(f'{name} = "*_{name}"' for name in conditions)
    return f"parts = {{ {named} }}\n" if named else ""
