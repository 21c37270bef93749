"""Source `mcap:`: topics are found or listed, times and numbers are the recording's, damage ends it with a reason."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcap.writer import CompressionType, IndexType
from opened import GRID, PICTURES, drawn_from
from recorded import (
    FOX,
    ROS,
    ROS_COMPRESSED,
    START_NS,
    Said,
    fox_raw,
    picture_file,
    record,
    ros_compressed,
    ros_image,
    without_index,
)
from tiny_bundle import HEAT, NDSM, RGB, ground, task_of

from dis2_edge.bundle import Bundle
from dis2_edge.cli import main
from dis2_edge.errors import SourceError, UserError
from dis2_edge.files import read_json
from dis2_runtime.frames import Frame
from dis2_runtime.messages.recording import Recording
from dis2_runtime.sources import make_source, parse
from dis2_runtime.sources.mcap import Numbers

TELEMETRY = ("std_msgs/msg/String", "cdr")


def frames(uri: str, sensor=RGB) -> list[Frame]:
    return [delivery.frame for delivery in drawn_from(uri, sensor) if delivery.frame is not None]


def camera(count: int = 6, period_ms: float = 100, first_ms: float = 50, lag_ms: float = 20) -> list[Said]:
    """Pictures that were captured `lag_ms` before they were logged, numbered from 7."""
    said = []
    for number in range(count):
        at_ms = first_ms + number * period_ms
        data = ros_image(PICTURES[number % 12], "rgb8", START_NS + round((at_ms - lag_ms) * 1e6))
        said.append(Said("/camera/image", ROS, at_ms, data, 7 + number))
    return said


def chatter(count: int = 6) -> list[Said]:
    return [Said("/chatter", TELEMETRY, number * 100, b"\0\1\0\0hello") for number in range(count)]


def logged(*streams: list[Said]) -> list[Said]:
    return sorted((said for stream in streams for said in stream), key=lambda said: said.at_ms)


def test_frames_keep_pixels_times_and_distance_to_the_first_message_of_any_topic(tmp_path) -> None:
    file = record(tmp_path / "a.mcap", logged(camera(), chatter()))
    found = drawn_from(f"mcap:{file}?topic=/camera/image")
    assert [delivery.due_ns for delivery in found] == [round((50 + 100 * k) * 1e6) for k in range(6)]
    for number, delivery in enumerate(found):
        assert delivery.frame is not None
        assert delivery.frame.time_ns == delivery.due_ns - 20_000_000
        assert delivery.frame.stamped
        assert delivery.frame.sequence == number
        np.testing.assert_array_equal(delivery.frame.pixels, PICTURES[number])


def test_messages_logged_out_of_order_are_delivered_in_order(tmp_path) -> None:
    said = camera(8)
    for options in ({}, {"chunk_size": 10**6}):
        file = record(tmp_path / "a.mcap", [said[k] for k in (3, 0, 1, 2, 6, 5, 4, 7)], **options)
        found = drawn_from(f"mcap:{file}")
        assert [delivery.due_ns for delivery in found] == [k * 100_000_000 for k in range(8)]
    file = record(tmp_path / "a.mcap", [said[k] for k in (3, 0, 1, 2, 6, 5, 4, 7)], finish=False, chunk_size=100)
    due = [delivery.due_ns for delivery in drawn_from(f"mcap:{file}", most=8)]
    assert len(due) == 8
    assert due == sorted(due)


@pytest.mark.parametrize("compression", list(CompressionType))
def test_every_compression_and_every_lack_of_an_index_is_read(tmp_path, compression) -> None:
    for number, options in enumerate([{}, {"index_types": IndexType.NONE}, {"repeat_channels": False}]):
        file = record(tmp_path / f"{number}.mcap", camera(), compression=compression, **options)
        assert len(frames(f"mcap:{file}")) == 6
    assert len(frames(f"mcap:{without_index(tmp_path / 'bare.mcap', camera())}")) == 6


def test_stamp_that_is_absent_or_of_another_clock_is_replaced_by_the_arrival(tmp_path) -> None:
    stamps = [0, START_NS, START_NS + 10 * 10**9 + 1, START_NS - 10 * 10**9, 5 * 10**9]
    said = [Said("/i", ROS, 0, ros_image(PICTURES[0], "rgb8", stamp)) for stamp in stamps]
    found = frames(f"mcap:{record(tmp_path / 'a.mcap', said)}")
    assert [frame.stamped for frame in found] == [False, True, False, True, False]
    assert [frame.time_ns for frame in found] == [0, 0, 0, -10 * 10**9, 0]


@pytest.mark.parametrize(
    ("sequences", "expected"),
    [
        ([0, 0, 0, 0, 0], [0, 1, 2, 3, 4]),
        ([4, 5, 6, 9, 10], [0, 1, 2, 5, 6]),
        ([2, 4, 6, 8, 10], [0, 1, 2, 3, 4]),
        ([1, 2, 2, 3, 4], [0, 1, 2, 3, 4]),
        ([2**32 - 2, 2**32 - 1, 0, 1, 2], [0, 1, 2, 3, 4]),
    ],
)
def test_numbers_of_the_writer_count_only_where_it_counts(tmp_path, sequences, expected) -> None:
    data = ros_image(PICTURES[0], "rgb8")
    said = [Said("/i", ROS, at, data, sequence) for at, sequence in enumerate(sequences)]
    found = frames(f"mcap:{record(tmp_path / 'a.mcap', said)}")
    assert [frame.sequence for frame in found] == expected


def test_writer_that_starts_its_numbers_again_does_not_go_back() -> None:
    numbers = Numbers(counted=True)
    assert [numbers.next(sequence) for sequence in (8, 9, 12, 0, 1)] == [0, 1, 4, 5, 6]


def test_two_topics_of_images_must_be_told_apart(tmp_path) -> None:
    heat = [Said("/heat", FOX, 0, fox_raw(ground(HEAT, GRID, np.random.default_rng(0)), "mono16"))]
    file = record(tmp_path / "a.mcap", logged(camera(), heat, chatter()))
    with pytest.raises(SourceError, match="has 2 topics of images") as caught:
        drawn_from(f"mcap:{file}")
    for part in (
        "/camera/image (sensor_msgs/msg/Image, cdr)",
        "/heat (foxglove.RawImage, protobuf)",
        "/chatter",
        "?topic=",
    ):
        assert part in str(caught.value)
    (frame,) = frames(f"mcap:{file}?topic=/heat", HEAT)
    assert frame.pixels.dtype == np.uint16
    assert len(frames(f"mcap:{file}?topic=/camera/image")) == 6


def test_what_cannot_be_opened_says_why(tmp_path) -> None:
    file = record(tmp_path / "a.mcap", logged(camera(), chatter()))
    quiet = record(tmp_path / "quiet.mcap", chatter())
    text = tmp_path / "text.mcap"
    text.write_text("no recording")
    (tmp_path / "empty.mcap").write_bytes(b"")
    for uri, message in [
        (f"mcap:{tmp_path}/none.mcap", "cannot be opened .No such file"),
        (f"mcap:{tmp_path}", "cannot be opened"),
        (f"mcap:{text}", "is no MCAP file"),
        (f"mcap:{tmp_path}/empty.mcap", "is no MCAP file"),
        (f"mcap:{file}?topic=/camera/imag", "did you mean '/camera/image'"),
        (f"mcap:{file}?topic=/chatter", "is std_msgs/msg/String, cdr; expected one of foxglove.CompressedImage"),
        (f"mcap:{file}?topik=/x", "unknown key 'topik'; did you mean 'topic'"),
        (f"mcap:{quiet}", "has 0 topics of images; all its topics: /chatter"),
    ]:
        with pytest.raises(SourceError, match=message):
            drawn_from(uri)


def test_picture_that_cannot_be_read_is_a_lost_frame_and_the_next_one_comes(tmp_path) -> None:
    red_hot = picture_file(PICTURES[0])
    datas = [
        ros_compressed(picture_file(ground(HEAT, GRID, np.random.default_rng(0))), "16UC1; png compressed"),
        ros_compressed(red_hot, "png"),
        ros_compressed(b"\0" * 99, "16UC1; compressedDepth png"),
        b"",
        ros_compressed(picture_file(np.repeat(PICTURES[0][..., :1], 3, 2)), "png"),
    ]
    said = [Said("/heat", ROS_COMPRESSED, 100 * at, data) for at, data in enumerate(datas)]
    found = drawn_from(f"mcap:{record(tmp_path / 'a.mcap', said)}", HEAT)
    assert [delivery.frame is not None for delivery in found] == [True, False, False, False, True]
    for delivery, reason in zip(found[1:4], ["palette", "raw depth topic", "plain CDR"], strict=True):
        assert reason in delivery.problem
    assert found[4].frame.sequence == 4
    assert found[4].frame.pixels.shape == (*GRID, 1)


def drained(path: Path) -> tuple[int, str]:
    """How many frames came, and why the source ended."""
    source, count = make_source(RGB, GRID, parse(f"mcap:{path}")), 0
    try:
        source.open()
        while source.next() is not None:
            count += 1
    except UserError as error:
        return count, str(error)
    finally:
        source.close()
    return count, ""


def test_file_without_footer_is_read_to_its_last_chunk_and_ends_with_the_reason(tmp_path) -> None:
    count, reason = drained(record(tmp_path / "a.mcap", camera(10), finish=False))
    assert count == 10
    assert "breaks off" in reason
    assert "mcap recover" in reason


def test_cut_anywhere_it_gives_the_chunks_before_the_cut(tmp_path) -> None:
    whole = record(tmp_path / "a.mcap", camera(10), chunk_size=1).read_bytes()
    cut = tmp_path / "cut.mcap"
    counts = []
    for size in np.linspace(8, len(whole) - 1, 40).astype(int):
        cut.write_bytes(whole[:size])
        count, reason = drained(cut)
        assert reason
        counts.append(count)
    assert counts == sorted(counts)
    assert counts[-1] == 10


def test_damaged_chunk_ends_it_with_the_reason_after_what_was_before(tmp_path) -> None:
    for compression in CompressionType:
        file = record(tmp_path / "a.mcap", camera(10), chunk_size=1, compression=compression)
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 0x55
        file.write_bytes(content)
        count, reason = drained(file)
        assert 2 <= count < 10
        assert "damaged" in reason


@settings(max_examples=150)
@given(edits=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=8), data=st.data())
def test_no_altered_file_crashes_the_reader(tmp_path_factory, edits, data) -> None:
    options = data.draw(
        st.sampled_from([{}, {"compression": CompressionType.NONE}, {"compression": CompressionType.LZ4}])
    )
    file = tmp_path_factory.getbasetemp() / "altered.mcap"
    content = bytearray(record(file, camera(4), chunk_size=1, **options).read_bytes())
    for place, value in edits:
        content[place % len(content)] = value
    file.write_bytes(content)
    drained(file)


def test_memory_holds_a_chunk_and_not_the_file(tmp_path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    said = [Said("/i", ROS, 100 * at, ros_image(picture, "rgb8")) for at in range(60)]  # 12 MB
    for finish in (True, False):
        file = record(tmp_path / "a.mcap", said, finish=finish, chunk_size=1, compression=CompressionType.NONE)
        tracemalloc.start()
        drained(file)
        assert tracemalloc.get_traced_memory()[1] < 3e6
        tracemalloc.stop()


def test_close_may_come_twice_and_early(tmp_path) -> None:
    source = make_source(RGB, GRID, parse(f"mcap:{record(tmp_path / 'a.mcap', camera())}"))
    source.close()
    source.open()
    assert source.next() is not None
    source.close()
    source.close()
    assert source.next() is None


def test_topics_of_a_file_without_index_are_listed(tmp_path) -> None:
    file = record(tmp_path / "a.mcap", logged(camera(), chatter()), finish=False)
    recording = Recording(file)
    assert not recording.indexed
    assert [topic.name for topic in recording.topics()] == ["/camera/image", "/chatter"]
    recording.close()


def test_a_recording_flies_two_sensors_that_keep_their_distance(two: Bundle, tmp_path, capsys) -> None:
    random = np.random.default_rng(5)
    heights = [
        Said("/dem", FOX, 200 * k, fox_raw(ground(NDSM, GRID, random), "32FC1", START_NS + k * 200_000_000 - 5_000_000))
        for k in range(1, 11)
    ]
    file = record(tmp_path / "flight.mcap", logged(camera(22), heights))
    words = [f"rgb=mcap:{file}?topic=/camera/image", f"ndsm=mcap:{file}?topic=/dem"]
    assert task_of(RGB, NDSM).grid == GRID
    command = ["run", str(two.path), "--out", str(tmp_path / "out"), "--speed", "max", "--seconds", "2"]
    assert main([*command, *(word for source in words for word in ("--source", source))]) == 0, capsys.readouterr().err
    summary = read_json(tmp_path / "out" / "summary.json", SourceError)
    assert summary["answered"] == summary["due"]
    assert summary["scenarios"]["rgb+ndsm"] >= 15


def test_cut_recording_flies_to_its_end_and_the_reason_is_told(two: Bundle, tmp_path, capsys) -> None:
    file = record(tmp_path / "cut.mcap", camera(9), chunk_size=1)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    command = ["run", str(two.path), "--out", str(tmp_path / "out"), "--speed", "max", "--seconds", "2"]
    assert main([*command, "--source", f"rgb=mcap:{file}"]) == 0, capsys.readouterr().err
    rows = [json.loads(line) for line in (tmp_path / "out" / "telemetry.jsonl").read_text().splitlines()]
    assert rows[2]["scenario"] == "rgb"
    assert rows[-1]["sensors"]["rgb"]["health"] == "off"
    assert "breaks off" in rows[-1]["sensors"]["rgb"]["reason"]


def test_without_the_package_the_pip_line_is_told(two: Bundle, tmp_path, capsys, monkeypatch) -> None:
    for name in [
        name for name in sys.modules if name in ("dis2_runtime.messages.recording", "dis2_runtime.sources.mcap")
    ]:
        monkeypatch.delitem(sys.modules, name)
    for name in ["mcap", *(name for name in sys.modules if name.startswith("mcap."))]:
        monkeypatch.setitem(sys.modules, name, None)
    assert main(["run", str(two.path), "--out", str(tmp_path / "out"), "--source", "rgb=mcap:a.mcap"]) == 2
    assert "pip install 'dis2-edge[stream]'" in capsys.readouterr().err


def test_mcap_is_imported_only_when_its_scheme_is_used() -> None:
    code = "import sys, dis2_runtime.fly, dis2_runtime.verbs.run; sys.exit('mcap' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
