"""The campaign on real data: every kind of fault, every type of source that needs no hardware, one table a bundle.

    python -m benchmarks.campaign BUNDLE ... [--data ../shared/data/ombria_s1s2_flood] [--out out/campaigns]
        [--only folder,video] [--dem-bundle BUNDLE --dem-scene DIR] [--storms 10] [--precision int8]

A BUNDLE reads the sensors `opt` and `sar` of that data. Its test pictures are flown as they are (`folder`, `python`),
as a mosaic (`flight`, `scene`), as lossless videos, as an MCAP recording, and in real time out of a GStreamer pipeline.
`dem` wants heights: a bundle with `rgb` and `ndsm`, and the scene that `dis2-edge data synth` writes. Ends with 1 when
anything crashed, a tick stayed without an answer, or a sensor's state was wrong.
"""

from __future__ import annotations

import argparse
import base64
import itertools
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dis2_edge.cli import main as dis2_edge
from dis2_edge.errors import UserError
from dis2_edge.files import read_json, write_text
from dis2_edge.images import read_image, write_png, write_tiff
from dis2_edge.sensors import Sensor
from dis2_edge.terminal import say

RATE_HZ = 10
SENSORS = ("opt", "sar")
LENGTHS = ["--seconds", "2"]
EAST, NORTH, EPSG, PIXEL_M = 500_000.0, 5_200_000.0, 32633, 0.5
_GST = "multifilesrc location={folder}/%02d.png index=0 loop=true caps=image/png,framerate=10/1 ! pngdec ! videoconvert"

Pixels = npt.NDArray[Any]


@dataclass(frozen=True)
class Way:
    """One way to bring the pictures to the runtime."""

    name: str
    """Scheme of its sources."""
    words: list[str]
    """Words of `dis2-edge campaign`, without the bundle."""


def frames(sensor: Sensor, folder: str = "") -> Iterator[tuple[Pixels, float]]:
    """For `python:...?paced=1`: the pictures of a folder again and again, and when each was captured, in seconds."""
    files = sorted((Path(folder) / sensor.name).glob("*.png"))
    for number in itertools.count():
        yield read_image(files[number % len(files)]), number / RATE_HZ


def ways(data: Path, work: Path) -> list[Way]:
    """All ways of bringing the test pictures below `data`; what they need is made in `work` unless it is there."""
    test = (data / "test").resolve()
    pictures = {name: [read_image(file) for file in sorted((test / name).glob("*.png"))] for name in SENSORS}
    if not all(pictures.values()):
        raise UserError(f"no pictures in {test}", expected=f"folders {' and '.join(SENSORS)}")
    made = {
        "folder": {name: f"folder:{test / name}?loop=1" for name in SENSORS},
        "python": dict.fromkeys(SENSORS, f"python:benchmarks.campaign:frames?paced=1&folder={test}"),
        "flight": {name: f"flight:{_mosaic(pictures, work)}?speed_px_s=60" for name in SENSORS},
        "scene": {name: f"scene:{work}/mosaic/{name}.png?loop=1&step=64" for name in SENSORS},
        "video": {name: f"video:{_video(name, pictures[name], work)}?loop=1" for name in SENSORS},
        "mcap": {name: f"mcap:{_recording(pictures, work)}?topic=/{name}" for name in SENSORS},
        "gst": {name: "gst:" + _GST.format(folder=_numbered(name, pictures[name], work)) for name in SENSORS},
    }
    words = {"folder": [], "gst": ["--speed", "real", "--kinds", "off,garbage,delayed"]}
    return [
        Way(name, [*words.get(name, LENGTHS), *(word for sensor, uri in uris.items() for word in _source(sensor, uri))])
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
    words = [word for sensor, uri in sources.items() for word in _source(sensor, uri)]
    return Way("dem", [*LENGTHS, "--rig", str(folder / "rig.toml"), *words])


def main(argv: Sequence[str] | None = None) -> int:
    """Fly all; 0 when every campaign was without fault."""
    args = _parser().parse_args(argv)
    work = args.out / "made"
    flights = [(bundle, way) for bundle in args.bundles for way in ways(args.data, work)]
    if args.dem_bundle:
        flights.append((args.dem_bundle, dem_way(args.dem_scene, work)))
    only = [name for name in args.only.split(",") if name]
    worst = 0
    for bundle, way in flights:
        if only and way.name not in only:
            continue
        out = args.out / f"{bundle.name}-{way.name}"
        say(f"\n{bundle.name} over {way.name}:")
        common = ["--threads", str(args.threads), "--precision", args.precision, "--storms", str(args.storms)]
        worst = max(worst, dis2_edge(["campaign", str(bundle), *common, "--out", str(out), *way.words]))
    _sum_up(args.out)
    return worst


def _sum_up(out: Path) -> None:
    """One row a campaign, in campaigns.txt."""
    counted = ("flights", "due", "answered", "unanswered", "crashes", "wrong")
    head = ("bundle", "network", "sources", "time", *counted, "p99 ms")
    lines = [head, ("---",) * len(head)]
    for file in sorted(out.glob("*/campaign.json")):
        table = read_json(file, UserError)
        row = table["rows"][-1]
        told = (table["bundle"]["id"], table["bundle"]["network"], file.parent.name.rsplit("-", 1)[1], table["speed"])
        lines.append((*told, *(str(row[key]) for key in (*counted, "p99_ms"))))
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    write_text(out / "campaigns.txt", text + "\n")
    say(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.campaign", description=__doc__)
    parser.add_argument("bundles", nargs="+", type=Path)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/ombria_s1s2_flood"))
    parser.add_argument("--out", type=Path, default=Path("out/campaigns"))
    parser.add_argument("--only", default="")
    parser.add_argument("--storms", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", default="int8")
    parser.add_argument("--dem-bundle", type=Path)
    parser.add_argument("--dem-scene", type=Path)
    return parser


def _source(sensor: str, uri: str) -> list[str]:
    return ["--source", f"{sensor}={uri}"]


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


if __name__ == "__main__":
    sys.exit(main())
