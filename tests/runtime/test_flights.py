"""The folder of all flights: numbers, quota, and what is never removed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tiny_bundle import NDSM, RGB, task_of, write_scene

from dis2_edge.bundle import Bundle
from dis2_edge.cli import main
from dis2_edge.errors import StorageError
from dis2_runtime import flights
from dis2_runtime.flights import MARKER, Quota, flights_of, new_flight, size_of

MB = 10**6


def old_flight(folder: Path, number: int, size: int = MB) -> Path:
    path = folder / f"{number:04d}-20260101T000000Z"
    (path / "masks").mkdir(parents=True)
    (path / MARKER).write_text("")
    (path / "masks" / "0.png").write_bytes(b"x" * size)
    return path


def test_flights_are_numbered_on_from_the_last_and_named_by_utc(tmp_path) -> None:
    old_flight(tmp_path, 41)
    (tmp_path / "9999-notes").mkdir()
    with new_flight(tmp_path) as first, new_flight(tmp_path) as second:
        assert re.fullmatch(r"0042-\d{8}T\d{6}Z", first.name)
        assert second.name.startswith("0043-")
        assert flights_of(tmp_path)[1:] == [first, second]


def test_order_is_by_number_also_past_four_digits(tmp_path) -> None:
    paths = [old_flight(tmp_path, number) for number in (10000, 9999, 2)]
    assert flights_of(tmp_path) == paths[::-1]


def test_oldest_flights_go_until_the_quota_is_met_and_never_the_current(tmp_path) -> None:
    old = [old_flight(tmp_path, number) for number in range(1, 6)]
    with new_flight(tmp_path) as current:
        (current / "masks.bin").write_bytes(b"x" * MB)
        quota = Quota(current, 3.5, tmp_path)
        quota.look()
        assert [path.exists() for path in old] == [False, False, False, True, True]
        assert quota.barrier() == ""
        (current / "more.bin").write_bytes(b"x" * 5 * MB)
        quota.look()
        assert not any(path.exists() for path in old)
        assert quota.barrier() == "the quota of 3.5 MB is used up by this flight"
        (current / "more.bin").unlink()
        quota.look()
        assert quota.barrier() == ""
        assert (current / "masks.bin").exists()


def test_flight_that_another_process_flies_is_never_removed(tmp_path) -> None:
    with new_flight(tmp_path) as other, new_flight(tmp_path) as current:
        (other / "big").write_bytes(b"x" * 2 * MB)
        Quota(current, 1, tmp_path).look()
        assert (other / "big").exists()
    Quota(current, 1, tmp_path).look()
    assert not other.exists()


def test_strange_folders_files_and_links_survive_any_quota(tmp_path) -> None:
    outside = tmp_path / "outside"
    kept = [old_flight(outside, 1) / "masks" / "0.png", outside / "photos" / "a.jpg"]
    folder = tmp_path / "flights"
    unmarked = folder / "0001-20260101T000000Z"
    named = folder / "holiday"
    for path in (outside / "photos", unmarked, named):
        path.mkdir(parents=True)
    for path in (kept[1], unmarked / "a.png", named / MARKER, folder / "0002-20260101T000000Z"):
        path.write_text("x" * 10_000)
    (folder / "0003-20260101T000000Z").symlink_to(outside / "0001-20260101T000000Z")
    linked = folder / "0004-20260101T000000Z"
    linked.mkdir()
    (linked / MARKER).symlink_to(outside / "photos" / "a.jpg")
    mine = old_flight(folder, 5)
    (mine / "link").symlink_to(outside / "photos")
    (mine / "masks" / "link").symlink_to(outside / "photos")
    before = sorted(path for path in tmp_path.rglob("*") if not path.is_relative_to(mine))
    Quota(folder / "none", 1e-6, folder).look()
    assert sorted(tmp_path.rglob("*")) == before
    assert all(path.exists() for path in kept)


def test_removal_that_was_cut_short_goes_on_next_time(tmp_path, monkeypatch) -> None:
    path = old_flight(tmp_path, 1)
    monkeypatch.setattr(flights.shutil, "rmtree", lambda path: (_ for _ in ()).throw(OSError(5, "Input/output error")))
    Quota(tmp_path / "none", 1e-6, tmp_path).look()
    assert (path / MARKER).exists()
    monkeypatch.undo()
    Quota(tmp_path / "none", 1e-6, tmp_path).look()
    assert not path.exists()


def test_size_is_what_the_disk_gives_and_links_weigh_nothing(tmp_path) -> None:
    old_flight(tmp_path / "a", 1)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "link").symlink_to(tmp_path / "a")
    assert MB <= size_of(tmp_path / "a") < 1.1 * MB
    assert size_of(tmp_path / "b") < 10_000
    assert size_of(tmp_path / "none") == 0


def test_folder_that_cannot_be_made_is_told(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"), new_flight(tmp_path / "file" / "flights"):
        pass


def test_run_without_out_flies_into_the_rigs_flights_and_a_full_quota_stops_pictures_only(
    two: Bundle, tmp_path, capsys, monkeypatch
) -> None:
    write_scene(tmp_path, task_of(RGB, NDSM))
    table = "[output]\nquota_mb = 0.05\nsidecar = true\n"
    rig = "".join(f'[sensors.{name}]\nsource = "flight:."\n' for name in ("rgb", "ndsm"))
    (tmp_path / "rig.toml").write_text(table + rig)
    old = old_flight(tmp_path / "flights", 7)
    monkeypatch.setattr(flights, "_LOOK_S", 0.05)
    monkeypatch.setattr(flights, "_REST", 1)
    words = ["run", str(two.path), "--rig", str(tmp_path / "rig.toml"), "--seconds", "2.5", "--threads", "1"]
    assert main(words) == 0
    shown = capsys.readouterr().out
    (flight,) = flights_of(tmp_path / "flights")
    assert not old.exists()
    assert flight.name.startswith("0008-")
    assert f"what was written is in {flight}" in shown
    summary = json.loads((flight / "summary.json").read_text())
    assert summary["flight"] == flight.name
    assert summary["sinks"]["telemetry"]["written"] == summary["answered"] == 25
    assert len((flight / "telemetry.jsonl").read_text().splitlines()) == 25
    png = summary["sinks"]["png"]
    assert png["written"] + png["dropped"] == 25
    assert png["dropped"] > 0
    assert png["reason"] == "the quota of 0.05 MB is used up by this flight"
    assert "sink png loses output: the quota" in shown
    assert len(list((flight / "masks").glob("*.png"))) == png["written"] >= 3


def test_out_of_ones_own_removes_nothing_and_has_no_quota_unless_given(two: Bundle, tmp_path) -> None:
    write_scene(tmp_path, task_of(RGB, NDSM))
    neighbour = old_flight(tmp_path, 1)
    sources = [f"--source={name}=flight:{tmp_path}" for name in ("rgb", "ndsm")]
    for name, quota in (("a", ""), ("b", "[output]\nquota_mb = 1\n")):
        (tmp_path / "rig.toml").write_text(quota)
        words = ["run", str(two.path), "--rig", str(tmp_path / "rig.toml"), "--out", str(tmp_path / name), *sources]
        assert main([*words, "--ticks", "5", "--speed", "max"]) == 0
        assert json.loads((tmp_path / name / "summary.json").read_text())["sinks"]["png"]["written"] == 5
    assert neighbour.exists()
