"""Read and write picture files (PNG, JPEG, TIFF, GeoTIFF) as arrays HxWxC of uint8, uint16 or float32."""

from __future__ import annotations

import contextlib
import io
import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from dis2_edge import tiff
from dis2_edge.errors import DamagedError, DataError
from dis2_edge.files import write_bytes

Pixels = npt.NDArray[Any]
SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")


def read_image(path: Path) -> Pixels:
    """The picture at `path` as HxWxC uint8, uint16 or float32; a palette becomes its colours.

    What a GeoTIFF declares as no data is NaN in float32; in integers it stays, see `nodata_of`.
    Raises DamagedError that names the file when it is missing, cut short or of an unknown format, DataError when it is
    of another number type.
    """
    with _pillow_errors(path):
        if tiff.wanted(path):
            return _without(_channels_last(tiff.read(path), path), tiff.declared(path))
        with Image.open(path) as opened:
            image: Image.Image = opened
            if opened.mode in ("P", "1", "CMYK", "YCbCr", "HSV", "LAB"):
                image = opened.convert("L" if opened.mode == "1" else "RGB")
            return _without(_channels_last(np.asarray(image), path), _declared(opened))


def nodata_of(path: Path) -> float | None:
    """The value that a GeoTIFF declares as no data (GDAL's tag 42113); None for any other picture."""
    if path.suffix.lower() not in (".tif", ".tiff"):
        return None
    with _pillow_errors(path):
        if tiff.wanted(path):
            return tiff.declared(path)
        with Image.open(path) as opened:
            return _declared(opened)


def read_indices(path: Path) -> Pixels:
    """The label picture at `path` as HxW integers (a palette stays its indices) or HxWx3 uint8 colours."""
    with _pillow_errors(path):
        if tiff.wanted(path):
            array = tiff.read(path)
        else:
            with Image.open(path) as image:
                array = np.asarray(image.convert("RGB") if image.mode == "RGBA" else image)
    if array.dtype == np.bool_:
        array = array.astype(np.uint8)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.dtype.kind not in "ui" or (array.ndim == 3 and array.shape[2] != 3):
        raise DataError(
            f"{path}: labels of shape {array.shape}, {array.dtype}", expected="class indices, or the colours of classes"
        )
    return array


def image_size(path: Path) -> tuple[int, int]:
    """Height and width in pixels, from the file's head alone."""
    with _pillow_errors(path):
        if tiff.wanted(path):
            return tiff.size(path)
        with Image.open(path) as image:
            return image.height, image.width


def image_dtype(path: Path) -> str:
    """Number type of the values as the file holds them, such as uint16, from its head alone."""
    with _pillow_errors(path):
        if tiff.wanted(path):
            return tiff.dtype(path).name
        with Image.open(path) as image:
            return (
                "uint16" if image.mode.startswith("I;16") else {"I": "int32", "F": "float32"}.get(image.mode, "uint8")
            )


def write_png(path: Path, pixels: Pixels, palette: tuple[str, ...] = ()) -> None:
    """Write HxW or HxWxC pixels (uint8 of 1, 3 or 4 channels, uint16 of 1) as PNG, whole or not at all.

    `palette` holds one `#rrggbb` for each index of an HxW uint8 mask, so that viewers show its classes in colour.
    """
    image = Image.fromarray(pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels)
    if palette:
        image = image.convert("P") if image.mode != "P" else image
        image.frombytes(np.ascontiguousarray(pixels, dtype=np.uint8).tobytes())
        image.putpalette(bytes.fromhex("".join(colour.lstrip("#") for colour in palette)))
    buffer = io.BytesIO()
    # Of a short palette Pillow would write 4 bits a pixel, and ignore's 255 would come back as 15.
    image.save(buffer, format="PNG", compress_level=3, **({"bits": 8} if palette else {}))
    write_bytes(path, buffer.getvalue())


def write_tiff(
    path: Path, pixels: Pixels, *, pixel_m: float = 0.0, east_north_m: tuple[float, float] = (0.0, 0.0), epsg: int = 0
) -> None:
    """Write HxW or HxWxC pixels as TIFF; with `pixel_m` above 0 as GeoTIFF in the projected system `epsg`.

    `pixel_m`: side of a ground pixel in metres; `east_north_m`: map coordinates of the outer corner of the first pixel.
    """
    tags = geo_tags(pixel_m, east_north_m, epsg) if pixel_m > 0 else {}
    flat = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    if flat.ndim == 3 and (flat.dtype != np.uint8 or flat.shape[2] not in (3, 4)):
        write_bytes(path, tiff.encode(flat, tags))
        return
    info = ImageFileDirectory_v2()
    for tag, (kind, values) in tags.items():
        info.tagtype[tag] = kind
        info[tag] = values
    buffer = io.BytesIO()
    Image.fromarray(flat).save(buffer, format="TIFF", tiffinfo=info, compression="tiff_adobe_deflate")
    write_bytes(path, buffer.getvalue())


def geo_tags(
    pixel_m: float, east_north_m: tuple[float, float], epsg: int
) -> dict[int, tuple[int, tuple[float, ...] | tuple[int, ...]]]:
    """GeoTIFF tags: tag -> (TIFF type, values). Pixel scale, one tie point, and the keys of a projected system."""
    double, short = 12, 3
    keys = (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, epsg or 32767)
    return {
        33550: (double, (pixel_m, pixel_m, 0.0)),
        33922: (double, (0.0, 0.0, 0.0, *east_north_m, 0.0)),
        34735: (short, keys),
    }


@contextlib.contextmanager
def _pillow_errors(path: Path) -> Iterator[None]:
    """Turn whatever Pillow raises on a bad file into an error that names it."""
    try:
        yield
    except FileNotFoundError as error:
        raise DamagedError(f"{path} does not exist") from error
    except UnidentifiedImageError as error:
        raise DamagedError(f"{path} is no picture that can be read", expected="PNG, JPEG or TIFF") from error
    except Image.DecompressionBombError as error:
        raise DataError(f"{path} is too large ({error})", mend="cut the scene into tiles first") from error
    except (OSError, SyntaxError, ValueError, EOFError, KeyError, IndexError, struct.error) as error:
        raise DamagedError(f"{path} is damaged or cut short ({error})", mend="copy or download it again") from error


def _declared(image: Image.Image) -> float | None:
    return tiff.nodata(getattr(image, "tag_v2", {}).get(tiff.NODATA))


def _without(pixels: Pixels, nodata: float | None) -> Pixels:
    """`pixels`, of float32 with NaN for `nodata`: compared as float32, which rounds what the tag says to the digit."""
    if nodata is None or math.isnan(nodata) or pixels.dtype.kind != "f":
        return pixels
    with np.errstate(over="ignore"):
        return np.where(pixels == np.float32(nodata), np.float32(np.nan), pixels)


def _channels_last(array: Pixels, path: Path) -> Pixels:
    """HxWxC of a type that sensors know."""
    if array.ndim == 2:
        array = array[..., None]
    if array.dtype in (np.uint8, np.uint16, np.float32):
        return np.ascontiguousarray(array)
    if array.dtype == np.bool_:
        return array.astype(np.uint8)
    if array.dtype.kind in "iuf":
        return array.astype(np.float32)
    raise DataError(f"{path}: pixels of type {array.dtype}", expected="uint8, uint16 or float32")
