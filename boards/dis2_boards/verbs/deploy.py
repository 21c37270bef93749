"""`dis2-edge deploy`: from a quantised run to a proven bundle, and on to a board that flies it."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import get_args

from dis2_boards.deployment.deploying import deploy
from dis2_boards.deployment.order import KINDS, Engine, Order
from dis2_boards.deployment.shown import show
from dis2_boards.deployment.telling import Spoken
from dis2_boards.packing.card import percent
from dis2_boards.packing.pack import pack
from dis2_boards.packing.proving import kept
from dis2_boards.profile import load
from dis2_boards.targets import address
from dis2_edge.errors import UserError
from dis2_edge.terminal import say, table

EXAMPLE = "dis2-edge deploy runs/ombria-int8 --target ssh://pilot@drone.local"
_OF_A_TARGET = {
    "engine": ("auto", "--engine"),
    "service": (None, "--service"),
    "data": (None, "--eval"),
    "describe": (None, "--describe"),
    "tiles": (32, "--tiles"),
    "report": (None, "--report"),
    "wait": (0.0, "--wait"),
    "max_drop": (0.5, "--max-drop"),
}
"""Arguments that mean something with `--target` only: their default, and how they are written."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("source", type=Path, metavar="QRUN", help="folder that `dis2-edge quantize` made, or a bundle")
    parser.add_argument("--board", help="name or file of a board (default: what the target is found to be; else host)")
    parser.add_argument("--out", type=Path, metavar="BUNDLE", help="folder of the new bundle; without it none is kept")
    address.configure(parser)
    parser.add_argument(
        "--wheels", type=Path, metavar="DIR", help="folder of wheels (default: ~/.cache/dis2-edge/wheels)"
    )
    parser.add_argument("--engine", choices=get_args(Engine), default="auto", help="what is to fly there (auto)")
    parser.add_argument("--service", choices=KINDS, help="how it is to be started there (default: as it was)")
    parser.add_argument("--eval", type=Path, dest="data", metavar="DATA", help="labelled data to judge on the board")
    parser.add_argument("--describe", type=Path, help="description of that data, where it does not lie beside it")
    parser.add_argument("--tiles", type=int, default=32, help="how many labelled tiles are sent (32)")
    parser.add_argument("--report", type=Path, metavar="DIR", help="folder for the board's report")
    parser.add_argument("--max-drop", type=float, default=0.5, help="points of mIoU that the faster may lose (0.5)")
    parser.add_argument("--wait", type=float, default=0.0, metavar="S", help="seconds to wait for another deploy (0)")
    parser.add_argument("--yes-workstation", action="store_true", help="the target may be a workstation")


def run(args: argparse.Namespace) -> int:
    """Deploy, then say what flies, or what is in the bundle."""
    if args.target is None:
        return _pack_only(args)
    spoken = Spoken()
    try:
        show(deploy(order_of(args), spoken), order_of(args))
    finally:
        spoken.close()
    return 0


def order_of(args: argparse.Namespace) -> Order:
    """What `args` ask for."""
    _check(args)
    return Order(
        source=args.source,
        target=address.target_of(args),
        board=args.board,
        out=args.out,
        wheels=args.wheels,
        engine=args.engine,
        service=args.service,
        data=args.data,
        describe=args.describe,
        tiles=args.tiles,
        report=args.report,
        wait_s=args.wait,
        max_drop=args.max_drop,
        workstation=args.yes_workstation,
        words=_words(args),
    )


def _pack_only(args: argparse.Namespace) -> int:
    for name, (default, flag) in _OF_A_TARGET.items():
        if getattr(args, name) != default:
            raise UserError(f"{flag} without --target", expected="a target that it is about", mend=address.FORMS)
    if args.out is None:
        raise UserError("neither --out nor --target", expected="--out BUNDLE, --target TARGET, or both")
    bundle = pack(args.source, load(args.board or "host"), args.out)
    rows = [(row.scenario, row.precision, percent(row.miou)) for row in bundle.manifest.models]
    table(f"{bundle.manifest.name} for {bundle.manifest.board}", ("scenario", "precision", "mIoU on test (%)"), rows)
    say(kept(bundle))
    return 0


def _check(args: argparse.Namespace) -> None:
    if args.tiles < 1:
        raise UserError(f"--tiles is {args.tiles}", expected="1 or more")
    if not 0 <= args.wait <= 86_400:
        raise UserError(f"--wait is {args.wait:g}", expected="0 to 86400 seconds")
    if not 0 <= args.max_drop <= 100:
        raise UserError(f"--max-drop is {args.max_drop:g}", expected="0 to 100 points of mIoU")
    for name in ("describe", "report"):
        if getattr(args, name) is not None and args.data is None:
            raise UserError(f"--{name} without --eval", expected="the labelled data that it is about: --eval DATA")


def _words(args: argparse.Namespace) -> tuple[str, ...]:
    """The user's words, defaults left out, so that a message can repeat the command."""
    words = [shlex.quote(str(args.source))]
    for name in ("board", "out", "wheels"):
        if getattr(args, name) is not None:
            words += [f"--{name}", shlex.quote(str(getattr(args, name)))]
    words += address.words_of(args)
    for name, (default, flag) in _OF_A_TARGET.items():
        if getattr(args, name) != default:
            words += [flag, shlex.quote(f"{getattr(args, name)}")]
    return (*words, *(["--yes-workstation"] if args.yes_workstation else []))
