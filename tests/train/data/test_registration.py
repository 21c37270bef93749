"""Pairs that do not lie on each other are found by their edges, and the line that is printed mends them."""

import re
from pathlib import Path

import numpy as np
import pytest

from dis2_edge.cli import main
from dis2_edge.dataset import DataSet, open_dataset
from dis2_edge.images import write_png
from dis2_edge.sensors import Sensor
from dis2_train.data.registration import correlation, edges, mended, offset_of, offsets, rows, warnings_of

SIDE = 64
TOML = """
classes = ["a"]
[split]
by = "folder"
[sensors.rgb]
kind = "optical"
path = "{split}/rgb/{id}.png"
[sensors.ir]
kind = "thermal"
path = "{split}/ir/{id}.png"
"""


def _scene(random: np.random.Generator, side: int = SIDE + 32) -> tuple[np.ndarray, np.ndarray]:
    """Colours and warmth of fields that overlap: the same borders, values that have nothing to do with each other."""
    colour, warmth = np.zeros((side, side, 3)), np.zeros((side, side))
    for _ in range(60):
        top, left = random.integers(-8, side, 2)
        here = slice(max(top, 0), top + random.integers(6, 24)), slice(max(left, 0), left + random.integers(6, 24))
        colour[here], warmth[here] = random.uniform(20, 230, 3), random.uniform(20, 230)
    noisy = (plane + random.normal(0, 4, plane.shape) for plane in (colour, warmth))
    colour, warmth = (np.clip(plane, 0, 255).astype(np.uint8) for plane in noisy)
    return colour, warmth


def _pairs(
    root: Path, right: int = 0, down: int = 0, count: int = 10, *, scale: int = 1, strange: bool = False
) -> DataSet:
    """Pairs whose thermal frame shows everything `right` and `down` pixels from where the camera has it."""
    for number in range(count):
        colour, warmth = _scene(np.random.default_rng([number, 0]))
        warmth = _scene(np.random.default_rng([number, 1]))[1] if strange else warmth
        there = warmth[16 - down : 16 - down + SIDE : scale, 16 - right : 16 - right + SIDE : scale]
        split = "train" if number % 2 else "val"
        write_png(root / split / "rgb" / f"{number}.png", colour[16 : 16 + SIDE, 16 : 16 + SIDE])
        write_png(root / split / "ir" / f"{number}.png", there)
    declared = f'grid = [{SIDE}, {SIDE}]\nalignment = "declared"\n' if scale > 1 else ""
    (root / "dataset.toml").write_text(declared + TOML)
    return open_dataset(root)


@pytest.mark.parametrize(("right", "down"), [(0, 0), (2, 0), (-1, 2)])
def test_registered_pairs_raise_no_alarm(tmp_path: Path, right: int, down: int) -> None:
    data = _pairs(tmp_path, right, down)
    (found,) = offsets(data)
    assert (found.right, found.down) == (right, down)
    assert warnings_of([found], data) == []
    assert rows([found])[1][0][-1] == "registered"


@pytest.mark.parametrize(("right", "down"), [(3, 0), (0, -4), (-6, 5), (8, 8)])
def test_a_shift_is_found_to_the_pixel(tmp_path: Path, right: int, down: int) -> None:
    (found,) = offsets(_pairs(tmp_path, right, down))
    assert (found.right, found.down, found.images) == (right, down, 10)
    assert found.is_off


def test_the_printed_line_mends_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _pairs(tmp_path, 5, -3)
    assert main(["data", "check", str(tmp_path)]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "ir lies 5 px right and 3 px above of rgb" in said
    (numbers,) = re.findall(r"to_grid = \[.*?\]", said)
    assert numbers == "to_grid = [1, 0, -5, 0, 1, 3, 0, 0, 1]"
    text = f'alignment = "declared"\nlabels_like = "rgb"\n{TOML}{numbers}\n'
    (tmp_path / "dataset.toml").write_text(text)
    (found,) = offsets(open_dataset(tmp_path))
    assert (found.right, found.down) == (0, 0)


def test_what_is_declared_already_is_built_upon(tmp_path: Path) -> None:
    data = _pairs(tmp_path, 6, 0, scale=2)  # of half the size: resized, then 6 pixels of the grid off
    (found,) = offsets(data)
    assert found.native == (SIDE // 2, SIDE // 2)
    assert (found.right, found.down) == (pytest.approx(6, abs=1), pytest.approx(0, abs=1))
    matrix = np.array(mended(found, data.task.grid)).reshape(3, 3)
    centre = matrix @ (10, 20, 1)
    assert centre[:2] == pytest.approx((10 * 2 + 0.5 - found.right, 20 * 2 + 0.5 - found.down))


def test_frames_of_different_places_are_not_told(tmp_path: Path) -> None:
    data = _pairs(tmp_path, strange=True)
    (found,) = offsets(data)
    assert not found.is_off
    assert rows([found])[1][0][-1] == "cannot be told"


def test_the_table_says_how_much_of_one_sensors_edges_the_other_shows(tmp_path: Path) -> None:
    ((same,), (other,)) = (offsets(_pairs(tmp_path / name, strange=name == "strange")) for name in ("same", "strange"))
    assert same.correlation > 0.4
    assert abs(other.correlation) < 0.1
    assert rows([same])[1][0][5] == f"{same.correlation:.2f}"
    assert len(rows([same])[0]) == len(rows([same])[1][0])


def test_few_pairs_are_not_told(tmp_path: Path) -> None:
    (found,) = offsets(_pairs(tmp_path, 6, 0, count=4))
    assert not found.is_off


def test_blank_frames_have_no_edges(tmp_path: Path) -> None:
    data = _pairs(tmp_path, count=2)
    for path in tmp_path.rglob("ir/*.png"):
        write_png(path, np.full((SIDE, SIDE), 7, np.uint8))
    assert offsets(data) == []
    blank = edges(np.full((SIDE, SIDE, 1), 7, np.uint8))
    assert correlation(blank, blank, 4) is None


def test_one_sensor_has_nothing_to_lie_on(tmp_path: Path) -> None:
    assert offsets(_pairs(tmp_path, count=2).narrowed(("ir",))) == []


def test_a_gain_that_differs_from_image_to_image_is_not_sure() -> None:
    stack = np.zeros((10, 17, 17), np.float32)
    stack[:5, 8, 13] = 1.0
    stack[5:, 8, 8], stack[5:, 8, 13] = 0.9, 0.1
    found = offset_of(Sensor("ir", "thermal", 1, "uint8", "DN", 0, 255), (64, 64), stack)
    assert (found.right, found.down, found.agreeing) == (5, 0, 0.5)
    assert found.correlation == pytest.approx(0.45)  # as they lie
    assert not found.is_off
    assert rows([found])[1][0][-1] == "not sure"
