"""Terrain: cut where the pose says, turned with it; as fresh as the way flown since is short; lost with the pose."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mapped_ground import EAST, EPSG, NORTH, PIXEL_M, pose_at, track_of, write_ground
from scripted import flown
from tiny_bundle import HEAT, NDSM

from dis2_edge.bundle import Bundle
from dis2_edge.errors import SourceError
from dis2_edge.images import write_png, write_tiff
from dis2_runtime.poses.pose import Pose
from dis2_runtime.poses.track import PoseTrack
from dis2_runtime.rasters import open_raster
from dis2_runtime.sources import Source, make_source, parse
from dis2_runtime.sources.dem import cut, shift_m

GRID = (24, 32)


def opened(uri: str, track: PoseTrack | None, sensor=NDSM) -> Source:
    source = make_source(sensor, GRID, parse(uri), track=track)
    source.open()
    return source


def everything(source: Source, most: int = 100) -> list:
    return [delivery for delivery in (source.next() for _ in range(most)) if delivery is not None]


def test_cut_on_the_rasters_own_pixels_is_the_raster(tmp_path) -> None:
    heights = write_ground(tmp_path)["ndsm"]
    found = cut(open_raster(tmp_path / "ndsm.tif"), pose_at(12 + 7, 16 + 9), GRID, GRID)
    np.testing.assert_array_equal(found, heights[7 : 7 + 24, 9 : 9 + 32])


@pytest.mark.parametrize("heading", [0.0, 37.0, 90.0, 180.0, 271.5])
@pytest.mark.parametrize("size", [GRID, (12, 16), (48, 64)])
def test_cut_of_a_slope_is_the_height_at_every_pixels_own_place(tmp_path, heading, size) -> None:
    rows, columns = np.mgrid[:120, :140]
    slope = (0.3 * (columns + 0.5) - 0.7 * (rows + 0.5)).astype(np.float32)[..., None]
    write_tiff(tmp_path / "slope.tif", slope, pixel_m=PIXEL_M, east_north_m=(EAST, NORTH), epsg=EPSG)
    pose = pose_at(60, 70, heading, gsd_m=0.8)
    found = cut(open_raster(tmp_path / "slope.tif"), pose, GRID, size)
    row, column = np.mgrid[: size[0], : size[1]] + 0.5
    a, b, c, d, e, f = pose.transform(GRID)
    row, column = row * GRID[0] / size[0], column * GRID[1] / size[1]
    x, y = a * column + b * row + c, d * column + e * row + f
    truth = 0.3 * (x - EAST) / PIXEL_M - 0.7 * (NORTH - y) / PIXEL_M
    np.testing.assert_allclose(found[..., 0], truth, atol=1e-3)


def test_beyond_the_raster_and_beside_no_data_it_is_nan(tmp_path) -> None:
    heights = np.ones((40, 40, 1), np.float32)
    heights[10, 10] = np.nan
    write_tiff(tmp_path / "dem.tif", heights, pixel_m=PIXEL_M, east_north_m=(EAST, NORTH), epsg=EPSG)
    raster = open_raster(tmp_path / "dem.tif")
    edge = cut(raster, pose_at(12, 0), GRID, GRID)
    assert np.isnan(edge[:, :16]).all()
    assert np.count_nonzero(np.isnan(edge[:, 16:])) == 1
    half = cut(raster, pose_at(12.5, 16.5), GRID, GRID)
    assert np.count_nonzero(np.isnan(half)) == 4
    assert np.isnan(cut(raster, pose_at(-900, 16), GRID, GRID)).all()


@settings(max_examples=60, deadline=None)
@given(x=st.floats(-200, 200), y=st.floats(-200, 200), heading=st.floats(0, 360), gsd=st.floats(0.01, 5))
def test_any_pose_gives_a_whole_frame(tmp_path_factory, x, y, heading, gsd) -> None:
    folder = tmp_path_factory.getbasetemp() / "any-pose"
    if not folder.exists():
        write_ground(folder)
    raster = open_raster(folder / "ndsm.tif")
    found = cut(raster, Pose(EAST + x, NORTH + y, heading, gsd, EPSG), GRID, GRID)
    assert (found.shape, found.dtype) == ((*GRID, 1), np.float32)
    assert np.nanmin(found, initial=0) >= -5
    assert np.nanmax(found, initial=0) <= 80
    raster.close()


def test_ground_that_the_aircraft_stands_over_stays_young_and_is_cut_once(tmp_path) -> None:
    write_ground(tmp_path)
    track = track_of([0, 10], [pose_at(30, 40), pose_at(30, 40.5)], max_gap_s=10)
    found = everything(opened(f"dem:{tmp_path}/ndsm.tif", track), 50)
    assert [delivery.frame.time_ns for delivery in found] == [delivery.due_ns for delivery in found]
    assert len({id(delivery.frame.pixels) for delivery in found}) == 1


def test_terrain_is_cut_again_after_the_shift_that_was_allowed(tmp_path) -> None:
    write_ground(tmp_path)
    track = track_of([0, 10], [pose_at(30, 20), pose_at(30, 60)], max_gap_s=10)  # 2 m/s, 0.4 m a period
    for options, cuts in (("", 10), ("?max_shift_m=2.1", 4), ("?max_shift_m=100", 1)):
        found = everything(opened(f"dem:{tmp_path}/ndsm.tif{options}", track), 20)
        assert len({id(delivery.frame.pixels) for delivery in found}) == cuts, options


def test_turning_moves_the_corners() -> None:
    assert shift_m(pose_at(0, 0), pose_at(0, 6), GRID) == pytest.approx(3.0)
    assert shift_m(pose_at(0, 0), pose_at(0, 0, 180), GRID) == pytest.approx(20.0)  # the diagonal of 12 m x 16 m
    assert shift_m(pose_at(0, 0), pose_at(0, 0, gsd_m=1.0), GRID) == pytest.approx(10.0)


def test_without_a_pose_the_frame_ages_from_the_last_fix_until_the_ground_has_moved(tmp_path) -> None:
    write_ground(tmp_path)
    track = track_of([0, 1, 6], [pose_at(30, 20), pose_at(30, 24), pose_at(30, 44)])  # 2 m/s, then a gap of 5 s
    found = everything(opened(f"dem:{tmp_path}/ndsm.tif?max_shift_m=1.5", track), 32)
    stamps = {round(d.due_ns / 1e6): d.frame.time_ns / 1e6 if d.frame else d.problem for d in found}
    assert stamps[1000] == 1000
    assert stamps[1200] == stamps[1400] == 1000  # 0.4 and 0.8 m after the fix
    assert stamps[1800] == "no pose for 800 ms: the ground moved 1.6 m since"
    assert stamps[5800] == "no pose for 4800 ms: the ground moved 9.6 m since"
    assert stamps[6000] == 6000


def test_hovering_without_a_pose_is_believed_no_longer_than_any_frame(tmp_path) -> None:
    write_ground(tmp_path)
    track = track_of([0, 1, 6], [pose_at(30, 20), pose_at(30, 20), pose_at(30, 20)])
    found = everything(opened(f"dem:{tmp_path}/ndsm.tif", track), 20)
    assert found[7].frame is not None
    assert (found[8].problem, found[8].lost) == ("no pose for 600 ms: the ground moved 0.0 m since", True)


def test_before_the_first_fix_there_is_no_pose_yet_and_after_the_last_it_ends(tmp_path) -> None:
    write_ground(tmp_path)
    found = everything(opened(f"dem:{tmp_path}/ndsm.tif", track_of([1], [pose_at(30, 40)])))
    assert [delivery.problem for delivery in found[:5]] == ["no pose yet"] * 5
    assert found[5].frame is not None
    assert found[6].problem.startswith("no pose for 200 ms: the ground moved since, at a speed that is not known")
    assert found[-1].due_ns == 2_000_000_000


def test_stream_loses_terrain_with_its_pose_by_name_and_gets_it_back(two: Bundle, tmp_path) -> None:
    write_ground(tmp_path)
    columns = [20 + 2 * number for number in range(21)]
    times = [number / 5 for number in range(21)]
    kept = [number for number in range(21) if not 10 < number < 18]  # no fix between 2.0 and 3.6 s
    track = track_of([times[n] for n in kept], [pose_at(30, columns[n]) for n in kept])
    outcomes = flown(two, 5, sources={"ndsm": opened(f"dem:{tmp_path}/ndsm.tif", track)})
    by_ms = {round(outcome.tick.time_ns / 1e6): outcome for outcome in outcomes}
    assert by_ms[1900].scenario == "rgb+ndsm"
    assert by_ms[3000].scenario == "rgb"
    assert "the ground moved 5.0 m since" in by_ms[3000].why
    assert by_ms[4500].scenario == "rgb"  # the track has ended at 4.0 s
    assert "rgb+ndsm" in {outcome.scenario for outcome in outcomes if 3.9e9 < outcome.tick.time_ns < 4.3e9}
    assert "stuck" not in {outcome.sensors["ndsm"].health.state for outcome in outcomes}


def test_ground_below_a_hovering_aircraft_is_never_stuck(two: Bundle, tmp_path) -> None:
    write_ground(tmp_path)
    track = track_of([0, 9], [pose_at(30, 40), pose_at(30, 40)], max_gap_s=10)
    outcomes = flown(two, 8, sources={"ndsm": opened(f"dem:{tmp_path}/ndsm.tif", track)})
    assert {outcome.sensors["ndsm"].health.state for outcome in outcomes} == {"ok"}
    assert {outcome.scenario for outcome in outcomes} == {"rgb+ndsm"}


def test_dem_that_cannot_be_cut_is_refused(tmp_path) -> None:
    pixels = write_ground(tmp_path)["ndsm"]
    track = track_of([0], [pose_at(0, 0)])
    uri = f"dem:{tmp_path}/ndsm.tif"
    with pytest.raises(SourceError, match=r"no poses; .*add \[poses\] to the rig"):
        opened(uri, None)
    with pytest.raises(SourceError, match="'heat' is uint16 of 1 channels; expected heights"):
        opened(uri, track, HEAT)
    with pytest.raises(SourceError, match="leave it out of"):
        opened(uri, track, dataclasses.replace(NDSM, to_grid=(2.0, 0, 0, 0, 1, 0, 0, 0, 1)))
    with pytest.raises(SourceError, match="max_shift_m is -1"):
        opened(f"{uri}?max_shift_m=-1", track)
    with pytest.raises(SourceError, match=r"'ndsm': .*none\.tif does not exist"):
        opened(f"dem:{tmp_path}/none.tif", track)
    write_tiff(tmp_path / "bare.tif", pixels)
    with pytest.raises(SourceError, match=r"bare\.tif has no georeference"):
        opened(f"dem:{tmp_path}/bare.tif", track)
    write_png(tmp_path / "three.png", np.zeros((40, 40, 3), np.uint8))
    (tmp_path / "three.pgw").write_text("1 0 0 -1 0 0")
    with pytest.raises(SourceError, match="3 bands; expected a GeoTIFF of one band"):
        opened(f"dem:{tmp_path}/three.png", track)
    write_tiff(tmp_path / "zone.tif", pixels, pixel_m=1, east_north_m=(EAST, NORTH), epsg=32634)
    with pytest.raises(SourceError, match=r"EPSG:32634, the poses in EPSG:32633.*gdalwarp -t_srs EPSG:32633"):
        opened(f"dem:{tmp_path}/zone.tif", track)
