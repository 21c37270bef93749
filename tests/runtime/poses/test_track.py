"""Tracks of poses: between fixes on a line, the short way round; lost in a gap; a broken file names its line."""

from __future__ import annotations

import contextlib
import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mapped_ground import EPSG, pose_at, track_of, write_track
from tiny_bundle import RGB, frames_of, task_of

from dis2_edge.errors import SourceError
from dis2_runtime.frames import Frame
from dis2_runtime.poses.track import PoseSettings, PoseTrack, load, pose_of

SECOND = 10**9


def test_between_two_fixes_the_pose_lies_on_the_line() -> None:
    track = track_of([0, 1], [pose_at(0, 0, 350, 0.5), pose_at(10, 20, 10, 1.0)])
    assert track.at(0) == pose_at(0, 0, 350, 0.5)
    half = track.at(SECOND // 2)
    assert half is not None
    assert (half.x, half.y) == (pose_at(5, 10).x, pose_at(5, 10).y)
    assert (half.heading_deg, half.gsd_m) == (pytest.approx(0, abs=1e-9), pytest.approx(0.75))
    assert track.at(SECOND) == pose_at(10, 20, 10, 1.0)


def test_pose_is_none_before_after_and_in_a_gap() -> None:
    track = track_of([1, 2, 5, 6], [pose_at(0, column) for column in (0, 10, 40, 50)])
    assert track.at(SECOND - 1) is None
    assert track.at(6 * SECOND + 1) is None
    assert track.at(2 * SECOND) is not None
    assert track.at(2 * SECOND + 1) is None
    assert track.at(5 * SECOND - 1) is None
    assert track.at(5 * SECOND) is not None


def test_loss_tells_since_when_and_how_fast() -> None:
    track = track_of([1, 2, 5], [pose_at(0, column) for column in (0, 10, 40)])
    assert track.loss(0) is None
    lost = track.loss(3 * SECOND)
    assert lost is not None
    assert (lost.since_ns, lost.speed_m_s) == (2 * SECOND, 5.0)
    after = track.loss(6 * SECOND)
    assert after is not None
    assert (after.since_ns, after.speed_m_s) == (5 * SECOND, None)  # one fix behind a gap tells no speed


@settings(max_examples=200, deadline=None)
@given(
    steps=st.lists(st.integers(1, 3 * SECOND), min_size=1, max_size=20),
    headings=st.lists(st.floats(-720, 720), min_size=21, max_size=21),
    time_ns=st.integers(-SECOND, 60 * SECOND),
)
def test_any_track_gives_a_pose_between_its_neighbours_or_none(steps, headings, time_ns) -> None:
    times = [sum(steps[:end]) for end in range(len(steps) + 1)]
    rows = [(float(number), 0.0, headings[number], 0.5) for number in range(len(times))]
    track = PoseTrack(times, rows, EPSG, 1.0)
    pose = track.at(time_ns)
    known = any(a <= time_ns <= b for a, b in itertools.pairwise(times) if b - a <= SECOND)
    assert (pose is not None) == (known or time_ns in times)
    if pose is not None:
        before = max(number for number, time in enumerate(times) if time <= time_ns)
        assert before <= pose.x <= before + 1
        assert 0 <= pose.heading_deg <= 360
    elif time_ns >= times[0]:
        lost = track.loss(time_ns)
        assert lost is not None
        assert lost.since_ns <= time_ns


def test_csv_is_read_with_its_offset_and_other_columns_passed_over(tmp_path) -> None:
    (tmp_path / "track.csv").write_text(
        "\ufefffix, gsd_m,heading_deg,y,x,time_s\n3,0.5,90,20,10,1.5\n\n3,0.5,90,21,10,2\n"
    )
    track = load(PoseSettings("csv:track.csv", EPSG, offset_s=-1.5), tmp_path)
    assert track is not None
    pose = track.at(0)
    assert pose is not None
    assert (pose.x, pose.y, pose.heading_deg, pose.gsd_m, pose.epsg) == (10, 20, 90, 0.5, EPSG)
    assert load(PoseSettings(), tmp_path) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no column 'time_s'; expected time_s,x,y,heading_deg,gsd_m"),
        ("time_s,x,y,hading_deg,gsd_m\n", "no column 'heading_deg'.*did you mean 'hading_deg'"),
        ("time_s,x,y,heading_deg,gsd_m\n", "holds no fix"),
        ("time_s,x,y,heading_deg,gsd_m\n0,1,2,3\n", "line 2"),
        ("time_s,x,y,heading_deg,gsd_m\n0,1,2,3,0.5\n1,1,north,3,1\n", "line 3.*'north'"),
        ("time_s,x,y,heading_deg,gsd_m\n0,nan,2,3,1\n", "finite numbers"),
        ("time_s,x,y,heading_deg,gsd_m\n0,1,2,3,0\n", "gsd_m above 0"),
        ("time_s,x,y,heading_deg,gsd_m\n1,1,2,3,1\n1,1,2,3,1\n", "does not follow; expected rising times"),
        ('time_s,x,y,heading_deg,gsd_m\n"1,1,2,3,1\n', "cannot be read|line 2"),
    ],
)
def test_file_that_is_no_track_is_refused(tmp_path, text, message) -> None:
    (tmp_path / "track.csv").write_text(text)
    with pytest.raises(SourceError, match=f"(?s){message}"):
        load(PoseSettings("csv:track.csv", EPSG), tmp_path)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200))
def test_any_bytes_are_a_track_or_a_source_error(tmp_path, data) -> None:
    (tmp_path / "track.csv").write_bytes(b"time_s,x,y,heading_deg,gsd_m\n0,1,2,3,1\n" + data)
    with contextlib.suppress(SourceError):
        load(PoseSettings("csv:track.csv", EPSG), tmp_path)


def test_settings_that_say_nothing_are_refused(tmp_path) -> None:
    with pytest.raises(SourceError, match="cannot be read"):
        load(PoseSettings("csv:none.csv", EPSG), tmp_path)
    with pytest.raises(SourceError, match="expected csv:FILE"):
        load(PoseSettings("nmea:none", EPSG), tmp_path)
    with pytest.raises(SourceError, match="epsg is 0; expected the EPSG number"):
        PoseSettings("csv:track.csv")
    with pytest.raises(SourceError, match="epsg is 4326; expected the EPSG number of a projected"):
        PoseSettings("csv:track.csv", 4326)
    with pytest.raises(SourceError, match="max_gap_s above 0"):
        PoseSettings("csv:track.csv", EPSG, max_gap_s=0)


def test_frames_own_pose_goes_before_the_track(tmp_path) -> None:
    write_track(tmp_path / "track.csv", [0, 1], [pose_at(0, 0), pose_at(0, 10)])
    track = load(PoseSettings("csv:track.csv", EPSG), tmp_path)
    pixels = frames_of(task_of(RGB))["rgb"]
    blank, posed = Frame("rgb", pixels, SECOND, 0), Frame("ndsm", pixels, 0, 0, pose=pose_at(9, 9))
    assert pose_of([blank, posed], track) == pose_at(9, 9)
    assert pose_of([blank], track) == pose_at(0, 10)
    assert pose_of([blank], None) is None
    assert pose_of([], track) is None
