"""The verb `campaign`: play every kind of fault on every sensor, and judge each tick."""

from __future__ import annotations

import argparse
import math
import shlex
import sys
from pathlib import Path

from dis2_edge import bundle as bundles
from dis2_edge.errors import UserError
from dis2_edge.files import new_folder
from dis2_edge.terminal import say, table
from dis2_runtime import rig
from dis2_runtime.campaign import Campaign, plan_legs, run_campaign
from dis2_runtime.campaign import table as tables
from dis2_runtime.campaign.plan import LENGTHS_S
from dis2_runtime.fly import Flight
from dis2_runtime.verbs.run import engine_words, sources_of_words

EXAMPLE = (
    "dis2-edge campaign out/bundle --source rgb=flight:DATA/flight --source ndsm=flight:DATA/flight --out out/campaign"
)
_REAL_S = (2.0,)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("bundle", type=Path, help="folder made by dis2-edge deploy")
    parser.add_argument("--source", action="append", default=[], metavar="SENSOR=URI", help="as for dis2-edge run")
    parser.add_argument("--rig", type=Path, help="TOML file of the aircraft")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides", help="change a key of the rig"
    )
    parser.add_argument("--out", type=Path, help="new folder for campaign.json and campaign.txt")
    parser.add_argument("--seed", type=int, default=0, help="seed of what is random (default: 0)")
    parser.add_argument("--storms", type=int, default=10, metavar="N", help="random storms of faults (default: 10)")
    parser.add_argument("--kinds", default="", metavar="off,stuck", help="kinds of fault (default: all)")
    parser.add_argument("--seconds", default="", metavar="S,S", help="lengths of faults (0.5,2,8; real time: 2)")
    engine_words(parser)
    parser.add_argument(
        "--speed", choices=("real", "max"), default="max", help="by the clock, or as fast as it goes (max)"
    )


def run(args: argparse.Namespace) -> int:
    """Fly all; 1 when anything crashed, a tick stayed without answer, or a state was wrong."""
    for name in ("seed", "storms", "threads"):
        if getattr(args, name) < 0:
            raise UserError(f"--{name} is {getattr(args, name)}", expected="0 or more")
    bundle = bundles.read(args.bundle)
    flight = Flight(
        sources=sources_of_words(args.source),
        rig=rig.load(args.rig, args.overrides),
        precision=args.precision,
        engine=args.engine,
        speed=args.speed,
        threads=args.threads,
    )
    task = flight.rig.task(bundle.manifest.task)
    legs = plan_legs(
        task.sensors,
        flight.rig.policy_over(bundle.manifest.policy, task).return_after,
        kinds=[kind for kind in args.kinds.split(",") if kind],
        lengths_s=_lengths(args.seconds, args.speed),
        storms=args.storms,
        seed=args.seed,
    )
    if args.out is None:
        return _told(run_campaign(bundle, flight, legs))
    with new_folder(args.out) as folder:
        campaign = run_campaign(bundle, flight, legs)
        tables.write(campaign, folder, shlex.join(["dis2-edge", *sys.argv[1:]]))
    say(f"campaign.json and campaign.txt are in {args.out}")
    return _told(campaign)


def _told(campaign: Campaign) -> int:
    flight, manifest = campaign.flight, campaign.bundle.manifest
    title = f"{manifest.name} (bundle {campaign.bundle.id}), {flight.precision}, speed {flight.speed}"
    table(title, tables.COLUMNS, [tables.cells(row) for row in tables.rows(campaign)])
    for line in tables.complaints(campaign):
        say(line)
    return 0 if all(judged.good for _, judged in campaign.flown) else 1


def _lengths(text: str, speed: str) -> tuple[float, ...]:
    if not text:
        return _REAL_S if speed == "real" else LENGTHS_S
    try:
        lengths = tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise UserError(f"--seconds is {text!r}", expected="numbers with commas between") from error
    if not all(0 < length < math.inf for length in lengths):
        raise UserError(f"--seconds is {text!r}", expected="numbers above 0")
    return lengths
