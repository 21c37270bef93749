"""Videos: files keep their numbers and stamps, bad ones are refused with the reason, a lost camera is tried again."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import pytest
from made_video import GRID, LoopbackCamera, picture, stream_bytes, write_video
from tiny_bundle import HEAT, NDSM, RGB

from dis2_edge.errors import SourceError
from dis2_runtime.clock import RunClock
from dis2_runtime.frames import Delivery, Frame
from dis2_runtime.sources import Source, is_live, make_source, parse
from dis2_runtime.sources.video_link import read_credentials, with_credentials

HEAT8 = dataclasses.replace(HEAT, dtype="uint8", valid_max=255)
HEAT8X3 = dataclasses.replace(HEAT8, channels=3, mean=(), std=())
GREY = dataclasses.replace(RGB, channels=1, mean=(120.0,), std=(60.0,))


def opened(uri: str, sensor=RGB) -> Source:
    source = make_source(sensor, GRID, parse(uri))
    source.open()
    return source


def deliveries(source: Source, most: int = 50) -> list[Delivery]:
    drawn = (source.next() for _ in range(most))
    found = [delivery for delivery in drawn if delivery is not None]
    source.close()
    return found


def running() -> RunClock:
    clock = RunClock()
    clock.start()
    return clock


def waited(source: Source, wanted, seconds: float = 8.0) -> list[Delivery]:
    """Deliveries up to the first that is `wanted`; every `next` must come back within 200 ms."""
    found, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        delivery = source.next()
        assert time.monotonic() - began < 0.2
        found.append(delivery)
        if wanted(delivery):
            return found
    raise AssertionError(f"never came; the last were {found[-3:]}")


def frame_of(delivery: Delivery) -> Frame | None:
    return delivery.frame


@pytest.mark.parametrize(
    ("pixels", "form", "sensor"),
    [("bgr0", "rgb24", RGB), ("gray", "gray", HEAT8), ("gray16le", "gray16le", HEAT), ("gray12le", "gray12le", HEAT)],
)
def test_lossless_file_keeps_every_number(tmp_path, pixels, form, sensor) -> None:
    made = [picture(number, form) for number in range(4)]
    write_video(tmp_path / "v.mkv", made, pixels=pixels, form=form)
    found = deliveries(opened(f"video:{tmp_path}/v.mkv", sensor))
    assert [delivery.problem for delivery in found] == [""] * 4
    assert [delivery.due_ns for delivery in found] == [0, 100_000_000, 200_000_000, 300_000_000]
    for number, (delivery, array) in enumerate(zip(found, made, strict=True)):
        frame = delivery.frame
        assert (frame.sequence, frame.time_ns, frame.stamped) == (number, delivery.due_ns, True)
        assert frame.pixels.dtype == sensor.numpy_dtype
        np.testing.assert_array_equal(frame.pixels, array.reshape(*GRID, sensor.channels))


def test_file_loops_starts_later_and_plays_at_another_rate(tmp_path) -> None:
    made = [picture(number) for number in range(5)]
    write_video(tmp_path / "v.mkv", made)
    found = deliveries(opened(f"video:{tmp_path}/v.mkv?start=0.2&loop=1&rate_hz=4"), most=7)
    assert [delivery.due_ns // 10**6 for delivery in found] == [0, 250, 500, 750, 1000, 1250, 1500]
    for delivery, number in zip(found, [2, 3, 4, 2, 3, 4, 2], strict=True):
        np.testing.assert_array_equal(delivery.frame.pixels, made[number])
    looped = deliveries(opened(f"video:{tmp_path}/v.mkv?loop=1"), most=8)
    assert [delivery.due_ns // 10**6 for delivery in looped] == [0, 100, 200, 300, 400, 500, 600, 700]
    assert [delivery.frame.sequence for delivery in looped] == list(range(8))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.mkv", "is not a file"),
        ("text.mkv", "cannot be opened"),
        ("codec.mkv", "no decoder"),
        ("sound.wav", "no v"),
    ],
)
def test_file_that_is_no_video_is_refused_on_the_ground(tmp_path, name, message) -> None:
    (tmp_path / "text.mkv").write_text("no video")
    write_video(tmp_path / "v.mkv", [picture(0)])
    (tmp_path / "codec.mkv").write_bytes((tmp_path / "v.mkv").read_bytes().replace(b"V_FFV1", b"V_FFVX"))
    (tmp_path / "sound.wav").write_bytes(_silence())
    messages = {
        "none.mkv": "is not a file",
        "text.mkv": "cannot be opened",
        "codec.mkv": "no decoder",
        "sound.wav": "no v",
    }
    with pytest.raises(SourceError, match=messages[name]):
        opened(f"video:{tmp_path}/{name}")


def test_file_whose_name_holds_a_colon_is_no_url(tmp_path, monkeypatch) -> None:
    write_video(tmp_path / "a.mkv", [picture(0)])
    (tmp_path / "a.mkv").rename(tmp_path / "tcp:b.mkv")
    monkeypatch.chdir(tmp_path)
    assert len(deliveries(opened("video:tcp:b.mkv"))) == 1


def test_file_cut_short_or_damaged_loses_pictures_with_a_reason_and_ends(tmp_path) -> None:
    write_video(tmp_path / "v.mkv", [picture(number) for number in range(8)])
    whole = (tmp_path / "v.mkv").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(whole[: len(whole) // 2])
    assert 1 <= len(deliveries(opened(f"video:{tmp_path}/cut.mkv"))) < 8
    random = np.random.default_rng(0)
    for _ in range(20):
        damaged = np.frombuffer(whole, np.uint8).copy()
        places = random.integers(600, len(damaged), 40)
        damaged[places] = random.integers(0, 256, 40)
        (tmp_path / "bad.mkv").write_bytes(damaged.tobytes())
        try:
            found = deliveries(opened(f"video:{tmp_path}/bad.mkv"), most=100)
        except SourceError:
            continue
        assert len(found) < 100
        assert all(delivery.frame is not None or delivery.problem for delivery in found)


def test_picture_whose_parts_were_lost_on_the_way_is_a_lost_frame_and_no_guess(tmp_path) -> None:
    data = stream_bytes(60, size=(240, 320))
    pieces = [data[start : start + 188] for start in range(0, len(data), 188)]
    kept = [piece for place, piece in enumerate(pieces) if place < len(pieces) // 3 or place % 7]
    (tmp_path / "v.ts").write_bytes(b"".join(kept))
    found = deliveries(opened(f"video:{tmp_path}/v.ts"), most=100)
    assert all(delivery.frame for delivery in found[:5])
    assert "parts of the picture are missing in the stream" in {delivery.problem for delivery in found[5:]}


def test_other_depth_is_handed_on_for_health_to_name_and_never_rescaled(tmp_path) -> None:
    write_video(tmp_path / "deep.mkv", [picture(0, "gray16le")], pixels="gray16le", form="gray16le")
    write_video(tmp_path / "flat.mkv", [picture(0, "gray")], pixels="gray", form="gray")
    (deep,) = deliveries(opened(f"video:{tmp_path}/deep.mkv", RGB))
    (flat,) = deliveries(opened(f"video:{tmp_path}/flat.mkv", HEAT))
    assert (deep.frame.pixels.dtype, flat.frame.pixels.dtype) == (np.uint16, np.uint8)


def test_picture_that_changes_size_in_mid_flight_is_handed_on_in_its_size(tmp_path) -> None:
    for name, size in (("a", (48, 64)), ("b", (32, 80))):
        made = [picture(number, size=size) for number in range(6)]
        write_video(tmp_path / f"{name}.ts", made, codec="mpeg2video", pixels="yuv420p", container="mpegts", rate=25)
    both = (tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes()
    (tmp_path / "both.ts").write_bytes(both)
    frames = [delivery.frame for delivery in deliveries(opened(f"video:{tmp_path}/both.ts")) if delivery.frame]
    assert {frame.pixels.shape for frame in frames} == {(48, 64, 3), (32, 80, 3)}


@pytest.mark.parametrize(
    "sensor", [HEAT8, dataclasses.replace(HEAT8, channels=3, mean=(), std=())], ids=["one", "three"]
)
def test_thermal_picture_in_palette_colours_is_refused_and_white_hot_taken(tmp_path, sensor) -> None:
    grey = np.repeat(picture(0, "gray")[..., None], 3, axis=2)
    write_video(tmp_path / "hot.mp4", [grey], codec="libx264", pixels="yuv420p")
    write_video(tmp_path / "iron.mp4", [picture(0)], codec="libx264", pixels="yuv420p")
    (hot,) = deliveries(opened(f"video:{tmp_path}/hot.mp4", sensor))
    assert hot.frame.pixels.shape == (*GRID, sensor.channels)
    assert np.abs(hot.frame.pixels[..., 0].astype(int) - grey[..., 0]).max() < 40
    (iron,) = deliveries(opened(f"video:{tmp_path}/iron.mp4", sensor))
    assert iron.frame is None
    assert "palette" in iron.problem
    assert "Y16" in iron.problem


def test_monochrome_camera_takes_the_brightness_of_a_colour_stream(tmp_path) -> None:
    write_video(tmp_path / "v.mkv", [picture(0)])
    (one,) = deliveries(opened(f"video:{tmp_path}/v.mkv", GREY))
    assert one.frame.pixels.shape == (*GRID, 1)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("video:v.mkv?speed=2", "unknown key 'speed'"),
        ("video:v.mkv?start=-1", "0 or more"),
        ("video:v.mkv?rate_hz=nan", "0 or more"),
        ("video:rtsp://camera/a?loop=1#loop=1", "unknown key 'loop'"),
        ("video:rtsp://camera/a#transport=smoke", "'tcp' or 'udp'"),
        ("video:rtsp://camera/a#timeout_s=0", "seconds from"),
    ],
)
def test_option_that_is_wrong_is_named(uri, message) -> None:
    with pytest.raises(SourceError, match=message):
        make_source(RGB, GRID, parse(uri))


def test_sensor_that_no_video_can_serve_is_refused() -> None:
    with pytest.raises(SourceError, match=r"'ndsm' has 1 channels of float32"):
        make_source(NDSM, GRID, parse("video:v.mkv"))


def test_url_is_live_and_a_file_is_not() -> None:
    assert is_live(parse("video:rtsp://camera/a"))
    assert is_live(parse("video:udp://@239.0.0.1:5000"))
    assert not is_live(parse("video:flights/a.mp4"))
    assert not is_live(parse("folder:a"))


def test_credentials_come_from_a_file_and_are_never_shown(tmp_path, capsys) -> None:
    file = tmp_path / "camera.txt"
    file.write_text("pilot:p@ss/w:rd\n")
    file.chmod(0o600)
    assert read_credentials(file) == "pilot:p@ss/w:rd"
    assert capsys.readouterr().err == ""
    assert (
        with_credentials("rtsp://a:b@cam:554/x?y=1", "pilot:p@ss/w:rd") == "rtsp://pilot:p%40ss%2Fw%3Ard@cam:554/x?y=1"
    )
    file.chmod(0o644)
    read_credentials(file)
    assert "can be read by others" in capsys.readouterr().err
    source = make_source(RGB, GRID, parse(f"video:tcp://127.0.0.1:9#credentials={file}"), running())
    source.open()
    found = waited(source, lambda delivery: "trying again" in delivery.problem)
    source.close()
    assert not any("p@ss" in delivery.problem or "p%40ss" in delivery.problem for delivery in found)
    for text in ("no colon", ":", "a:b\nc:d", ""):
        file.write_text(text)
        with pytest.raises(SourceError, match="one line USER:PASSWORD"):
            read_credentials(file)
    with pytest.raises(SourceError, match="cannot be read"):
        read_credentials(tmp_path / "none.txt")


def test_url_where_nobody_answers_opens_and_says_so_with_growing_pauses() -> None:
    source = make_source(RGB, GRID, parse("video:tcp://me:secret@127.0.0.1:9#most_wait_s=1"), running())
    source.open()
    found = waited(source, lambda delivery: "trying again in 1 s" in delivery.problem)
    source.close()
    problems = {delivery.problem for delivery in found}
    assert any("Connection refused); trying again in 0.5 s" in problem for problem in problems)
    assert not any("secret" in problem for problem in problems)
    assert source.next() is None


def test_camera_that_dies_is_said_to_be_lost_and_comes_back_with_its_numbers_going_on() -> None:
    camera = LoopbackCamera(stream_bytes(), seconds=3.0)
    source = make_source(RGB, GRID, parse(f"video:{camera.url}#timeout_s=2"), running())
    source.open()
    before = waited(source, frame_of)[-1].frame
    assert before.stamped
    camera.die()
    lost = waited(source, lambda delivery: "trying again" in delivery.problem)[-1]
    assert "lost" in lost.problem
    assert lost.lost
    camera.rise()
    after = waited(source, frame_of)[-1].frame
    camera.die()
    source.close()
    assert after.sequence > before.sequence
    assert after.time_ns > before.time_ns
    assert after.pixels.shape == (48, 64, 3)


def test_frames_that_nobody_took_are_gaps_in_the_numbers_and_the_newest_wins() -> None:
    camera = LoopbackCamera(stream_bytes(), seconds=3.0)
    source = make_source(RGB, GRID, parse(f"video:{camera.url}"), running())
    source.open()
    first = waited(source, frame_of)[-1].frame
    time.sleep(0.5)
    second = waited(source, frame_of)[-1]
    camera.die()
    source.close()
    assert second.frame.sequence > first.sequence + 2
    assert second.due_ns - second.frame.time_ns < 300_000_000


def _silence() -> bytes:
    size = 3200
    head = b"RIFF" + (36 + size).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
    form = b"\x01\x00\x01\x00" + (16000).to_bytes(4, "little") + (32000).to_bytes(4, "little") + b"\x02\x00\x10\x00"
    return head + form + b"data" + size.to_bytes(4, "little") + bytes(size)
