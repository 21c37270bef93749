"""Image messages: every encoding comes out as its pixels, what is not read says why, no foreign byte crashes."""

from __future__ import annotations

import dataclasses
import io
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from recorded import (
    ALPHA,
    COLOUR,
    DEEP,
    FOX,
    FOX_COMPRESSED,
    FOX_COMPRESSED_JSON,
    FOX_JSON,
    GREY,
    RAW,
    ROS,
    ROS_COMPRESSED,
    START_NS,
    fox_compressed_json,
    fox_raw,
    fox_raw_json,
    picture_file,
    ros_compressed,
    ros_image,
)
from tiny_bundle import HEAT, NDSM, RGB

from dis2_edge.errors import DataError
from dis2_runtime.messages import READERS, pixels_of
from dis2_runtime.messages.fitting import fitted
from dis2_runtime.messages.foxglove import write_compressed_image

STAMP = START_NS + 123_456_789


def huge(png: bytes) -> bytes:
    """`png`, which now claims to be 0xa00000 pixels wide."""
    head = png[:16] + b"\0\xa0\0\0" + png[20:29]
    return head + zlib.crc32(head[12:]).to_bytes(4, "big") + png[33:]


def read(kind: tuple[str, str], data: bytes) -> np.ndarray:
    return pixels_of(READERS[kind](data))


@pytest.mark.parametrize("pad", [0, 3, 8])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize(("encoding", "sent", "expected"), RAW)
def test_ros_image_of_every_encoding_byte_order_and_row_step(encoding, sent, expected, big, pad) -> None:
    message = ros_image(sent, encoding, STAMP, big=big, pad=pad, frame="optical_frame"[: pad + 1])
    found = read(ROS, message)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == expected.dtype
    assert found.flags.c_contiguous
    assert found.flags.aligned
    assert READERS[ROS](message).stamp_ns == STAMP


@pytest.mark.parametrize(("encoding", "sent", "expected"), RAW)
@pytest.mark.parametrize(("kind", "make"), [(FOX, fox_raw), (FOX_JSON, fox_raw_json)])
def test_foxglove_raw_image(kind, make, encoding, sent, expected) -> None:
    message = make(np.ascontiguousarray(sent), encoding, STAMP)
    np.testing.assert_array_equal(read(kind, message), expected)
    assert READERS[kind](message).stamp_ns == STAMP


@pytest.mark.parametrize(
    ("kind", "make"),
    [
        (ROS_COMPRESSED, lambda data: ros_compressed(data, "rgb8; png compressed bgr8", STAMP)),
        (ROS_COMPRESSED, lambda data: ros_compressed(data, "png", STAMP, big=True)),
        (FOX_COMPRESSED, lambda data: write_compressed_image(STAMP, "camera", "png", data)),
        (FOX_COMPRESSED_JSON, lambda data: fox_compressed_json(data, "png", STAMP)),
    ],
)
@pytest.mark.parametrize("pixels", [COLOUR, ALPHA, GREY, DEEP], ids=["rgb", "rgba", "grey", "grey of 16 bits"])
@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_compressed_image_keeps_every_value(kind, make, pixels, form) -> None:
    message = make(picture_file(pixels, form))
    np.testing.assert_array_equal(read(kind, message), pixels)
    assert READERS[kind](message).stamp_ns == STAMP


def test_jpeg_is_near_and_a_palette_becomes_its_colours() -> None:
    smooth = np.full((16, 16, 3), (200, 60, 30), np.uint8)
    found = read(ROS_COMPRESSED, ros_compressed(picture_file(smooth, "JPEG", quality=95), "jpeg"))
    assert np.abs(found.astype(int) - smooth).max() < 8
    image = Image.fromarray(np.eye(4, dtype=np.uint8))
    image.putpalette([9, 8, 7, 250, 240, 230])
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    found = read(ROS_COMPRESSED, ros_compressed(buffer.getvalue(), "png"))
    np.testing.assert_array_equal(found, np.where(np.eye(4)[..., None], (250, 240, 230), (9, 8, 7)))


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (ros_image(COLOUR, "yuv422"), r"encoding 'yuv422'; expected one of mono8, .*let the driver convert it"),
        (ros_image(GREY, "bayer_rggb8"), "let the driver convert it"),
        (ros_image(COLOUR, "8UC3"), "encoding '8UC3'"),
        (ros_image(COLOUR, "rgba8"), "a picture of 7x5 rgba8 with a step of 15; expected rows of 20 bytes"),
        (ros_image(COLOUR, "rgb8")[:-1], "ends 1 bytes too early"),
        (ros_image(COLOUR[:, :0], "rgb8"), "a picture of 7x0"),
        (ros_image(DEEP, "mono16")[:20], "too early"),
        (b"", "expected the head of plain CDR"),
        (b"\0\3\0\0" + ros_image(GREY, "mono8")[4:], "begins with 00030000"),
    ],
)
def test_ros_image_that_is_not_read_says_why(message, reason) -> None:
    with pytest.raises(DataError, match=reason):
        read(ROS, message)


def test_fewer_bytes_than_the_layout_says_are_told() -> None:
    picture = READERS[ROS](ros_image(COLOUR, "rgb8"))
    with pytest.raises(DataError, match="104 bytes for a picture of 7x5 rgb8 with a step of 15; expected 105"):
        pixels_of(dataclasses.replace(picture, data=picture.data[:-1]))


def test_padding_of_the_last_row_may_be_left_out() -> None:
    picture = READERS[ROS](ros_image(COLOUR, "rgb8", pad=9))
    np.testing.assert_array_equal(pixels_of(dataclasses.replace(picture, data=picture.data[:-9])), COLOUR)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (ros_compressed(b"\0" * 40, "16UC1; compressedDepth png"), "record the raw depth topic"),
        (ros_compressed(b"\0" * 40, "h264"), "format 'h264' cannot be read; expected png, jpeg"),
        (ros_compressed(picture_file(COLOUR)[:60], "png"), "damaged or cut short"),
        (ros_compressed(b"", "png"), "cannot be read"),
        (ros_compressed(huge(picture_file(GREY)), "png"), r"a picture of 7x10485760 in \d+ bytes"),
        (ros_compressed(b"\x89PNG\r\n\x1a\n" + bytes(16) + b"\x10\x02", "png"), "a PNG of 16 bits a colour"),
    ],
)
def test_compressed_image_that_is_not_read_says_why(message, reason) -> None:
    with pytest.raises(DataError, match=reason):
        read(ROS_COMPRESSED, message)


@pytest.mark.parametrize(
    "message",
    [b"", b"[]", b"{", b'{"data": 4}', b'{"data": "=="}', b'{"width": 1.5}', b'{"timestamp": 3}', b"[" * 9999],
)
@pytest.mark.parametrize("kind", [FOX_JSON, FOX_COMPRESSED_JSON])
def test_json_that_is_no_image_is_refused(kind, message) -> None:
    with pytest.raises(DataError):
        read(kind, message)


SAMPLES = [
    (ROS, ros_image(DEEP, "mono16", STAMP)),
    (ROS, ros_image(COLOUR, "bgr8", STAMP, big=True)),
    (ROS_COMPRESSED, ros_compressed(picture_file(COLOUR), "png")),
    (ROS_COMPRESSED, ros_compressed(picture_file(COLOUR, "JPEG"), "jpeg")),
    (ROS_COMPRESSED, ros_compressed(picture_file(DEEP, "TIFF"), "tiff")),
    (FOX, fox_raw(COLOUR, "rgb8", STAMP)),
    (FOX_COMPRESSED, write_compressed_image(STAMP, "camera", "png", picture_file(DEEP))),
    (FOX_JSON, fox_raw_json(GREY, "mono8", STAMP)),
    (FOX_COMPRESSED_JSON, fox_compressed_json(picture_file(GREY), "png", STAMP)),
]


def survives(kind: tuple[str, str], message: bytes) -> None:
    try:
        found = read(kind, message)
    except DataError:
        return
    assert found.ndim == 3
    assert found.dtype in (np.uint8, np.uint16, np.float32)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@given(sample=st.sampled_from(SAMPLES), edits=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6))
def test_altered_bytes_never_crash(sample, edits) -> None:
    kind, message = sample
    altered = bytearray(message)
    for place, value in edits:
        altered[place % len(altered)] = value
    survives(kind, bytes(altered))


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@given(sample=st.sampled_from(SAMPLES), keep=st.floats(0, 1), tail=st.binary(max_size=16))
def test_cut_messages_never_crash(sample, keep, tail) -> None:
    kind, message = sample
    survives(kind, message[: round(keep * len(message))] + tail)


@given(kind=st.sampled_from(list(READERS)), message=st.binary(max_size=80))
def test_noise_never_crashes(kind, message) -> None:
    survives(kind, message)
    survives(kind, b"\0\1\0\0" + message)


def test_alpha_is_dropped_and_equal_channels_are_grey() -> None:
    np.testing.assert_array_equal(fitted(ALPHA, RGB), ALPHA[..., :3])
    np.testing.assert_array_equal(fitted(np.repeat(GREY, 3, 2), HEAT), GREY)
    np.testing.assert_array_equal(fitted(np.concatenate([GREY, GREY], 2), HEAT), GREY)
    assert fitted(DEEP, HEAT) is DEEP
    assert fitted(GREY, RGB) is GREY
    four = dataclasses.replace(RGB, channels=4, mean=(), std=())
    assert fitted(ALPHA, four) is ALPHA


def test_palette_over_temperatures_is_refused_for_a_thermal_sensor_only() -> None:
    with pytest.raises(DataError, match="in the colours of a palette; expected temperatures; record the raw or grey"):
        fitted(COLOUR, HEAT)
    with pytest.raises(DataError, match="palette"):
        fitted(ALPHA, HEAT)
    assert fitted(COLOUR, NDSM) is COLOUR
