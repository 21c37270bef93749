"""The campaign on pictures: each type of source brings the same ones, and the sum names every campaign."""

from __future__ import annotations

import dataclasses
import json
import socket
from pathlib import Path

import numpy as np
import pytest
from tiny_bundle import NDSM, RGB, ground, make_bundle, task_of, write_scene

from benchmarks import campaign, campaign_ways
from dis2_edge.errors import UserError
from dis2_edge.images import write_png
from dis2_runtime.clock import RunClock
from dis2_runtime.sources import make_source, parse

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
    monkeypatch.setattr(campaign_ways, "LENGTHS", ["--seconds", "0.5", "--kinds", "off"])
    bundle = make_bundle(tmp_path / "tiny", task_of(OPT, SAR, grid=GRID))
    out = tmp_path / "out"
    only = ["--only", "flight,scene,video,mcap,python", "--storms", "0"]
    assert campaign.main([str(bundle.path), "--data", str(data), "--out", str(out), *only]) == 0
    told = (out / "campaigns.txt").read_text()
    assert all(f"| {name} | max | 3 |" in told for name in ("flight", "scene", "video", "mcap", "python"))


def test_noisy_camera_learns_its_limits_and_names_all_sensors_stuck(data: Path, tmp_path: Path, monkeypatch) -> None:
    bundle = make_bundle(tmp_path / "tiny", task_of(OPT, SAR, grid=GRID))
    hover = campaign_ways.ways
    kinds = ["--kinds", "stuck", "--seconds", "2"]
    monkeypatch.setattr(campaign, "ways", lambda *args: [dataclasses.replace(way, words=kinds) for way in hover(*args)])
    out = tmp_path / "out"
    words = [str(bundle.path), "--data", str(data), "--out", str(out), "--only", "hover", "--storms", "0"]
    assert campaign.main(words) == 0
    table = json.loads((out / "tiny-hover/campaign.json").read_text())
    assert [row["sensor"] for row in table["rows"]] == ["opt", "sar", "all", ""]
    assert all(row["named_periods"][1] <= 4.25 for row in table["rows"])
    assert (out / "made/limits-tiny.toml").read_text().count("never_repeats = true") == 2


def test_live_camera_sends_what_a_live_source_reads(data: Path) -> None:
    pytest.importorskip("av")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        place = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
    way = campaign_ways.Way("live", [], [], cameras=((str(data / "test/sar"), f"{place}?listen=1"),))
    clock = RunClock()
    clock.start()
    with campaign._cameras(way):
        source = make_source(SAR, GRID, parse(f"video:{place}#most_wait_s=0.2"), clock)
        source.open()
        found = []
        while len(found) < 5 and clock.now_ns() < 20e9:
            delivery = source.next()
            found += [delivery.frame] if delivery.frame else []
        source.close()
    assert [frame.pixels.shape for frame in found] == [(*GRID, 1)] * 5
    assert found[-1].time_ns > found[0].time_ns


@pytest.mark.parametrize(
    ("words", "told"),
    [(["--only", "foldr"], "did you mean 'folder'"), (["--dem-bundle", "x"], "--dem-scene"), ([], "is not a folder")],
)
def test_words_that_cannot_be_meant_are_refused(
    data: Path, tmp_path: Path, capsys, words: list[str], told: str
) -> None:
    bundle = make_bundle(tmp_path / "tiny", task_of(OPT, SAR, grid=GRID)) if words else None
    path = str(bundle.path) if bundle else str(tmp_path / "none")
    assert campaign.main([path, "--data", str(data), "--out", str(tmp_path / "out"), *words]) == 2
    shown = capsys.readouterr()
    assert told in shown.out + shown.err


def test_terrain_too(tmp_path: Path, monkeypatch) -> None:
    pytest.importorskip("rasterio")
    monkeypatch.setattr(campaign_ways, "LENGTHS", ["--seconds", "0.5", "--kinds", "off,stuck"])
    task = task_of(RGB, NDSM, grid=GRID)
    bundle = make_bundle(tmp_path / "tiny", task)
    way = campaign_ways.dem_way(write_scene(tmp_path / "scene", task, size=(96, 256)), tmp_path / "made")
    assert (
        campaign.dis2_edge(["campaign", str(bundle.path), "--storms", "0", "--threads", "1", *way.words, *way.sources])
        == 0
    )


def test_no_pictures_are_the_users_to_mend(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no pictures in"):
        campaign_ways.ways(tmp_path, tmp_path)
