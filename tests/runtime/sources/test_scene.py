"""Scenes: every window in its place, all of the ground once at least, two sensors on one way or refused."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mapped_ground import EAST, EPSG, NORTH, PIXEL_M, pose_at, write_ground
from opened import deliveries, frames, opened
from tiny_bundle import NDSM, RGB, ground

from dis2_edge.errors import SourceError
from dis2_edge.images import write_png, write_tiff
from dis2_runtime.faults import FaultedSource, FaultPlan
from dis2_runtime.sources import make_source, parse
from dis2_runtime.sources.scene import SceneOptions, Way, refuse_apart

GRID = (24, 32)


def test_windows_run_to_and_fro_with_time_and_pose(tmp_path) -> None:
    pixels = write_ground(tmp_path, (48, 96))["rgb"]
    seen = frames(opened(f"scene:{tmp_path}/rgb.tif?rate_hz=5"))
    corners = [(0, 0), (0, 32), (0, 64), (24, 64), (24, 32), (24, 0)]
    assert [frame.time_ns for frame in seen] == [number * 200_000_000 for number in range(6)]
    for frame, (row, column) in zip(seen, corners, strict=True):
        np.testing.assert_array_equal(frame.pixels, pixels[row : row + 24, column : column + 32])
        assert frame.pose == pose_at(row + 12, column + 16)


@settings(max_examples=200, deadline=None)
@given(
    st.integers(24, 90), st.integers(32, 130), st.integers(0, 40), st.integers(8, 24)
)  # height, width, step, least side
def test_whole_ground_is_seen_whatever_the_step(height, width, step, side) -> None:
    rows = [*range(0, height - side, step or side), height - side]
    columns = [*range(0, width - side, step or side), width - side]
    way = Way(tuple(rows), tuple(columns), 1.0, None)
    seen = np.zeros((height, width), bool)
    places = [way.window(number) for number in range(way.windows)]
    for row, column in places:
        seen[row : row + side, column : column + side] = True
    assert (seen.all()) == (not step or step <= side or (len(rows) == 1 and len(columns) == 1) or seen.all())
    assert all(a[0] == b[0] or a[1] == b[1] for a, b in itertools.pairwise(places))  # never a jump across


def test_step_overlaps_and_loop_begins_again(tmp_path) -> None:
    write_ground(tmp_path, (30, 64))
    source = opened(f"scene:{tmp_path}/rgb.tif?step=16&loop=1")
    seen = frames(source, 8)
    places = [((frame.pose.x - EAST) / PIXEL_M - 16, (NORTH - frame.pose.y) / PIXEL_M - 12) for frame in seen]
    assert places == [(0, 0), (16, 0), (32, 0), (32, 6), (16, 6), (0, 6), (0, 0), (16, 0)]
    assert [frame.sequence for frame in seen] == list(range(8))


def test_sensors_of_other_resolution_see_the_same_ground(tmp_path) -> None:
    random = np.random.default_rng(0)
    write_tiff(
        tmp_path / "fine.tif", ground(RGB, (96, 192), random), pixel_m=0.25, east_north_m=(EAST, NORTH), epsg=EPSG
    )
    write_tiff(
        tmp_path / "coarse.tif", ground(NDSM, (24, 48), random), pixel_m=1, east_north_m=(EAST, NORTH), epsg=EPSG
    )
    fine = opened(f"scene:{tmp_path}/fine.tif?step=16", dataclasses.replace(RGB, size=(48, 64)))
    coarse = opened(f"scene:{tmp_path}/coarse.tif?step=16", dataclasses.replace(NDSM, size=(12, 16)))
    refuse_apart({"rgb": fine, "ndsm": coarse})
    pairs = list(zip(frames(fine), frames(coarse), strict=True))
    assert len(pairs) == 3 * 5
    for one, other in pairs:
        assert one.pose == other.pose
        assert one.pose.gsd_m == 0.5
        assert (one.pixels.shape, other.pixels.shape) == ((48, 64, 3), (12, 16, 1))


def test_scene_over_another_cuts_the_same_ground_from_a_larger_raster(tmp_path) -> None:
    large = write_ground(tmp_path, (100, 150))["ndsm"]
    small = ground(RGB, (48, 64), np.random.default_rng(5))
    place = (EAST + 10 * PIXEL_M, NORTH - 20 * PIXEL_M)
    write_tiff(tmp_path / "small.tif", small, pixel_m=PIXEL_M, east_north_m=place, epsg=EPSG)
    rgb = opened(f"scene:{tmp_path}/small.tif?over={tmp_path}/small.tif")
    ndsm = opened(f"scene:{tmp_path}/ndsm.tif?over={tmp_path}/small.tif", NDSM)
    refuse_apart({"rgb": rgb, "ndsm": ndsm})
    for one, other in zip(frames(rgb), frames(ndsm), strict=True):
        assert one.pose == other.pose
    np.testing.assert_array_equal(other.pixels, large[20 + 24 : 20 + 48, 10 : 10 + 32])  # the last is down left


def test_scenes_flown_apart_are_refused(tmp_path) -> None:
    write_ground(tmp_path, (48, 96))
    rgb = opened(f"scene:{tmp_path}/rgb.tif")
    for options in ("step=8", "rate_hz=4"):
        ndsm = FaultedSource(opened(f"scene:{tmp_path}/ndsm.tif?{options}", NDSM), NDSM, FaultPlan())
        with pytest.raises(SourceError, match="scenes of 'rgb' and 'ndsm' are flown apart: 2 x 3 windows at 10 Hz"):
            refuse_apart({"rgb": rgb, "ndsm": ndsm})
    far = ground(NDSM, (48, 96), np.random.default_rng(1))
    write_tiff(tmp_path / "far.tif", far, pixel_m=PIXEL_M, east_north_m=(EAST + 900, NORTH), epsg=EPSG)
    with pytest.raises(SourceError, match="give both the same over=FILE"):
        refuse_apart({"rgb": rgb, "ndsm": opened(f"scene:{tmp_path}/far.tif", NDSM)})
    with pytest.raises(SourceError, match=r"far\.tif does not cover .*rgb\.tif; .*name the smaller raster"):
        opened(f"scene:{tmp_path}/far.tif?over={tmp_path}/rgb.tif", NDSM)


def test_over_needs_georeferences_in_one_system(tmp_path) -> None:
    pixels = write_ground(tmp_path)["rgb"]
    write_png(tmp_path / "plain.png", pixels)
    with pytest.raises(SourceError, match=r"plain\.png has no georeference"):
        opened(f"scene:{tmp_path}/rgb.tif?over={tmp_path}/plain.png")
    write_tiff(tmp_path / "other.tif", pixels, pixel_m=PIXEL_M, east_north_m=(EAST, NORTH), epsg=32634)
    with pytest.raises(SourceError, match="EPSG:32633 and 32634"):
        opened(f"scene:{tmp_path}/rgb.tif?over={tmp_path}/other.tif")


def test_picture_without_a_place_flies_without_a_pose(tmp_path) -> None:
    write_png(tmp_path / "plain.png", ground(RGB, (48, 96), np.random.default_rng(0)))
    assert [frame.pose for frame in frames(opened(f"scene:{tmp_path}/plain.png"))] == [None] * 6


def test_frame_that_does_not_become_the_grid_evenly_has_no_pose(tmp_path) -> None:
    write_ground(tmp_path)
    for changes in ({"size": (24, 64)}, {"size": (48, 64), "fit": "crop"}, {"to_grid": (2.0, 0, 0, 0, 1, 0, 0, 0, 1)}):
        source = opened(f"scene:{tmp_path}/rgb.tif", dataclasses.replace(RGB, **changes))
        assert {frame.pose for frame in frames(source)} == {None}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.tif", r"'rgb': .*none\.tif does not exist"),
        ("cut.tif", r"cut\.tif"),
        ("small.png", r"small\.png offers 20x96 grid pixels; expected a window at least, 24x32"),
        ("ndsm.tif", r"ndsm\.tif has 1 bands; expected 3; choose them: bands=1,2,3"),
        ("rgb.tif?bands=1,2,4", "has 3 bands"),
        ("rgb.tif?rate_hz=0", "rate_hz above 0"),
        ("rgb.tif?step=-1", "step 0 or more"),
        ("rgb.tif?steep=1", "unknown key 'steep'; did you mean 'step'"),
    ],
)
def test_scene_that_cannot_be_flown_is_refused(tmp_path: Path, name, message) -> None:
    write_ground(tmp_path)
    (tmp_path / "cut.tif").write_bytes((tmp_path / "rgb.tif").read_bytes()[:60])
    write_png(tmp_path / "small.png", np.zeros((20, 96, 3), np.uint8))
    with pytest.raises(SourceError, match=message):
        opened(f"scene:{tmp_path}/{name}")


def test_bands_are_chosen_and_a_closed_scene_ends(tmp_path) -> None:
    pixels = write_ground(tmp_path)["rgb"]
    source = opened(f"scene:{tmp_path}/rgb.tif?bands=3,2,1")
    np.testing.assert_array_equal(frames(source, 1)[0].pixels, pixels[:24, :32, ::-1])
    source.close()
    source.close()
    assert deliveries(source) == []


def test_unread_part_of_a_cut_file_is_a_lost_frame_and_the_flight_goes_on(tmp_path) -> None:
    rasterio = pytest.importorskip("rasterio", reason="the extra geo is not installed")
    path = tmp_path / "tiled.tif"
    profile = {"driver": "GTiff", "count": 3, "dtype": "uint8", "tiled": True, "blockxsize": 16, "blockysize": 16}
    with rasterio.open(path, "w", height=48, width=64, **profile, transform=rasterio.Affine(1, 0, 9, 0, -1, 9)) as file:
        file.write(np.random.default_rng(0).integers(0, 255, (3, 48, 64), np.uint8))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    found = deliveries(opened(f"scene:{path}"))
    assert len(found) == 4
    assert found[0].frame is not None
    assert any("tiled.tif is damaged" in delivery.problem for delivery in found)


def test_scene_is_made_without_reading_its_file() -> None:
    assert SceneOptions().rate_hz == 10
    make_source(RGB, GRID, parse("scene:/nowhere.tif"))
