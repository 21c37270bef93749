"""Masks on the map: a GIS finds each where its scene lay, turned or not; without a pose nothing is written and told."""

from __future__ import annotations

import dataclasses
import errno
import json
from pathlib import Path

import numpy as np
import pytest
from mapped_ground import EAST, EPSG, NORTH, PIXEL_M, pose_at, write_ground, write_track
from tiny_bundle import NDSM, RGB, expected, make_bundle, task_of

from dis2_edge.bundle import Policy
from dis2_edge.errors import RecipeError, SourceError, StorageError
from dis2_edge.images import read_image
from dis2_runtime.fly import Flight, fly
from dis2_runtime.outcome import Outcome
from dis2_runtime.poses.pose import Pose
from dis2_runtime.rig import load
from dis2_runtime.sinks.geotiff import GeotiffSettings, GeotiffSink
from dis2_runtime.stream import Limits
from dis2_runtime.ticks import Tick

rasterio = pytest.importorskip("rasterio", reason="the extra geo is not installed")

TASK = task_of(RGB, NDSM)
MASK = (np.indices(TASK.grid).sum(axis=0) // 5 % 2).astype(np.uint8)


def outcome(number: int = 0, pose: Pose | None = None, **changes) -> Outcome:
    made = Outcome(Tick(number, 0, "rate"), MASK, "fresh", 0.0, "rgb", "all sensors", None, 0.5, {}, pose=pose)
    return dataclasses.replace(made, **changes)


@pytest.mark.parametrize("cog", [False, True])
@pytest.mark.parametrize("heading", [0.0, 33.0, 90.0, 290.0])
def test_mask_lies_where_its_pose_says_with_palette_and_names(tmp_path, heading, cog) -> None:
    pose = pose_at(40, 60, heading, 0.25)
    sink = GeotiffSink(tmp_path, TASK, GeotiffSettings(cog=cog))
    sink.write(outcome(7, pose))
    sink.close()
    with rasterio.open(tmp_path / "geotiff" / "00000007.tif") as file:
        assert file.crs.to_epsg() == EPSG
        np.testing.assert_allclose(tuple(file.transform)[:6], pose.transform(TASK.grid), rtol=1e-12)
        np.testing.assert_array_equal(file.read(1), MASK)
        assert file.nodata == TASK.ignore
        assert file.colormap(1)[1] == (0xF0, 0xE0, 0x20, 255)
        assert json.loads(file.tags()["CLASSES"]) == ["dark", "bright"]
        assert file.tags(ns="IMAGE_STRUCTURE").get("LAYOUT") == ("COG" if cog else None)
    assert read_image(tmp_path / "geotiff" / "00000007.tif").shape == (*TASK.grid, 3)
    assert sink.remark == ""


def test_confidence_is_written_beside_where_it_is_wanted_and_known(tmp_path) -> None:
    sink = GeotiffSink(tmp_path, TASK, GeotiffSettings(confidence=True))
    sink.write(outcome(0, pose_at(0, 0), confidence_map=MASK * 100))
    sink.write(outcome(1, pose_at(0, 0)))
    names = sorted(path.name for path in (tmp_path / "geotiff").iterdir())
    assert names == ["00000000-confidence.tif", "00000000.tif", "00000001.tif"]
    with rasterio.open(tmp_path / "geotiff" / names[0]) as file:
        np.testing.assert_array_equal(file.read(1), MASK * 100)
        assert file.transform.c == pytest.approx(EAST - 16 * PIXEL_M)


def test_only_fresh_masks_with_a_pose_are_written_and_the_rest_is_told(tmp_path) -> None:
    sink = GeotiffSink(tmp_path, TASK)
    sink.write(outcome(0))
    sink.write(outcome(1, state="held"))
    sink.write(outcome(2, state="blind"))
    sink.write(outcome(3))
    assert list((tmp_path / "geotiff").iterdir()) == []
    assert sink.remark == "geotiff: 2 ticks without a pose"


def test_durable_mask_gets_its_name_when_it_is_on_the_disk(tmp_path) -> None:
    sink = GeotiffSink(tmp_path, TASK, durable=True)
    for number in range(2):
        sink.write(outcome(number, pose_at(0, 0)))
        assert len(list((tmp_path / "geotiff").glob("0*.tif"))) == number
        sink.sync() if number == 0 else sink.close()
    assert len(list((tmp_path / "geotiff").iterdir())) == 2
    assert (sink.wants.mask, sink.wants.confidence) == (True, False)


def test_unknown_system_is_user_defined(tmp_path) -> None:
    sink = GeotiffSink(tmp_path, TASK)
    sink.write(outcome(0, dataclasses.replace(pose_at(0, 0), epsg=0)))
    with rasterio.open(tmp_path / "geotiff" / "00000000.tif") as file:
        assert file.crs is None or file.crs.to_epsg() is None
        assert file.transform.f == pytest.approx(NORTH + 12 * PIXEL_M)


def test_full_disk_is_a_storage_error_and_leaves_no_half_mask(tmp_path, monkeypatch) -> None:
    sink = GeotiffSink(tmp_path, TASK)

    def full(self, data) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StorageError, match="no space left"):
        sink.write(outcome(0, pose_at(0, 0)))
    assert list((tmp_path / "geotiff").iterdir()) == []


def flight(tmp_path: Path, rig_text: str, **limits) -> tuple[dict, Path]:
    """Fly a tiny bundle by that rig in simulated time; the summary and the out folder."""
    make_bundle(tmp_path / "bundle", TASK, policy=Policy(rate_hz=10, return_after=1, hold_ms=400))
    (tmp_path / "rig.toml").write_text(rig_text)
    flying = Flight(rig=load(tmp_path / "rig.toml"), speed="max", threads=1, limits=Limits(**limits))
    return fly(tmp_path / "bundle", tmp_path / "out", flying), tmp_path / "out"


RIG = """
sinks = ["geotiff", "telemetry"]
[sensors.rgb]
source = "scene:rgb.tif?rate_hz=10&step=20"
[sensors.ndsm]
source = "dem:ndsm.tif"
rate_hz = 10
[poses]
source = "csv:track.csv"
epsg = 32633
"""


def test_masks_of_a_flight_over_scene_and_terrain_land_on_the_ground_they_were_cut_from(tmp_path) -> None:
    ground = write_ground(tmp_path)
    rows, columns = (0, 20, 40, 48), (0, 20, 40, 60, 80, 96)
    windows = [(row, column) for n, row in enumerate(rows) for column in columns[:: -1 if n % 2 else 1]]
    poses = [pose_at(row + 12, column + 16) for row, column in windows]
    write_track(tmp_path / "track.csv", [number / 10 for number in range(len(poses))], poses)
    summary, out = flight(tmp_path, RIG)
    truth = expected(TASK, "rgb+ndsm", ground)
    mosaic = np.full((72, 128), 255, np.uint8)
    told = [json.loads(line) for line in (out / "telemetry.jsonl").read_text().splitlines()]
    for row in told:
        if row["scenario"] != "rgb+ndsm":
            continue  # at the very end, when one source has ended
        with rasterio.open(out / "geotiff" / f"{row['tick']:08d}.tif") as file:
            row, column = (NORTH - file.transform.f) / PIXEL_M, (file.transform.c - EAST) / PIXEL_M
            place = slice(round(row), round(row) + 24), slice(round(column), round(column) + 32)
            mosaic[place] = file.read(1)
    seen = mosaic != 255
    assert seen.mean() > 0.95  # the first window comes before the first tick
    np.testing.assert_array_equal(mosaic[seen], truth[seen])
    assert summary["remarks"] == []
    assert told[3]["pose"] == dataclasses.asdict(poses[4])  # ticks begin at 0.1 s


def test_turned_terrain_lands_where_it_was_cut(tmp_path) -> None:
    ground = write_ground(tmp_path, (160, 160))
    poses = [pose_at(70 + number, 80 - 2 * number, 340 + 7.0 * number) for number in range(12)]
    write_track(tmp_path / "track.csv", [number / 10 for number in range(12)], poses)
    rig = RIG.replace('source = "scene:rgb.tif?rate_hz=10&step=20"', "") + "[geotiff]\nconfidence = true\n"
    _, out = flight(tmp_path, rig, seconds=1.0)
    height = ground["ndsm"][..., 0]
    files = sorted((out / "geotiff").glob("????????.tif"))
    assert len(files) == len(list((out / "geotiff").glob("*-confidence.tif"))) == 10
    for path in files:
        with rasterio.open(path) as file:
            mask = file.read(1)
            row, column = np.indices(mask.shape) + 0.5
            a, b, c, d, e, f = tuple(file.transform)[:6]
        x, y = a * column + b * row + c, d * column + e * row + f
        down, across = (NORTH - y) / PIXEL_M, (x - EAST) / PIXEL_M
        nearest = height[down.astype(int), across.astype(int)]
        clear = np.abs(nearest - NDSM.mean[0]) > 2.5  # away from the border between the classes
        np.testing.assert_array_equal(mask[clear], (nearest > NDSM.mean[0])[clear])


def test_flight_without_poses_writes_no_map_and_says_so(tmp_path) -> None:
    write_ground(tmp_path)
    (tmp_path / "pictures").mkdir()
    for number in range(5):
        (tmp_path / "pictures" / f"{number}.tif").write_bytes((tmp_path / "rgb.tif").read_bytes())
    rig = 'sinks = ["geotiff"]\n[sensors.rgb]\nsource = "folder:pictures"\n'
    summary, out = flight(tmp_path, rig, ticks=2)
    assert list((out / "geotiff").iterdir()) == []
    assert summary["remarks"] == ["geotiff: 2 ticks without a pose"]


def test_two_scenes_of_unlike_ways_are_refused_before_the_flight(tmp_path) -> None:
    write_ground(tmp_path)
    rig = '[sensors.rgb]\nsource = "scene:rgb.tif"\n[sensors.ndsm]\nsource = "scene:ndsm.tif?step=10"\n'
    with pytest.raises(SourceError, match="scenes of 'rgb' and 'ndsm' are flown apart"):
        flight(tmp_path, rig)
    assert not (tmp_path / "out").exists()


def test_terrain_in_a_rig_without_poses_is_refused(tmp_path) -> None:
    write_ground(tmp_path)
    with pytest.raises(SourceError, match=r"add \[poses\] to the rig"):
        flight(tmp_path, '[sensors.ndsm]\nsource = "dem:ndsm.tif"\n')


def test_key_of_the_rig_that_is_wrong_names_the_right_one(tmp_path) -> None:
    for table, message in (("[poses]\nsorce", "did you mean 'source'"), ("[geotiff]\ncogs", "did you mean 'cog'")):
        with pytest.raises(RecipeError, match=message):
            flight(tmp_path, f"{table} = 1\n")
