"""Whether two sensors' frames lie on each other: by how far their edges are shifted, over a sample of images.

Edges of unlike sensors meet where their values do not: a warm road may be bright or dark, its border is a border in
both. For each image the logarithm of the gradient's magnitude is correlated over shifts; the mean of these surfaces
peaks where the second sensor lies, and is far steadier than the peak of a single image.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dis2_edge.dataset import DataSet
from dis2_edge.sensors import IDENTITY, Sensor
from dis2_edge.terminal import progress
from dis2_train.data.sampling import each_once, spread

Plane = npt.NDArray[np.float32]
IMAGES = 24
"""Images looked at, spread over all splits."""
_FEWEST = 8
_FEW, _CUT_FROM_PX = 12, 128
"""Fewer images than this, of a grid at least so large, are cut in four, so that there is something to compare."""
_ALLOWED_PX = 2
"""Offsets up to this are the making of edges: where roofs lean, where shadows lie, how thermal is blurred."""
_SURE = 3.0
"""Gain in correlation over no shift, in its standard errors over the images, from which an offset is believed."""
_AGREEING = 0.3
"""Share of images whose own peak must lie near the common one; by chance, or in wrong pairs, it is below 0.2."""
_NEAR_PX = 2


@dataclass(frozen=True)
class Offset:
    """Where the edges of `sensor` lie, seen from those of the first sensor."""

    sensor: Sensor
    """The second sensor."""
    images: int
    """Images, or quarters of few images, that had edges in both."""
    right: int
    """Pixels of the grid that its edges lie too far to the right."""
    down: int
    """Pixels of the grid that its edges lie too far down."""
    agreeing: float
    """Share of images whose own peak lies within 2 pixels of it."""
    correlation: float
    """Mean correlation of its edges with the first sensor's, as they lie: how much of the one the other shows."""
    gain_sigmas: float
    """How sure it is that this offset fits better than none, in standard errors."""
    native: tuple[int, int]
    """Height and width of its frames."""

    @property
    def told(self) -> bool:
        """Whether the images agree so far that their offset says something."""
        return self.images >= _FEWEST and self.agreeing >= _AGREEING

    @property
    def is_off(self) -> bool:
        """Whether the pair is surely not registered."""
        far = max(abs(self.right), abs(self.down)) > _ALLOWED_PX
        return far and self.told and self.gain_sigmas >= _SURE


def offsets(dataset: DataSet, images: int = IMAGES) -> list[Offset]:
    """The offset of every sensor against the first; the geometry that is declared is applied before."""
    return [offset_of(sensor, native, stack) for sensor, native, stack in surfaces(dataset, images) if len(stack)]


def surfaces(dataset: DataSet, images: int = IMAGES) -> Iterator[tuple[Sensor, tuple[int, int], Plane]]:
    """Every sensor but the first, its native size, and (N, 2 reach + 1, 2 reach + 1): a surface an image with edges."""
    first, *others = dataset.task.sensors
    if not others:
        return
    stacks: dict[str, list[Plane]] = {sensor.name: [] for sensor in others}
    native: dict[str, tuple[int, int]] = {}
    places = _spread(dataset, images)
    cuts = 2 if len(places) < _FEW and min(dataset.task.grid) >= _CUT_FROM_PX else 1
    reach = max(4, min(dataset.task.grid) // 8)
    for split, id_ in progress(places, "comparing edges"):
        sample = dataset.read(split, id_)
        native = {name: (frame.shape[0], frame.shape[1]) for name, frame in sample.frames.items()}
        frames = dataset.on_grid(sample).frames
        fixed = _cut(edges(frames[first.name]), cuts)
        for sensor in others:
            pairs = zip(fixed, _cut(edges(frames[sensor.name]), cuts), strict=True)
            found = (correlation(*pair, reach) for pair in pairs)
            stacks[sensor.name] += [surface for surface in found if surface is not None]
    side = 2 * reach + 1
    for sensor in others:
        yield sensor, native[sensor.name], np.array(stacks[sensor.name], np.float32).reshape(-1, side, side)


def offset_of(sensor: Sensor, native: tuple[int, int], stack: Plane) -> Offset:
    """What the surfaces (N, 2 reach + 1, 2 reach + 1) of N images say together."""
    reach = stack.shape[1] // 2
    down, right = np.unravel_index(stack.mean(axis=0).argmax(), stack.shape[1:])
    gain = stack[:, down, right] - stack[:, reach, reach]
    error = float(gain.std(ddof=1)) / len(gain) ** 0.5 if len(gain) > 1 else 0.0
    peaks = np.stack(np.unravel_index(stack.reshape(len(stack), -1).argmax(axis=1), stack.shape[1:]), 1)
    near = np.abs(peaks - (down, right)).max(axis=1) <= _NEAR_PX
    return Offset(
        sensor=sensor,
        images=len(stack),
        right=int(right) - reach,
        down=int(down) - reach,
        agreeing=float(near.mean()),
        correlation=float(stack[:, reach, reach].mean()),
        gain_sigmas=float(gain.mean()) / error if error else 0.0,
        native=native,
    )


def rows(found: Sequence[Offset]) -> tuple[Sequence[str], list[Sequence[object]]]:
    """Columns and rows of the table of offsets."""
    columns = ("sensor", "images", "right px", "down px", "agreeing", "correlation", "verdict")
    return columns, [_row(one) for one in found]


def _row(one: Offset) -> Sequence[object]:
    shift, shares = (f"{one.right:+d}", f"{one.down:+d}"), (f"{one.agreeing:.2f}", f"{one.correlation:.2f}")
    return one.sensor.name, one.images, *shift, *shares, _verdict(one)


def warnings_of(found: Sequence[Offset], dataset: DataSet) -> list[str]:
    """For every pair that is not registered: by how much, and the lines of the description that would mend it."""
    said = []
    for one in found:
        if one.is_off:
            numbers = ", ".join(f"{value:.6g}" for value in mended(one, dataset.task.grid))
            first = dataset.task.sensors[0].name
            said.append(
                f"{one.sensor.name} lies {_words(one)} of {first} ({one.agreeing:.0%} of {one.images} images agree). "
                f'If labels and {first} fit: alignment = "declared", labels_like = "{first}", and in '
                f"[sensors.{one.sensor.name}] to_grid = [{numbers}]"
            )
    return said


def mended(offset: Offset, grid: tuple[int, int]) -> tuple[float, ...]:
    """The homography of the sensor that takes its offset off, from native pixels to those of `grid`."""
    shift = np.array([[1, 0, -offset.right], [0, 1, -offset.down], [0, 0, 1]], np.float64)
    whole = shift @ _to_grid(offset.sensor, offset.native, grid)
    return tuple((whole / whole[2, 2]).ravel().tolist())


def edges(frame: npt.NDArray[Any]) -> Plane:
    """HxW float32: log(1 + gradient's magnitude / its median) of a frame HxWxC, smoothed over 3x3, channels as a mean.

    The logarithm keeps a few strong edges, such as a hot engine, from speaking for the whole image.
    """
    grey = np.nan_to_num(frame.astype(np.float32)).mean(axis=2)
    for axis in (0, 1):
        padded = np.pad(grey, [(1, 1) if side == axis else (0, 0) for side in (0, 1)], mode="edge")
        length = grey.shape[axis]
        before, here, after = (np.take(padded, range(start, start + length), axis) for start in (0, 1, 2))
        grey = (before + 2 * here + after) / 4
    size = np.hypot(*np.gradient(grey))
    return np.asarray(np.log1p(size / (np.median(size) + 1e-6)), np.float32)


def correlation(fixed: Plane, moved: Plane, reach: int) -> Plane | None:
    """(2 reach + 1) squared: correlation of `fixed` with `moved` shifted by -reach..reach rows and columns.

    Both are faded out towards their borders. None where one of them has no edges.
    """
    fade = np.hanning(fixed.shape[0] + 2)[1:-1, None] * np.hanning(fixed.shape[1] + 2)[None, 1:-1]
    planes = [(plane - (plane * fade).sum() / fade.sum()) * fade for plane in (fixed, moved)]
    norm = float(np.prod([np.sqrt((plane**2).sum()) for plane in planes]))
    if norm < 1e-6:
        return None
    room = (fixed.shape[0] + reach, fixed.shape[1] + reach)  # no shift within reach wraps around
    spectra = [np.fft.rfft2(plane, room) for plane in planes]
    whole = np.fft.irfft2(spectra[0].conj() * spectra[1], room) / norm
    return np.asarray(np.roll(whole, (reach, reach), (0, 1))[: 2 * reach + 1, : 2 * reach + 1], np.float32)


def _spread(dataset: DataSet, images: int) -> list[tuple[str, str]]:
    """(split, id) of at most `images` samples, each split in proportion."""
    places = each_once(dataset)
    total = sum(map(len, places.values()))
    shares = {split: max(1, round(images * len(ids) / total)) for split, ids in places.items()}
    return [(split, id_) for split, ids in places.items() for id_ in spread(ids, shares[split])]


def _cut(plane: Plane, cuts: int) -> list[Plane]:
    return [part for rows_ in np.array_split(plane, cuts, 0) for part in np.array_split(rows_, cuts, 1)]


def _to_grid(sensor: Sensor, native: tuple[int, int], grid: tuple[int, int]) -> npt.NDArray[np.float64]:
    """The way to the grid that the sensor goes now, as a homography of pixel centres."""
    if sensor.to_grid != IDENTITY:
        return np.asarray(sensor.to_grid, np.float64).reshape(3, 3)
    if sensor.fit == "resize":
        down, across = grid[0] / native[0], grid[1] / native[1]
        return np.array([[across, 0, (across - 1) / 2], [0, down, (down - 1) / 2], [0, 0, 1]])
    top, left = (native[0] - grid[0]) // 2, (native[1] - grid[1]) // 2
    return np.array([[1, 0, -left], [0, 1, -top], [0, 0, 1]], np.float64)


def _verdict(offset: Offset) -> str:
    if offset.is_off:
        return "not registered"
    if not offset.told:
        return "cannot be told"
    return "registered" if max(abs(offset.right), abs(offset.down)) <= _ALLOWED_PX else "not sure"


def _words(offset: Offset) -> str:
    parts = [(abs(offset.right), "right" if offset.right > 0 else "left"), (abs(offset.down), "below")]
    if offset.down < 0:
        parts[1] = (-offset.down, "above")
    return " and ".join(f"{size} px {where}" for size, where in parts if size)
