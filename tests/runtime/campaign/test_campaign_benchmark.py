"""The campaign on pictures: each type of source brings the same ones, and the sum names every campaign."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from tiny_bundle import NDSM, RGB, ground, make_bundle, task_of, write_scene

from benchmarks import campaign
from dis2_edge.images import write_png

OPT = dataclasses.replace(RGB, name="opt")
SAR = dataclasses.replace(RGB, name="sar", kind="radar", channels=1, mean=(120.0,), std=(60.0,))
GRID = (48, 64)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for sensor in (OPT, SAR):
        for place in range(9):
            write_png(tmp_path / f"data/test/{sensor.name}/{place}.png", ground(sensor, GRID, random))
    return tmp_path / "data"


def test_every_recorded_type_of_source_survives(data: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    pytest.importorskip("av")
    pytest.importorskip("mcap")
    monkeypatch.setattr(campaign, "LENGTHS", ["--seconds", "0.5", "--kinds", "off"])
    bundle = make_bundle(tmp_path / "tiny", task_of(OPT, SAR, grid=GRID))
    out = tmp_path / "out"
    only = ["--only", "flight,scene,video,mcap,python", "--storms", "0"]
    assert campaign.main([str(bundle.path), "--data", str(data), "--out", str(out), *only]) == 0
    told = (out / "campaigns.txt").read_text()
    assert all(f"| {name} | max | 3 |" in told for name in ("flight", "scene", "video", "mcap", "python"))


def test_terrain_too(tmp_path: Path, monkeypatch) -> None:
    pytest.importorskip("rasterio")
    monkeypatch.setattr(campaign, "LENGTHS", ["--seconds", "0.5", "--kinds", "off,stuck"])
    task = task_of(RGB, NDSM, grid=GRID)
    bundle = make_bundle(tmp_path / "tiny", task)
    way = campaign.dem_way(write_scene(tmp_path / "scene", task, size=(96, 256)), tmp_path / "made")
    assert campaign.dis2_edge(["campaign", str(bundle.path), "--storms", "0", "--threads", "1", *way.words]) == 0


def test_no_pictures_are_the_users_to_mend(tmp_path: Path) -> None:
    with pytest.raises(campaign.UserError, match="no pictures in"):
        campaign.ways(tmp_path, tmp_path)
