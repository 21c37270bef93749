"""What `data check` finds in sensor pairs and thermal frames, and how often it accuses what is sound.

    python -m benchmarks.pairs [--data ../shared/data] [--draws 300] [--seed 0]

Real pairs and drawn ones, as they are and with the second sensor's frames rolled by known pixels; OMBRIA in draws of 24
images, paired rightly and wrongly; HIT-UAV's frames in two groups, both as they are, and one of them turned.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dis2_edge.dataset import DataSet, Sample, open_dataset
from dis2_edge.terminal import say, table
from dis2_train.data import polarity, registration
from dis2_train.synth.make import synthesise

SHIFTS = ((0, 0), (0, 1), (2, 0), (0, 3), (-3, 3), (5, 0), (0, 8), (-8, 6), (12, 0))
"""Rows down and columns right."""
SETS = (
    ("ombria", "ombria_s1s2_flood", ("opt", "sar")),
    ("landsat", "landsat_rgb_tir_dem", ("rgb", "tir")),
    ("landsat", "landsat_rgb_tir_dem", ("rgb", "dem")),
    ("mini_aerial", "mini_aerial_rgb_ndsm", ("rgb", "ndsm")),
)
_DESCRIPTIONS = Path(__file__).parents[1] / "train" / "datasets"


class Changed(DataSet):
    """A data set whose last sensor's frames are rolled by `shift`, or come from the place `wrong` further on."""

    shift = (0, 0)
    wrong = 0

    def read(self, split: str, id_: str) -> Sample:
        """The sample, its last frame rolled or exchanged."""
        sample, name = super().read(split, id_), self.task.sensor_names[-1]
        ids = self.ids(split)
        other = super().read(split, ids[(ids.index(id_) + self.wrong) % len(ids)]) if self.wrong else sample
        frame = np.roll(other.frames[name], self.shift, (0, 1))
        return dataclasses.replace(sample, frames={**sample.frames, name: frame})


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pairs", description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the real sets")
    parser.add_argument("--draws", type=int, default=300, help="draws of images")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(words)
    pairs = [(name, _open(args.data / folder, name).narrowed(sensors)) for name, folder, sensors in SETS]
    with tempfile.TemporaryDirectory() as folder:
        synthesise(Path(folder) / "thermal", "thermal", 24, 192, args.seed)
        drawn = open_dataset(Path(folder) / "thermal")
        rows = [row for name, data in (*pairs, ("drawn thermal", drawn)) for row in shifted(name, data)]
    table("frames rolled by rows down, columns right", ("pair", "rolled", "found", "n", "agreeing", "verdict"), rows)
    random = np.random.default_rng(args.seed)
    ombria = pairs[0][1]
    for wrong, how in ((0, "as they are"), (7, "paired wrongly")):
        accused = sum(one.is_off for one in draws(changed(ombria, wrong=wrong), args.draws, random))
        say(f"ombria {how}: {accused} of {args.draws} draws of {registration.IMAGES} out of 120 images warn")
    skews = frame_skews(_open(args.data / "hituav_ir_boxmask", "hituav"))
    say(f"hituav: {100 * float((skews > 0).mean()):.0f} % of {len(skews)} frames have a skewness above 0")
    rows = [(n, *groups(skews, n, 2000, random)) for n in (12, 20, 30, 60)]
    table("hituav in two groups, 2000 draws", ("frames each", "false alarms %", "one turned: found %"), rows)
    return 0


def changed(data: DataSet, shift: tuple[int, int] = (0, 0), wrong: int = 0) -> Changed:
    """`data` with its last sensor's frames rolled or paired wrongly."""
    found = Changed(data.root, data.description, data.task, data._found)
    found.shift, found.wrong = shift, wrong
    return found


def shifted(name: str, data: DataSet) -> list[tuple[object, ...]]:
    """A row of the table for each shift."""
    rows: list[tuple[object, ...]] = []
    for shift in SHIFTS:
        found = registration.offsets(changed(data, shift))
        verdict = registration.rows(found)[1][0][-1]
        pair, one = f"{name} {'+'.join(data.task.sensor_names)}", found[0]
        rows.append((pair, shift, (one.down, one.right), one.images, f"{one.agreeing:.2f}", verdict))
    return rows


def draws(data: DataSet, count: int, random: np.random.Generator) -> list[registration.Offset]:
    """What `count` draws of the usual number of images say, out of 120."""
    ((sensor, native, stack),) = registration.surfaces(data, 120)
    chosen = (random.choice(len(stack), registration.IMAGES, replace=False) for _ in range(count))
    return [registration.offset_of(sensor, native, stack[rows]) for rows in chosen]


def frame_skews(data: DataSet) -> np.ndarray:
    """The skewness of every thermal frame of the published splits."""
    places = [(split, id_) for split in ("train", "val", "test") for id_ in data.ids(split)]
    return np.array([polarity.detail_skewness(data.read(*place).frames["ir"]) for place in places])


def groups(skews: np.ndarray, n: int, count: int, random: np.random.Generator) -> tuple[str, str]:
    """Of `count` draws of two groups of `n` frames: per cent that warn as they are, and with one group turned."""
    alarms = found = 0
    for _ in range(count):
        first, second = random.permutation(skews)[: 2 * n].reshape(2, n)
        signs = [polarity.of_frames("ir", "", values).sign for values in (first, second, -second)]
        alarms += signs[0] * signs[1] < 0
        found += signs[0] * signs[2] < 0
    return f"{100 * alarms / count:.1f}", f"{100 * found / count:.1f}"


def _open(folder: Path, name: str) -> DataSet:
    return open_dataset(folder, _DESCRIPTIONS / f"{name}.toml")


if __name__ == "__main__":
    raise SystemExit(main())
