"""Sources: what cannot be opened is refused with its name; folder and flight deliver in rhythm, always alike."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from opened import deliveries, frames, opened
from tiny_bundle import HEAT, NDSM, RGB, ground, task_of, write_scene

from dis2_edge.errors import SourceError
from dis2_edge.images import write_png
from dis2_runtime.sources import make_source, parse, shown
from dis2_runtime.sources.flight import corner
from dis2_runtime.sources.inverted import InvertedSource
from dis2_runtime.sources.shifted import ShiftedSource

GRID = (24, 32)


def pictures(folder: Path, count: int) -> list[np.ndarray]:
    random = np.random.default_rng(1)
    made = [ground(RGB, GRID, random) for _ in range(count)]
    for number, pixels in enumerate(made):
        write_png(folder / f"{number:03d}.png", pixels)
    return made


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        (
            "foldr:/data",
            r"'foldr:/data' has no known scheme; expected one of folder:, flight:.*; did you mean 'folder'",
        ),
        ("pictures", "no known scheme"),
        ("rtsp://me:secret@camera/1", r"'rtsp://\*\*\*@camera/1' has no known scheme.*for a live video: video:rtsp:"),
        ("", "no known scheme"),
        ("folder:", "names no place"),
        ("folder:?loop=1", "names no place"),
    ],
)
def test_uri_that_says_nothing_is_refused(uri, message) -> None:
    with pytest.raises(SourceError, match=message):
        parse(uri)


@pytest.mark.parametrize(
    "uri",
    [
        "video:rtsp://me:hush@cam/1",
        "video:rtsp://me:hu@hush/x@cam/1?y=2",
        "video:https://cam/1?token=hush&y=2",
        "video:rtsp://cam/1?user=me&pwd=hush",
        "video:http://cam/1?auth=hush&signature=hush",
        "gst:rtspsrc location=rtsp://cam/1 user-id=hush user-pw=hush ! decodebin",
        'gst:rtspsrc location=rtsp://cam/1 user-pw="hush hush" ! decodebin',
        "gst:srtsrc uri=srt://cam passphrase = hush ! decodebin",
    ],
)
def test_password_in_a_uri_is_shown_nowhere(uri) -> None:
    assert "hush" not in shown(uri)
    assert "hush" not in parse(uri).uri
    assert "cam" in shown(uri)
    with pytest.raises(SourceError) as refusal:
        parse("x" + uri)
    assert "hush" not in str(refusal.value)


def test_bare_folder_is_told_its_scheme(tmp_path) -> None:
    with pytest.raises(SourceError, match=f"folder:{tmp_path}"):
        parse(str(tmp_path))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("lop=1", "unknown key 'lop'; did you mean 'loop'"),
        ("loop=perhaps", "loop is 'perhaps'; expected 0 or 1"),
        ("rate_hz=fast", "rate_hz is 'fast'; expected a number"),
        ("rate_hz=-1", "expected 0 or more"),
        ("rate_hz=inf", "expected 0 or more"),
        ("bands=a,b", "bands is 'a,b'"),
        ("bands=0", "bands from 1"),
    ],
)
def test_option_that_is_wrong_is_named(tmp_path, options, message) -> None:
    with pytest.raises(SourceError, match=message):
        make_source(RGB, GRID, parse(f"folder:{tmp_path}?{options}"))


def test_folder_that_is_absent_or_empty_is_refused(tmp_path) -> None:
    with pytest.raises(SourceError, match=r"'rgb': .*nowhere is not a folder"):
        opened(f"folder:{tmp_path / 'nowhere'}")
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(SourceError, match="no picture in"):
        opened(f"folder:{tmp_path}")


def test_scene_that_is_absent_damaged_or_too_small_is_refused(tmp_path) -> None:
    with pytest.raises(SourceError, match=r"no scene of sensor 'rgb'.*expected rgb\.png or \.tif"):
        opened(f"flight:{tmp_path}")
    (tmp_path / "rgb.png").write_bytes(b"\x89PNG\r\n\x1a\n cut")
    with pytest.raises(SourceError, match=r"rgb\.png"):
        opened(f"flight:{tmp_path}")
    write_png(tmp_path / "rgb.png", np.zeros((24, 30, 3), np.uint8))
    with pytest.raises(SourceError, match="is 24x30 pixels; expected at least the sensor's frame, 24x32"):
        opened(f"flight:{tmp_path}")


@pytest.mark.parametrize("options", ["jitter=0.7", "speed_px_s=-1", "seed=-3", "lag_ms=-1"])
def test_flight_option_out_of_range_is_refused(tmp_path, options) -> None:
    with pytest.raises(SourceError, match="flight options"):
        make_source(RGB, GRID, parse(f"flight:{tmp_path}?{options}"))


def test_folder_gives_pictures_in_name_order_at_the_sensors_rate_and_ends(tmp_path) -> None:
    made = pictures(tmp_path, 3)
    found = deliveries(opened(f"folder:{tmp_path}"))
    assert [delivery.due_ns for delivery in found] == [0, 100_000_000, 200_000_000]
    for number, (delivery, pixels) in enumerate(zip(found, made, strict=True)):
        assert delivery.frame is not None
        assert (delivery.frame.sequence, delivery.frame.time_ns) == (number, delivery.due_ns)
        np.testing.assert_array_equal(delivery.frame.pixels, pixels)


def test_folder_can_loop_at_another_rate_and_take_bands(tmp_path) -> None:
    made = pictures(tmp_path, 2)
    found = frames(opened(f"folder:{tmp_path}?loop=1&rate_hz=4&bands=3,1"), most=5)
    assert [frame.time_ns for frame in found] == [0, 250_000_000, 500_000_000, 750_000_000, 1_000_000_000]
    np.testing.assert_array_equal(found[4].pixels, made[0][..., [2, 0]])


def test_damaged_picture_is_a_lost_frame_with_a_reason(tmp_path) -> None:
    pictures(tmp_path, 3)
    whole = (tmp_path / "001.png").read_bytes()
    (tmp_path / "001.png").write_bytes(whole[: len(whole) // 2])
    first, second, third = deliveries(opened(f"folder:{tmp_path}"))
    assert second.frame is None
    assert "001.png" in second.problem
    assert first.frame is not None
    assert third.frame is not None
    assert third.frame.sequence == 2


def test_flight_is_the_same_every_time_and_differs_by_seed(tmp_path) -> None:
    write_scene(tmp_path, task_of(RGB))
    one, two, other = (frames(opened(f"flight:{tmp_path}?seed={seed}")) for seed in (1, 1, 2))
    assert [frame.time_ns for frame in one] == [frame.time_ns for frame in two]
    assert [frame.time_ns for frame in one] != [frame.time_ns for frame in other]
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(one, two, strict=True))


def test_flight_keeps_each_sensors_rate_within_its_jitter_and_arrives_in_order(tmp_path) -> None:
    write_scene(tmp_path, task_of(RGB, NDSM, HEAT))
    for sensor in (RGB, NDSM, HEAT):
        found = deliveries(opened(f"flight:{tmp_path}?jitter=0.2", sensor))
        times = np.array([delivery.frame.time_ns for delivery in found if delivery.frame])
        rhythm = np.arange(len(times)) * 1e9 / sensor.rate_hz
        assert np.abs(times - rhythm).max() <= 0.2e9 / sensor.rate_hz + 1
        assert np.abs(times - rhythm).max() > 0
        assert all(d.due_ns >= d.frame.time_ns for d in found if d.frame)
        assert np.all(np.diff([delivery.due_ns for delivery in found]) >= 0)


def test_flight_shows_every_sensor_the_same_place(tmp_path) -> None:
    rows, columns = np.mgrid[:60, :200]
    place = np.stack([rows, columns, rows], axis=2).astype(np.uint8)
    write_png(tmp_path / "rgb.png", place)
    half = dataclasses.replace(RGB, name="half", size=(12, 16))
    write_png(tmp_path / "half.png", place[::2, ::2])
    for sensor in (RGB, half):
        for frame in frames(opened(f"flight:{tmp_path}?speed_px_s=50", sensor)):
            expected = corner(frame.time_ns / 1e9, 50, (60, 200), GRID)
            assert np.abs(frame.pixels[0, 0, :2].astype(int) - expected).max() <= 1
            assert frame.pixels.shape[:2] == (sensor.size if sensor.size != (0, 0) else GRID)


def test_flight_stays_over_the_scene_and_turns_back() -> None:
    corners = np.array([corner(time_s / 10, 40, (60, 200), GRID) for time_s in range(2000)])
    assert corners.min() == 0
    assert tuple(corners.max(axis=0)) == (60 - 24, 200 - 32)


def test_flight_ends_after_its_seconds(tmp_path) -> None:
    write_scene(tmp_path, task_of(RGB))
    assert 9 <= len(deliveries(opened(f"flight:{tmp_path}?seconds=1"))) <= 12


def test_offset_moves_stamps_and_no_arrivals(tmp_path) -> None:
    pictures(tmp_path, 2)
    source = ShiftedSource(make_source(RGB, GRID, parse(f"folder:{tmp_path}")), -30)
    source.open()
    assert [(d.due_ns, d.frame.time_ns) for d in deliveries(source) if d.frame] == [
        (0, -30_000_000),
        (100_000_000, 70_000_000),
    ]


def test_a_camera_that_shows_hot_as_black_is_turned_and_its_stamps_stay(tmp_path) -> None:
    made = pictures(tmp_path, 2)
    source = InvertedSource(make_source(RGB, GRID, parse(f"folder:{tmp_path}")), RGB)
    source.open()
    found = [delivery for delivery in deliveries(source) if delivery.frame]
    assert [delivery.frame.time_ns for delivery in found] == [0, 100_000_000]
    for delivery, pixels in zip(found, made, strict=True):
        np.testing.assert_array_equal(delivery.frame.pixels, 255 - pixels)
        assert delivery.frame.pixels.dtype == np.uint8
