"""Pictures come back as they were written; damaged ones are named."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dis2_edge.errors import DataError
from dis2_edge.images import image_size, read_image, read_indices, write_png, write_tiff


def _pixels(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    values = np.random.default_rng(0).integers(0, 60000 if dtype != "uint8" else 256, shape)
    return values.astype(dtype)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"II*\0", b"GIF89a"])
@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_what_is_no_picture_is_named(tmp_path: Path, content: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(content)
    for read in (read_image, read_indices, image_size):
        with pytest.raises(DataError, match=name):
            read(tmp_path / name)


def test_a_missing_picture_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.png does not exist"):
        read_image(tmp_path / "gone.png")


@given(st.integers(0, 999))
def test_a_tiff_cut_anywhere_is_named(tmp_path_factory: pytest.TempPathFactory, promille: int) -> None:
    path = tmp_path_factory.mktemp("cut") / "stack.tif"
    write_tiff(path, _pixels((9, 7, 5), "uint16"))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * promille // 1000])
    with pytest.raises(DataError, match=r"stack\.tif"):
        read_image(path)


@pytest.mark.parametrize(("channels", "dtype"), [(1, "uint8"), (3, "uint8"), (4, "uint8"), (1, "uint16")])
def test_png_comes_back(tmp_path: Path, channels: int, dtype: str) -> None:
    pixels = _pixels((5, 7, channels), dtype)
    write_png(tmp_path / "a.png", pixels)
    read = read_image(tmp_path / "a.png")
    assert read.dtype == pixels.dtype
    np.testing.assert_array_equal(read, pixels)
    assert image_size(tmp_path / "a.png") == (5, 7)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7])
def test_tiff_comes_back(tmp_path: Path, channels: int, dtype: str) -> None:
    pixels = _pixels((5, 7, channels), dtype)
    write_tiff(tmp_path / "a.tif", pixels, pixel_m=0.2, east_north_m=(5e5, 54e5), epsg=32632)
    read = read_image(tmp_path / "a.tif")
    assert read.dtype == pixels.dtype
    np.testing.assert_array_equal(read, pixels)
    assert image_size(tmp_path / "a.tif") == (5, 7)


@pytest.mark.parametrize("channels", [1, 2])
def test_geotiff_tags_place_the_picture(tmp_path: Path, channels: int) -> None:
    write_tiff(
        tmp_path / "a.tif", np.zeros((4, 6, channels), np.float32), pixel_m=0.25, east_north_m=(5e5, 54e5), epsg=32632
    )
    tags = _tags(tmp_path / "a.tif")
    assert tags[33550] == (0.25, 0.25, 0.0)
    assert tags[33922] == (0.0, 0.0, 0.0, 5e5, 54e5, 0.0)
    keys = [tags[34735][start : start + 4] for start in range(0, len(tags[34735]), 4)]
    assert keys[0][3] == len(keys) - 1
    assert (3072, 0, 1, 32632) in keys
    assert (1024, 0, 1, 1) in keys


def test_nan_survives_a_tiff(tmp_path: Path) -> None:
    pixels = np.array([[[1.5], [np.nan]]], np.float32)
    write_tiff(tmp_path / "a.tif", pixels)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), pixels)


def test_tiled_deflated_planar_and_predicted_tiffs_are_read(tmp_path: Path) -> None:
    """What other programs write of many channels: here as raw bytes, since Pillow writes none of it."""
    pixels = _pixels((20, 24, 2), "uint16")
    for planar in (1, 2):
        (tmp_path / "a.tif").write_bytes(_tiled_tiff(pixels, planar))
        np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), pixels)


def test_unknown_compression_says_how_to_mend(tmp_path: Path) -> None:
    pixels = _pixels((20, 24, 2), "uint16")
    (tmp_path / "a.tif").write_bytes(_tiled_tiff(pixels, 1, compression=5))
    with pytest.raises(DataError, match=r"a\.tif: TIFF compression 5.*gdal_translate"):
        read_image(tmp_path / "a.tif")


def test_mask_with_palette_reads_as_indices_and_shows_as_colours(tmp_path: Path) -> None:
    mask = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)
    write_png(tmp_path / "m.png", mask, ("#ff0000", "#00ff00", "#0000ff"))
    np.testing.assert_array_equal(read_indices(tmp_path / "m.png"), mask)
    np.testing.assert_array_equal(read_image(tmp_path / "m.png")[0, 1], [0, 255, 0])


def test_labels_of_one_bit_and_of_fractions(tmp_path: Path) -> None:
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "bit.png")
    np.testing.assert_array_equal(read_indices(tmp_path / "bit.png"), [[1, 0]])
    write_tiff(tmp_path / "f.tif", np.zeros((2, 2), np.float32))
    with pytest.raises(DataError, match=r"f\.tif: labels"):
        read_indices(tmp_path / "f.tif")


def _tags(path: Path) -> dict[int, tuple]:
    from dis2_edge import tiff

    return tiff._tags(path.read_bytes())[0]


def _tiled_tiff(pixels: np.ndarray, planar: int, compression: int = 8) -> bytes:
    """Big-endian, 16x16 tiles, deflate, horizontal differences."""
    import struct
    import zlib

    height, width, channels = pixels.shape
    tiles = []
    planes = [pixels] if planar == 1 else [pixels[..., [channel]] for channel in range(channels)]
    for plane in planes:
        for top in range(0, height, 16):
            for left in range(0, width, 16):
                tile = np.zeros((16, 16, plane.shape[2]), np.uint16)
                part = plane[top : top + 16, left : left + 16]
                tile[: part.shape[0], : part.shape[1]] = part
                tile[:, 1:] -= tile[:, :-1].copy()
                tiles.append(zlib.compress(tile.astype(">u2").tobytes()))
    offsets = np.cumsum([8, *map(len, tiles)]).tolist()
    rows = [
        (256, 3, [width]), (257, 3, [height]), (258, 3, [16] * channels), (259, 3, [compression]), (262, 3, [1]),
        (277, 3, [channels]), (284, 3, [planar]), (317, 3, [2]), (322, 3, [16]), (323, 3, [16]),
        (324, 4, offsets[:-1]), (325, 4, [len(tile) for tile in tiles]), (339, 3, [1] * channels),
    ]  # fmt: skip
    body = b"".join(tiles)
    start = 8 + len(body)
    far_at, table, far = start + 2 + 12 * len(rows) + 4, b"", b""
    for tag, form, values in rows:
        packed = struct.pack(f">{len(values)}{'H' if form == 3 else 'I'}", *values)
        if len(packed) > 4:
            far, packed = far + packed, struct.pack(">I", far_at + len(far))
        table += struct.pack(">HHI", tag, form, len(values)) + packed.ljust(4, b"\0")
    return struct.pack(">2sHI", b"MM", 42, start) + body + struct.pack(">H", len(rows)) + table + bytes(4) + far


def test_a_mask_with_a_short_palette_keeps_the_index_of_ignore(tmp_path: Path) -> None:
    mask = np.array([[0, 1, 255], [15, 16, 254]], np.uint8)
    write_png(tmp_path / "mask.png", mask, ("#000000", "#ffffff"))
    np.testing.assert_array_equal(read_indices(tmp_path / "mask.png"), mask)
