"""Whether thermal frames of all splits run the same way: hot shown white in one and black in another.

What is small in a thermal frame (people, engines, chimneys) is mostly hotter than what is around it. So the skewness of
a frame's fine detail, its mean over 3x3 less its mean over 15x15, is mostly above 0, and below 0 in a frame whose scale
runs the other way. One frame tells little (of HIT-UAV's, three in four are above 0); a split of dozens tells much.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dis2_edge.dataset import DataSet
from dis2_edge.sensors import Sensor
from dis2_edge.terminal import progress
from dis2_train.data.sampling import each_once, spread

IMAGES = 60
"""Frames looked at in each split."""
_FEWEST = 12
_SURE = 2.0
"""Mean skewness over the frames, in its standard errors, from which a split's sign is believed."""
_FINE, _COARSE = 3, 15


@dataclass(frozen=True)
class Polarity:
    """Which way the thermal frames of one split seem to run."""

    sensor: str
    """Name of the thermal sensor."""
    split: str
    """Name of the split."""
    images: int
    """Frames looked at."""
    sigmas: float
    """Mean skewness of fine detail in its standard errors: above 0 where small things are mostly hotter."""

    @property
    def sign(self) -> int:
        """1 or -1, or 0 where the frames do not tell."""
        return 0 if self.images < _FEWEST or abs(self.sigmas) < _SURE else (1 if self.sigmas > 0 else -1)


def polarities(dataset: DataSet, images: int = IMAGES) -> list[Polarity]:
    """The polarity of every thermal sensor in every split; samples of parts are looked at once."""
    thermal = [sensor for sensor in dataset.task.sensors if sensor.kind == "thermal"]
    if not thermal:
        return []
    found = []
    for split, ids in each_once(dataset).items():
        skews: dict[str, list[float]] = {sensor.name: [] for sensor in thermal}
        for id_ in progress(spread(ids, images), f"polarity of {split}"):
            frames = dataset.on_grid(dataset.read(split, id_)).frames
            for sensor in thermal:
                skews[sensor.name].append(detail_skewness(frames[sensor.name]))
        found += [of_frames(name, split, np.array(values)) for name, values in skews.items()]
    return found


def of_frames(sensor: str, split: str, skews: npt.NDArray[np.float64]) -> Polarity:
    """What the skewness of each frame of a split says together."""
    error = float(skews.std(ddof=1)) / len(skews) ** 0.5 if len(skews) > 1 else 0.0
    return Polarity(sensor, split, len(skews), float(skews.mean()) / error if error else 0.0)


def warnings_of(found: Sequence[Polarity], dataset: DataSet) -> list[str]:
    """For every thermal sensor whose splits surely run different ways: which, and what the description may say."""
    said = []
    for sensor in dataset.task.sensors:
        rows = [row for row in found if row.sensor == sensor.name and row.sign]
        against = [row for row in rows if row.sign != rows[0].sign]
        if against:
            told = ", ".join(f"{row.split} ({row.sigmas:+.1f} standard errors, {row.images} frames)" for row in rows)
            odd = ", ".join(row.split for row in against)
            said.append(
                f"{sensor.name}: small things are mostly hotter than what is around them in some splits and colder in "
                f"others: {told}. If {odd} shows hot as black: {_mend(sensor, against, dataset)}"
            )
    return said


def detail_skewness(frame: npt.NDArray[Any]) -> float:
    """Skewness of the fine detail of a frame HxWxC, between -1 and 1: a single hot chimney shall not outweigh all."""
    grey = np.nan_to_num(frame.astype(np.float64)).mean(axis=2)
    detail = _mean_around(grey, _FINE) - _mean_around(grey, _COARSE)
    detail -= detail.mean()
    spread_ = float((detail**2).mean()) ** 1.5
    return float(np.clip((detail**3).mean() / spread_, -1, 1)) if spread_ > 1e-12 else 0.0


def _mean_around(grey: npt.NDArray[np.float64], side: int) -> npt.NDArray[np.float64]:
    """Mean over the square of odd `side` around each pixel, the border repeated."""
    reach = side // 2
    padded = np.pad(grey, ((reach + 1, reach), (reach + 1, reach)), mode="edge")
    sums = padded.cumsum(axis=0).cumsum(axis=1)
    rows = sums[side:] - sums[:-side]
    return np.asarray((rows[:, side:] - rows[:, :-side]) / side**2)


def _mend(sensor: Sensor, against: Sequence[Polarity], dataset: DataSet) -> str:
    path = dataset.description.sensors[sensor.name].path
    if "{split}" not in path:
        return f"name its files in [sensors.{sensor.name}] inverted = [...]"
    patterns = [path.replace("{split}", row.split).replace("{id}", "*") for row in against]
    return f"[sensors.{sensor.name}] inverted = {json.dumps(patterns)}"
