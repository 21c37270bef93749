"""Splits whose thermal frames run different ways are told; those that run one way are not, whatever the way."""

from pathlib import Path

import numpy as np
import pytest

from dis2_edge.cli import main
from dis2_edge.dataset import DataSet, open_dataset
from dis2_edge.images import write_png
from dis2_train.data.polarity import detail_skewness, polarities, warnings_of

TOML = """
classes = ["a"]
[sensors.ir]
kind = "{kind}"
path = "{path}"
"""


def _frame(seed: int) -> np.ndarray:
    """Ground with a few small things on it, two in three of which are hot."""
    random = np.random.default_rng(seed)
    frame = random.normal(100, 6, (40, 40))
    for hot in (True, True, False) if seed % 5 else (False, False, True):
        top, left = random.integers(0, 36, 2)
        frame[top : top + 3, left : left + 3] += 60 if hot else -60
    return np.clip(frame, 0, 255).astype(np.uint8)


def _splits(root: Path, ways: dict[str, bool], count: int = 24, kind: str = "thermal") -> DataSet:
    for place, (split, black) in enumerate(ways.items()):
        for number in range(count):
            frame = _frame(100 * place + number)
            write_png(root / split / "ir" / f"{number}.png", 255 - frame if black else frame)
    (root / "dataset.toml").write_text(TOML.format(kind=kind, path="{split}/ir/{id}.png"))
    return open_dataset(root)


@pytest.mark.parametrize("black", [False, True])
def test_one_way_raises_no_alarm(tmp_path: Path, black: bool) -> None:
    data = _splits(tmp_path, {"train": black, "val": black, "test": black})
    found = polarities(data)
    assert [row.sign for row in found] == [-1 if black else 1] * 3
    assert warnings_of(found, data) == []


def test_a_split_that_runs_the_other_way_is_told_and_mended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _splits(tmp_path, {"train": False, "val": True, "test": False})
    assert main(["data", "check", str(tmp_path)]) == 0
    said = " ".join(capsys.readouterr().err.split())
    line = 'inverted = ["val/ir/*.png"]'
    assert f"If val shows hot as black: [sensors.ir] {line}" in said
    with (tmp_path / "dataset.toml").open("a") as file:
        file.write(line)
    data = open_dataset(tmp_path)
    assert warnings_of(polarities(data), data) == []


def test_splits_that_are_lists_have_no_pattern_to_offer(tmp_path: Path) -> None:
    for number in range(60):
        frame = _frame(number)
        write_png(tmp_path / "ir" / f"{number:02}.png", frame if number < 30 else 255 - frame)
    for split, ids in (("train", range(30)), ("test", range(30, 60))):
        (tmp_path / f"{split}.txt").write_text("\n".join(f"{number:02}" for number in ids))
    (tmp_path / "dataset.toml").write_text(f'{TOML.format(kind="thermal", path="ir/{id}.png")}\n[split]\nby = "list"\n')
    data = open_dataset(tmp_path)
    (said,) = warnings_of(polarities(data), data)
    assert said.endswith("If test shows hot as black: name its files in [sensors.ir] inverted = [...]")


def test_few_frames_do_not_tell(tmp_path: Path) -> None:
    data = _splits(tmp_path, {"train": False, "val": True}, count=8)
    assert [row.sign for row in polarities(data)] == [0, 0]


def test_only_thermal_sensors_are_looked_at(tmp_path: Path) -> None:
    assert polarities(_splits(tmp_path, {"train": False}, count=2, kind="optical")) == []


def test_skewness_turns_its_sign_with_the_frame() -> None:
    frame = _frame(1)[..., None]
    assert detail_skewness(frame) > 0.3
    assert detail_skewness(255 - frame) == pytest.approx(-detail_skewness(frame))
    assert detail_skewness(np.full((20, 20, 1), 9, np.uint8)) == 0
