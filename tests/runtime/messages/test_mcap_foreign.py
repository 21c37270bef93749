"""Recordings by the writers of ROS 2 and Foxglove themselves: we decode what they and their decoders mean.

Needs mcap-ros2-support and foxglove-sdk, which nothing else here does: without them these tests are skipped.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mcap.reader import make_reader
from opened import GRID, PICTURES, drawn_from
from recorded import RAW, START_NS, picture_file
from tiny_bundle import HEAT, RGB, ground

_HEADER = """std_msgs/Header header
{fields}
================================================================================
MSG: std_msgs/Header
builtin_interfaces/Time stamp
string frame_id
================================================================================
MSG: builtin_interfaces/Time
int32 sec
uint32 nanosec
"""
IMAGE = _HEADER.format(
    fields="uint32 height\nuint32 width\nstring encoding\nuint8 is_bigendian\nuint32 step\nuint8[] data"
)
COMPRESSED = _HEADER.format(fields="string format\nuint8[] data")


def header(number: int) -> dict:
    stamp_ns = START_NS + number * 100_000_000
    return {"stamp": {"sec": stamp_ns // 10**9, "nanosec": stamp_ns % 10**9}, "frame_id": f"camera{number}"}


def ros_file(path: Path, datatype: str, definition: str, messages: list[dict]) -> Path:
    ros2 = pytest.importorskip("mcap_ros2.writer", reason="mcap-ros2-support is not installed")
    with path.open("wb") as file:
        writer = ros2.Writer(file, chunk_size=2000)
        schema = writer.register_msgdef(datatype, definition)
        for number, message in enumerate(messages):
            time_ns = START_NS + number * 100_000_000 + 4_000_000
            writer.write_message("/i", schema, {"header": header(number), **message}, time_ns, time_ns, number)
        writer.finish()
    return path


@pytest.mark.parametrize(("encoding", "sent", "expected"), RAW)
def test_ros_image_as_the_ros_writer_writes_and_its_decoder_reads(tmp_path, encoding, sent, expected) -> None:
    sent = np.ascontiguousarray(sent)
    step = sent.strides[0]
    message = {"height": 7, "width": 5, "encoding": encoding, "is_bigendian": 0, "step": step, "data": sent.tobytes()}
    file = ros_file(tmp_path / "a.mcap", "sensor_msgs/msg/Image", IMAGE, [message] * 3)
    sensor = RGB if expected.shape[2] > 1 else HEAT
    found = drawn_from(f"mcap:{file}", sensor)
    assert [delivery.due_ns for delivery in found] == [0, 100_000_000, 200_000_000]
    for number, delivery in enumerate(found):
        assert delivery.frame.time_ns == number * 100_000_000 - 4_000_000
        assert delivery.frame.sequence == number
        np.testing.assert_array_equal(delivery.frame.pixels, expected[..., : sensor.channels])
    decoder = pytest.importorskip("mcap_ros2.decoder").DecoderFactory()
    with file.open("rb") as stream:
        theirs = [m.decoded_message for m in make_reader(stream, decoder_factories=[decoder]).iter_decoded_messages()]
    assert bytes(theirs[0].data) == sent.tobytes()


@pytest.mark.parametrize("deep", [False, True])
def test_ros_compressed_image(tmp_path, deep) -> None:
    sensor = HEAT if deep else RGB
    picture = ground(sensor, GRID, np.random.default_rng(0))
    form = "16UC1; png compressed 16UC1" if deep else "rgb8; png compressed bgr8"
    messages = [{"format": form, "data": picture_file(picture)}]
    file = ros_file(tmp_path / "a.mcap", "sensor_msgs/msg/CompressedImage", COMPRESSED, messages)
    (delivery,) = drawn_from(f"mcap:{file}", sensor)
    np.testing.assert_array_equal(delivery.frame.pixels, picture)
    assert delivery.frame.pixels.dtype == picture.dtype


def test_foxglove_images_as_its_sdk_writes_them(tmp_path) -> None:
    foxglove = pytest.importorskip("foxglove", reason="foxglove-sdk is not installed")
    messages = pytest.importorskip("foxglove.messages")
    channels = pytest.importorskip("foxglove.channels")
    file, context = tmp_path / "a.mcap", foxglove.Context()
    raw, packed = (made(f"/{name}", context=context) for name, made in channels_of(channels).items())
    with foxglove.open_mcap(file, context=context):
        for number, picture in enumerate(PICTURES):
            stamp = messages.Timestamp(sec=START_NS // 10**9, nsec=number * 10_000_000)
            time_ns = START_NS + number * 10_000_000 + 1_000_000
            size = {"width": GRID[1], "height": GRID[0], "encoding": "rgb8", "step": GRID[1] * 3}
            raw.log(messages.RawImage(timestamp=stamp, data=picture.tobytes(), **size), log_time=time_ns)
            data = picture_file(picture)
            packed.log(messages.CompressedImage(timestamp=stamp, format="png", data=data), log_time=time_ns)
    for topic in ("raw", "packed"):
        found = drawn_from(f"mcap:{file}?topic=/{topic}")
        assert len(found) == len(PICTURES)
        for number, (delivery, picture) in enumerate(zip(found, PICTURES, strict=True)):
            np.testing.assert_array_equal(delivery.frame.pixels, picture)
            assert (delivery.frame.sequence, delivery.frame.stamped) == (number, True)
            assert delivery.frame.time_ns == number * 10_000_000 - 1_000_000


def channels_of(channels) -> dict:
    return {"raw": channels.RawImageChannel, "packed": channels.CompressedImageChannel}
