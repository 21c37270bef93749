"""`dis2-edge predict`: a model and a whole scene to a mask that a GIS opens."""

from __future__ import annotations

import argparse
from pathlib import Path

from dis2_edge.errors import UserError
from dis2_edge.terminal import say

EXAMPLE = "dis2-edge predict out/aerial-run --scene rgb=rgb.tif --scene ndsm=ndsm.tif --out out/mask.tif"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `dis2-edge predict`."""
    parser.add_argument("model", type=Path, metavar="MODEL", help="a run, a quantised run, an .onnx file or a bundle")
    parser.add_argument(
        "--scene",
        action="append",
        default=[],
        metavar="SENSOR=FILE",
        help="GeoTIFF or PNG of a sensor; once a sensor. The mask has the pixels of the first",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="MASK.tif", help="mask to write, as a COG")
    parser.add_argument("--probabilities", type=Path, metavar="FILE.tif", help="write every class's probability too")
    parser.add_argument("--scenario", default="", metavar="S", help="use only these sensors, as in rgb or rgb+ndsm")
    parser.add_argument(
        "--overlap", default="0.25", metavar="O", help="least overlap of windows: a share, or pixels (default: 0.25)"
    )
    parser.add_argument("--window", metavar="SIDE|HxW", help="size of windows in pixels (default: the model's grid)")
    parser.add_argument("--batch", type=int, default=4, metavar="N", help="windows answered at a time (default: 4)")
    parser.add_argument("--resample", action="store_true", help="bring the other sensors to the first one's grid")
    parser.add_argument(
        "--bands", action="append", default=[], metavar="SENSOR=1,2,3", help="bands to read where a file has more"
    )
    parser.add_argument(
        "--specks", action="store_true", help="answer small holes too, where else nodata stands without any sensor"
    )
    parser.add_argument("--precision", choices=("fp32", "int8"), help="which files of a quantised run or bundle")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where a run computes")


def run(args: argparse.Namespace) -> int:
    """Segment the scene, print areas and speed, and say where the mask is."""
    from dis2_train.scenes import Request, predict_scene  # rasterio is looked for first: it is what may be missing
    from dis2_train.scenes.summary import show
    from dis2_train.segmenters import open_segmenter

    request = Request(
        files={name: Path(file) for name, file in _pairs("--scene", args.scene).items()},
        out=args.out,
        probabilities=args.probabilities,
        scenario=args.scenario,
        overlap=args.overlap,
        batch=args.batch,
        resample=args.resample,
        specks=args.specks,
        bands={name: _whole_numbers(name, text) for name, text in _pairs("--bands", args.bands).items()},
    )
    grid = _size(args.window) if args.window else None
    segmenter = open_segmenter(args.model, args.precision, grid=grid, device=args.device)
    show(predict_scene(segmenter, request))
    say(f"mask: {args.out}")
    return 0


def _pairs(flag: str, words: list[str]) -> dict[str, str]:
    """SENSOR=VALUE words as a table, each sensor once."""
    table: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals and value):
            raise UserError(f"{flag} {word!r}", expected=f"{flag} SENSOR=..., as in {flag} rgb=...")
        if name in table:
            raise UserError(f"{flag} names {name!r} twice", expected="each sensor once")
        table[name] = value
    return table


def _whole_numbers(name: str, text: str) -> tuple[int, ...]:
    words = text.split(",")
    if not all(word.isdecimal() and int(word) for word in words):
        raise UserError(f"--bands {name}={text}", expected="whole numbers from 1, as in 1,2,3")
    return tuple(map(int, words))


def _size(text: str) -> tuple[int, int]:
    sides = text.split("x")
    if len(sides) not in (1, 2) or not all(side.isdecimal() and int(side) for side in sides):
        raise UserError(f"--window {text}", expected="pixels, as in 512 or 512x768")
    return int(sides[0]), int(sides[-1])
