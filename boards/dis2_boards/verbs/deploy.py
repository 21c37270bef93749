"""`dis2-edge deploy`: from a quantised run to a proven bundle for a board."""

from __future__ import annotations

import argparse
from pathlib import Path

from dis2_boards.packing.card import percent
from dis2_boards.packing.pack import pack
from dis2_boards.profile import load
from dis2_edge.terminal import say, table

EXAMPLE = "dis2-edge deploy runs/ombria-int8 --board host --out bundles/ombria"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("qrun", type=Path, metavar="QRUN", help="folder that `dis2-edge quantize` made")
    parser.add_argument("--board", default="host", help="name of a board, or path of a board file (default: host)")
    parser.add_argument("--out", type=Path, required=True, metavar="BUNDLE", help="folder of the new bundle")


def run(args: argparse.Namespace) -> int:
    """Deploy, then say what is in the bundle."""
    bundle = pack(args.qrun, load(args.board), args.out)
    rows = [(row.scenario, row.precision, percent(row.miou)) for row in bundle.manifest.models]
    table(f"{bundle.manifest.name} for {bundle.manifest.board}", ("scenario", "precision", "mIoU on test (%)"), rows)
    say(f"verified and kept: {bundle.path} (bundle {bundle.id})")
    return 0
