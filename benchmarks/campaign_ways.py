"""The ways on which the campaign brings the same pictures to the runtime, each another type of source."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.live_camera import RATE_HZ
from dis2_edge.errors import UserError
from dis2_edge.files import write_text
from dis2_edge.images import read_image, write_png, write_tiff
from dis2_edge.sensors import Sensor

SENSORS = ("opt", "sar")
LENGTHS = ["--seconds", "2"]
REAL = ["--speed", "real", "--kinds", "off,garbage,delayed"]
LEARNT_S = 70
"""Time of a clean flight from which limits are learned: each of OMBRIA's test pictures once."""
EAST, NORTH, EPSG, PIXEL_M = 500_000.0, 5_200_000.0, 32633, 0.5
_GST = "multifilesrc location={folder}/%02d.png index=0 loop=true caps=image/png,framerate=10/1 ! pngdec ! videoconvert"
_LIVE = {"opt": ("tcp://127.0.0.1:5004", "?listen=1"), "sar": ("udp://127.0.0.1:5005", "?pkt_size=1316")}
_NOISE = 2

Pixels = npt.NDArray[Any]


@dataclass(frozen=True)
class Way:
    """One way to bring the pictures to the runtime."""

    name: str
    """Scheme of its sources, or what they show."""
    words: list[str]
    """Words of `dis2-edge campaign`, without the bundle."""
    sources: list[str]
    """Words that name its sources."""
    learns: bool = False
    """Whether limits are learned from a clean flight first."""
    cameras: tuple[tuple[str, str], ...] = ()
    """Folders of pictures and where `benchmarks.live_camera` sends them meanwhile."""


def frames(sensor: Sensor, folder: str = "") -> Iterator[tuple[Pixels, float]]:
    """For `python:...?paced=1`: the pictures of a folder again and again, and when each was captured, in seconds."""
    files = _files(sensor, folder)
    for number in itertools.count():
        yield read_image(files[number % len(files)]), number / RATE_HZ


def hover(sensor: Sensor, folder: str = "") -> Iterator[tuple[Pixels, float]]:
    """As `frames`, as a real camera over ground that stands still for a second: no frame without noise of its own."""
    files, random = _files(sensor, folder), np.random.default_rng(0)
    for number in itertools.count():
        pixels = read_image(files[number // RATE_HZ % len(files)]).astype(np.int16)
        noisy = pixels + random.integers(-_NOISE, _NOISE, pixels.shape, np.int16, endpoint=True)
        yield np.clip(noisy, 0, 255).astype(np.uint8), number / RATE_HZ


def ways(data: Path, work: Path) -> list[Way]:
    """All ways of bringing the test pictures below `data`; what they need is made in `work` unless it is there."""
    test = (data / "test").resolve()
    pictures = {name: [read_image(file) for file in sorted((test / name).glob("*.png"))] for name in SENSORS}
    if not all(pictures.values()):
        raise UserError(f"no pictures in {test}", expected=f"folders {' and '.join(SENSORS)}")
    module = "python:benchmarks.campaign_ways"
    made = {
        "folder": {name: f"folder:{test / name}?loop=1" for name in SENSORS},
        "hover": dict.fromkeys(SENSORS, f"{module}:hover?paced=1&folder={test}"),
        "python": dict.fromkeys(SENSORS, f"{module}:frames?paced=1&folder={test}"),
        "flight": {name: f"flight:{_mosaic(pictures, work)}?speed_px_s=60" for name in SENSORS},
        "scene": {name: f"scene:{work}/mosaic/{name}.png?loop=1&step=64" for name in SENSORS},
        "video": {name: f"video:{_video(name, pictures[name], work)}?loop=1" for name in SENSORS},
        "mcap": {name: f"mcap:{_recording(pictures, work)}?topic=/{name}" for name in SENSORS},
        "gst": {name: "gst:" + _GST.format(folder=_numbered(name, pictures[name], work)) for name in SENSORS},
        "live": {name: f"video:{place}#most_wait_s=0.5" for name, (place, _) in _LIVE.items()},
    }
    words: dict[str, list[str]] = {"folder": [], "hover": [], "gst": REAL, "live": REAL}
    cameras = {"live": tuple((str(test / name), place + how) for name, (place, how) in _LIVE.items())}
    return [
        Way(name, words.get(name, LENGTHS), _sources(uris), name == "hover", cameras.get(name, ()))
        for name, uris in made.items()
    ]


def dem_way(scene: Path, work: Path) -> Way:
    """Pictures and terrain of one synthetic scene, both cut from georeferenced rasters, and a track over them."""
    folder = work / "dem"
    folder.mkdir(parents=True, exist_ok=True)
    rgb, ndsm = read_image(scene / "rgb.png"), read_image(scene / "ndsm.tif")
    for name, pixels in (("rgb", rgb), ("ndsm", ndsm)):
        write_tiff(folder / f"{name}.tif", pixels, pixel_m=PIXEL_M, east_north_m=(EAST, NORTH), epsg=EPSG)
    times = np.arange(0, 60, 0.05)
    middle, span = rgb.shape[1] / 2, rgb.shape[1] / 4
    columns = middle + span * np.sin(times / 3)
    rows = [
        f"{t:.3f},{EAST + x * PIXEL_M},{NORTH - rgb.shape[0] / 2 * PIXEL_M},0,{PIXEL_M}"
        for t, x in zip(times, columns, strict=True)
    ]
    write_text(folder / "track.csv", "\n".join(["time_s,x,y,heading_deg,gsd_m", *rows]) + "\n")
    write_text(folder / "rig.toml", f'[poses]\nsource = "csv:track.csv"\nepsg = {EPSG}\n')
    sources = {"rgb": f"flight:{scene.resolve()}", "ndsm": f"dem:{folder.resolve()}/ndsm.tif"}
    return Way("dem", [*LENGTHS, "--rig", str(folder / "rig.toml")], _sources(sources))


def _files(sensor: Sensor, folder: str) -> list[Path]:
    return sorted((Path(folder) / sensor.name).glob("*.png"))


def _sources(uris: dict[str, str]) -> list[str]:
    return [word for sensor, uri in uris.items() for word in ("--source", f"{sensor}={uri}")]


def _mosaic(pictures: dict[str, list[Pixels]], work: Path) -> Path:
    """All pictures of a sensor side by side in one big raster."""
    folder = work / "mosaic"
    for name, tiles in pictures.items():
        side = int(np.sqrt(len(tiles)))
        rows = [np.concatenate(tiles[row * side : (row + 1) * side], axis=1) for row in range(side)]
        if not (folder / f"{name}.png").exists():
            write_png(folder / f"{name}.png", np.concatenate(rows, axis=0))
    return folder.resolve()


def _video(name: str, pictures: list[Pixels], work: Path) -> Path:
    import av

    path = work / f"{name}.mkv"
    if not path.exists():
        colour = pictures[0].shape[2] == 3
        with av.open(path, "w") as out:
            stream = out.add_stream("ffv1", rate=RATE_HZ)
            stream.height, stream.width = pictures[0].shape[:2]
            stream.pix_fmt = "bgr0" if colour else "gray"
            for number, pixels in enumerate(pictures):
                array = pixels if colour else pixels[..., 0]
                frame = av.VideoFrame.from_ndarray(array, format="rgb24" if colour else "gray")
                frame.pts = number
                out.mux(stream.encode(frame))
            out.mux(stream.encode())
    return path.resolve()


def _recording(pictures: dict[str, list[Pixels]], work: Path) -> Path:
    """Half a minute of compressed pictures on two topics: a campaign's longest flight."""
    from mcap.writer import Writer

    path = work / "pictures.mcap"
    if path.exists():
        return path.resolve()
    encoded = {name: [_png(work, pixels) for pixels in pictures[name]] for name in pictures}
    with path.open("wb") as file:
        writer = Writer(file)
        writer.start()
        schema = writer.register_schema("foxglove.CompressedImage", "jsonschema", b"{}")
        channels = {name: writer.register_channel(f"/{name}", "json", schema) for name in encoded}
        for number in range(RATE_HZ * 40):
            time_ns = 1_760_000_000 * 10**9 + number * 10**9 // RATE_HZ
            for name, files in encoded.items():
                stamp = {"sec": time_ns // 10**9, "nsec": time_ns % 10**9}
                data = base64.b64encode(files[number % len(files)]).decode()
                row = {"timestamp": stamp, "frame_id": name, "format": "png", "data": data}
                writer.add_message(channels[name], time_ns, json.dumps(row).encode(), time_ns, number)
        writer.finish()
    return path.resolve()


def _png(work: Path, pixels: Pixels) -> bytes:
    write_png(work / "one.png", pixels)
    return (work / "one.png").read_bytes()


def _numbered(name: str, pictures: list[Pixels], work: Path) -> Path:
    folder = work / "numbered" / name
    for number, pixels in enumerate(pictures):
        if not (folder / f"{number:02d}.png").exists():
            write_png(folder / f"{number:02d}.png", pixels)
    return folder.resolve()
