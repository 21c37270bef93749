"""The verb `faults`: which sensor faults can be played, and whether a file of them is right."""

from __future__ import annotations

import argparse
from pathlib import Path

from dis2_edge import bundle as bundles
from dis2_edge.terminal import say, table
from dis2_runtime.faults import KINDS, load

EXAMPLE = "dis2-edge faults FAULTS.toml --bundle out/bundle"
_SAMPLE = """\
A fault file holds one table a fault:

[[fault]]
sensor = "rgb"
kind = "off"
start_s = 5.0
length_s = 3.0        # left out: to the end of the run
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("file", type=Path, nargs="?", help="fault file to check; without it the kinds are listed")
    parser.add_argument("--bundle", type=Path, help="also check that the sensors are this bundle's")


def run(args: argparse.Namespace) -> int:
    """List the kinds, or check a file and list its faults."""
    if args.file is None:
        table("Kinds of fault", ["kind", "what happens"], list(KINDS.items()))
        say("")
        say(_SAMPLE)
        return 0
    plan = load(args.file, bundles.read(args.bundle).manifest.task.sensors if args.bundle else ())
    rows = [[f.sensor, f.kind, f"{f.start_s:g}", f"{f.start_s + f.length_s:g}", KINDS[f.kind]] for f in plan.fault]
    table(f"{args.file}: {len(rows)} faults", ["sensor", "kind", "from s", "to s", "what happens"], rows)
    return 0
