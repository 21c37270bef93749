"""`data check` on thermal files: depths that were mixed; and parts of splits, whose files are read once."""

from pathlib import Path

import numpy as np
import pytest

from dis2_edge.dataset import open_dataset
from dis2_edge.images import write_png
from dis2_train.data.datacheck import check, warnings_of


def _thermal(root: Path, frames: dict[str, np.ndarray], more: str) -> list[str]:
    for name, pixels in frames.items():
        write_png(root / f"{name}.png", pixels)
    (root / "dataset.toml").write_text(
        f'classes = ["a"]\n[sensors.ir]\nkind = "thermal"\npath = "{{split}}/{{id}}.png"\n{more}\n'
    )
    dataset = open_dataset(root)
    return [line for line in warnings_of(dataset, check(dataset)) if "labels" not in line]


def _counts(seed: int, high: int = 9000) -> np.ndarray:
    return np.random.default_rng(seed).integers(high // 2, high, (8, 8)).astype(np.uint16)


def test_two_depths_that_float32_hides_are_told(tmp_path: Path) -> None:
    frames = {"train/0": _counts(0), "train/1": _counts(1, 250).astype(np.uint8), "val/0": _counts(2)}
    (said,) = _thermal(tmp_path, frames, 'dtype = "float32"')
    assert said == "files of ir hold uint16 (val/0) and uint8 (train/1): one scale for all, or two sensors?"


def test_eight_bits_in_files_of_sixteen_are_told(tmp_path: Path) -> None:
    (said,) = _thermal(tmp_path, {"train/0": _counts(0), "val/0": _counts(1, 250), "val/1": _counts(2)}, "")
    assert said == "ir: 1 of 2 in val frames hold nothing over 255 and others do: 8 bits among 16?"


def test_one_depth_raises_no_alarm(tmp_path: Path) -> None:
    assert _thermal(tmp_path / "raw", {"train/0": _counts(0), "val/0": _counts(1, 7000)}, "") == []
    eight = {f"{split}/0": _counts(0, 250).astype(np.uint8) for split in ("train", "val")}
    assert _thermal(tmp_path / "eight", eight, "") == []
    assert _thermal(tmp_path / "dark", {"train/0": _counts(0, 250), "val/0": _counts(1, 240)}, "") == []


def test_parts_count_what_they_hold_and_no_file_is_read_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for id_ in ("0D", "1N", "2N"):
        write_png(tmp_path / "test" / f"{id_}.png", np.full((4, 4), 9, np.uint8))
    (tmp_path / "dataset.toml").write_text(
        'classes = ["a"]\n[sensors.ir]\nkind = "thermal"\npath = "{split}/{id}.png"\n'
        '[split]\nparts = { day = "*D", night = "*N" }\n'
    )
    dataset = open_dataset(tmp_path)
    asked = []
    read = dataset.read
    monkeypatch.setattr(dataset, "read", lambda split, id_: asked.append((split, id_)) or read(split, id_))
    found = check(dataset)
    assert {split: (row.samples, row.sensors["ir"].pixels) for split, row in found.items()} == {
        "test": (3, 48),
        "test_day": (1, 16),
        "test_night": (2, 32),
    }
    assert asked == [("test", "0D"), ("test", "1N"), ("test", "2N")]
