"""Own orthophotos by a layout of one's own; and the parts that windows, colours and places are made of."""

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import lookalikes
import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st

from dis2_edge.cli import main
from dis2_edge.dataset import open_dataset
from dis2_edge.errors import DataError
from dis2_edge.labels import rgb_of
from dis2_train.published.benchmark import load
from dis2_train.published.colours import Legend
from dis2_train.published.cut import windows_by_split, windows_of
from dis2_train.published.find import RawFiles, filled
from dis2_train.published.georeference import Grid, Ground, place, read_world_file
from dis2_train.published.prepare import Choices, prepare

PAGE = (Path(__file__).parents[3] / "docs" / "data.md").read_text("utf-8")
(LAYOUT,) = re.findall(r'```\n(name = "quarry".*?)```', PAGE, re.DOTALL)
HERE = (500000.0, 5400000.0)
POTSDAM = load("potsdam")


@pytest.fixture
def quarry(tmp_path: Path) -> Path:
    """One orthophoto of 0.1 m, a surface model of 0.4 m that is larger, and drawn labels."""
    random = np.random.default_rng(0)
    truth = np.kron(random.integers(0, 2, (16, 20)), np.ones((16, 16))).astype(np.uint8)
    truth[:4, :4] = 9
    ortho = random.integers(0, 256, (256, 320, 4)).astype(np.uint8)
    ortho[..., 3] = 255
    ortho[:, -3:, 3] = 0
    write = lookalikes.write_raster
    write(tmp_path / "raw" / "ortho.tif", ortho, corner=HERE, pixel_m=0.1, epsg=32632, compress="deflate", tiled=True)
    write(tmp_path / "raw" / "drawn.tif", truth, corner=HERE, pixel_m=0.1, epsg=32632)
    heights = np.full((80, 100), 412.5, np.float32)
    corner = (HERE[0] - 4, HERE[1] + 2)
    write(tmp_path / "raw" / "dsm.tif", heights, corner=corner, pixel_m=0.4, epsg=32632, nodata=-32768)
    (tmp_path / "quarry.toml").write_text(LAYOUT)
    return tmp_path


def test_a_layout_of_ones_own_cuts_a_scene_into_blocks(quarry: Path) -> None:
    words = ["data", "prepare", str(quarry / "quarry.toml"), "--raw", str(quarry / "raw"), "--out", str(quarry / "out")]
    assert main(words) == 2  # two resolutions
    assert main([*words, "--resample"]) == 0
    data = open_dataset(quarry / "out")
    assert data.splits == ("train", "val", "test")
    seen = [id_ for split in data.splits for id_ in data.ids(split)]
    assert len(seen) == len(set(seen)) == 80  # every window in one split
    sample = data.read("train", data.ids("train")[0])
    assert sample.frames["rgb"].shape == (32, 32, 3)
    np.testing.assert_allclose(sample.frames["dsm"], 412.5)
    record = json.loads((quarry / "out" / "prepared.json").read_text())
    ignored = [row["ignored_pixels"] for row in record["splits"].values()]
    assert sum(row["unsure"] for row in ignored) == 16
    assert sum(row["no data"] for row in ignored) == 3 * 256  # where the mosaic ends


def test_labels_as_a_palette_are_read_by_their_colours(quarry: Path) -> None:
    with rasterio.open(quarry / "raw" / "drawn.tif") as file:
        indices = file.read(1)
    table = {0: (0xD9, 0xC7, 0xA0, 255), 1: (0x8C, 0x5A, 0x2B, 255), 9: (255, 0, 255, 255)}
    (quarry / "raw" / "drawn.tif").unlink()
    write = {"count": 1, "dtype": "uint8", "driver": "GTiff", "crs": "EPSG:32632"}
    turn = rasterio.Affine(0.1, 0, HERE[0], 0, -0.1, HERE[1])
    with rasterio.open(quarry / "raw" / "drawn.tif", "w", height=256, width=320, transform=turn, **write) as file:
        file.write(indices, 1)
        file.write_colormap(1, table)
    changed = LAYOUT.replace('label_values = "indices"', "").replace('unsure = "9"', 'unsure = "#ff00ff"')
    (quarry / "quarry.toml").write_text(changed)
    counts = prepare(str(quarry / "quarry.toml"), quarry / "raw", quarry / "out", Choices(resample=True))
    codes = sum(row.codes for row in counts.splits.values())
    seen = indices[:, :-3]
    assert codes.tolist() == [int((seen == value).sum()) for value in (0, 1, 9)] + [3 * 256]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("block_px = 64", "block_px = 16"), "blocks of 16"),
        (("block_px = 64", ""), "0 ways to split"),
        (('colours = ["#d9c7a0", "#8c5a2b"]', 'colours = ["#d9c7a0"]'), "one a class"),
        (('label_values = "indices"', 'label_values = "names"'), "label_values"),
        (("tile = 32", "tiles = 32"), "did you mean 'tile'"),
        (('files = ["ortho.tif"]', 'files = ["mosaic.tif"]'), "mosaic.tif"),
        (('files = ["dsm.tif"]', 'files = ["height.tif"]'), "height.tif"),
        (('files = ["ortho.tif"]\nbands = [1, 2, 3]', 'files = ["ortho.tif"]\nbands = [1, 2, 7]'), "4 bands"),
    ],
)
def test_what_a_layout_cannot_say_is_named(change: tuple[str, str], says: str, quarry: Path) -> None:
    assert change[0] in LAYOUT
    (quarry / "quarry.toml").write_text(LAYOUT.replace(*change))
    with pytest.raises(DataError) as caught:
        prepare(str(quarry / "quarry.toml"), quarry / "raw", quarry / "out", Choices(resample=True))
    assert says in str(caught.value)
    assert not (quarry / "out").exists()


def test_an_unknown_benchmark_suggests_the_nearest() -> None:
    with pytest.raises(DataError, match="did you mean 'potsdam'"):
        load("potsdamm")


@given(st.integers(8, 300), st.integers(8, 300), st.integers(4, 64), st.data())
def test_windows_own_every_pixel_once_and_overlap_as_asked(height: int, width: int, tile: int, data: Any) -> None:
    tile = min(tile, height, width)
    overlap = data.draw(st.integers(0, tile - 1))
    owned = np.zeros((height, width), np.int64)
    tops, lefts = set(), set()
    for window in windows_of((height, width), tile, overlap):
        owned[window.top : window.top + window.own_height, window.left : window.left + window.own_width] += 1
        assert window.own_height <= tile
        assert window.top + tile <= height
        assert window.left + tile <= width
        tops.add(window.top)
        lefts.add(window.left)
    assert (owned == 1).all()
    for starts in (sorted(tops), sorted(lefts)):
        assert all(after - before <= tile - overlap for before, after in pairwise(starts))


def test_only_train_overlaps() -> None:
    counts = {split: len(windows_by_split((100, 100), (split,), 40, 20, 0)) for split in ("train", "val", "test")}
    assert counts == {"train": 16, "val": 9, "test": 9}


@given(st.lists(st.tuples(st.integers(0, 6), *[st.integers(-96, 96)] * 3), min_size=1, max_size=64))
def test_colours_within_the_tolerance_mean_their_class(pixels: list[tuple[int, int, int, int]]) -> None:
    named = rgb_of((*POTSDAM.colours, *POTSDAM.ignored.values())).astype(int)
    meant = np.array([pixel[0] for pixel in pixels])
    painted = np.clip(named[meant] + np.array([pixel[1:] for pixel in pixels]), 0, 255).astype(np.uint8)
    codes, off = Legend(POTSDAM, 96).codes(painted[None], "label.tif")
    np.testing.assert_array_equal(codes[0], meant)
    assert off == np.count_nonzero((painted != named[meant]).any(axis=1))


@given(st.integers(-500, 500), st.integers(-500, 500), st.floats(-0.4, 0.4))
def test_the_place_of_a_raster_is_found_to_the_pixel(row: int, column: int, rest: float) -> None:
    on = Grid(600, 600, Ground(300000.0, 5700000.0, 0.05, 0.05), "EPSG:32633")
    ground = Ground(300000.0 - (column + rest) * 0.05, 5700000.0 + (row + rest) * 0.05, 0.05, 0.05)
    found = place(Grid(600, 600, ground), on, Path("dsm.tif"), Path("rgb.tif"), resample=False)
    assert (found.row, found.column, found.warped) == (row, column, False)
    assert found.shift_px == pytest.approx(abs(rest), abs=1e-3)


def test_a_world_file_names_the_centre_of_the_first_pixel(tmp_path: Path) -> None:
    (tmp_path / "a.tfw").write_text(" 0.050\n 0.000\n 0.000\n-0.050\n366976.525\n5809760.975\n")
    ground = read_world_file(tmp_path / "a.tfw")
    assert (ground.west, ground.north) == pytest.approx((366976.5, 5809761.0))
    (tmp_path / "a.tfw").write_text("0.05\n0\n")
    with pytest.raises(DataError, match="no world file"):
        read_world_file(tmp_path / "a.tfw")


def test_files_are_found_whatever_the_folders_and_letters(tmp_path: Path) -> None:
    for path in ("A/5_Labels_all/5_labels_all/TOP_potsdam_6_7_label.TIF", "B/x/top_potsdam_6_7_label.tif"):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).touch()
    raw = RawFiles(tmp_path)
    best = raw.first(("5_Labels_all/top_potsdam_{id}_label.tif", "top_potsdam_{id}_label.tif"), "6_7", "")
    assert best is not None
    assert best.parts[-4] == "A"
    assert raw.first(("top_potsdam_{id}_label.tif",), "7_7", "") is None
    for path in ("B/scene [1] of 2?.png", "B/scene 1 of 2x.png"):
        (tmp_path / path).touch()
    assert RawFiles(tmp_path).first(("{id}.png",), "scene [1] of 2?", "") == tmp_path / "B/scene [1] of 2?.png"
    assert RawFiles(tmp_path).first(("*/scene {id}.png",), "1 of 2?", "") is None
    assert filled("dsm_potsdam_{padded}.tif", "6_12", "") == "dsm_potsdam_06_12.tif"
