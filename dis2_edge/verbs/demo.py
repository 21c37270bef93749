"""`dis2-edge demo`: the whole way at a small size, for two networks side by side, with a report at the end."""

from __future__ import annotations

import argparse
from pathlib import Path

from dis2_edge.demo import Size, demo
from dis2_edge.story import DAY, NIGHT

EXAMPLE = "dis2-edge demo --out out/demo"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("--out", type=Path, default=Path("out/demo"), metavar="DIR", help="folder (default: out/demo)")
    parser.add_argument("--replace", action="store_true", help="let what a former demo left in DIR go")
    parser.add_argument(
        "--night", action="store_true", help="camera and thermal camera, DIS2 and CSK-Net, a flight from day into night"
    )
    parser.add_argument("--scenes", type=int, default=Size.scenes, help=f"synthetic scenes (default: {Size.scenes})")
    parser.add_argument("--pixels", type=int, default=Size.pixels, help=f"side of a scene (default: {Size.pixels})")
    parser.add_argument("--seconds", type=float, default=Size.flight_s, help="length of the flight (default: 12)")
    parser.add_argument("--calls", type=int, default=Size.calls, help=f"timed calls a model (default: {Size.calls})")
    parser.add_argument(
        "--set", action="append", default=[], dest="changes", metavar="KEY=VALUE", help="change a key of both recipes"
    )


def run(args: argparse.Namespace) -> int:
    """Do it all."""
    size = Size(args.scenes, args.pixels, tuple(args.changes), args.seconds, calls=args.calls)
    return demo(args.out, replace=args.replace, size=size, story=NIGHT if args.night else DAY)
