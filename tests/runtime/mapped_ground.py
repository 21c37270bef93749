"""A piece of mapped ground for tests: one GeoTIFF a sensor on the same pixels, and tracks over it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tiny_bundle import NDSM, RGB, ground

from dis2_edge.images import write_tiff
from dis2_runtime.poses.pose import Pose
from dis2_runtime.poses.track import PoseTrack

EAST, NORTH, EPSG, PIXEL_M = 500_000.0, 5_200_000.0, 32633, 0.5


def write_ground(folder: Path, size: tuple[int, int] = (72, 128), seed: int = 3) -> dict[str, np.ndarray]:
    """rgb.tif and ndsm.tif of `size`; returns their pixels by sensor."""
    random = np.random.default_rng(seed)
    made = {sensor.name: ground(sensor, size, random) for sensor in (RGB, NDSM)}
    for name, pixels in made.items():
        write_tiff(folder / f"{name}.tif", pixels, pixel_m=PIXEL_M, east_north_m=(EAST, NORTH), epsg=EPSG)
    return made


def pose_at(row: float, column: float, heading_deg: float = 0.0, gsd_m: float = PIXEL_M) -> Pose:
    """The pose of a grid whose centre lies at that row and column of the ground."""
    return Pose(EAST + column * PIXEL_M, NORTH - row * PIXEL_M, heading_deg, gsd_m, EPSG)


def track_of(times_s: list[float], poses: list[Pose], max_gap_s: float = 1.0) -> PoseTrack:
    """A track through `poses`."""
    rows = [(pose.x, pose.y, pose.heading_deg, pose.gsd_m) for pose in poses]
    return PoseTrack([round(time_s * 1e9) for time_s in times_s], rows, EPSG, max_gap_s)


def write_track(path: Path, times_s: list[float], poses: list[Pose]) -> Path:
    """The same as a CSV file."""
    lines = [f"{t!r},{p.x!r},{p.y!r},{p.heading_deg!r},{p.gsd_m!r}" for t, p in zip(times_s, poses, strict=True)]
    path.write_text("\n".join(["time_s,x,y,heading_deg,gsd_m", *lines]) + "\n")
    return path
