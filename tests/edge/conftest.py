"""A small described data set of two sensors, made anew for each test that wants to bend it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dis2_edge.images import write_png, write_tiff

TOML = """
classes = ["low", "high"]
labels = "{split}/gt/{id}.png"

[sensors.rgb]
kind = "optical"
path = "{split}/rgb/{id}.png"

[sensors.ndsm]
kind = "height"
path = "{split}/ndsm/{id}.tif"
"""


@pytest.fixture
def make_set(tmp_path: Path) -> Callable[..., Path]:
    """Writes a data set of `shape` pixels with `count` samples a split, and gives its folder."""

    def make(splits: tuple[str, ...] = ("train", "val"), count: int = 3, shape: tuple[int, int] = (8, 12)) -> Path:
        root = tmp_path / "data"
        rng = np.random.default_rng(0)
        for split in splits:
            for number in range(count):
                height = rng.normal(3, 2, (*shape, 1)).astype(np.float32)
                write_png(root / split / "rgb" / f"{number:03d}.png", rng.integers(0, 256, (*shape, 3), dtype=np.uint8))
                write_tiff(root / split / "ndsm" / f"{number:03d}.tif", height)
                write_png(root / split / "gt" / f"{number:03d}.png", (height[..., 0] > 3).astype(np.uint8))
        (root / "dataset.toml").write_text(TOML)
        return root

    return make
