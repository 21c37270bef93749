"""`dis2-edge rollback`: let a board fly the version before, or one that is named."""

from __future__ import annotations

import argparse
import re

from dis2_boards.deployment.changing import hold
from dis2_boards.targets import address
from dis2_edge.errors import BoardError
from dis2_edge.terminal import say

EXAMPLE = "dis2-edge rollback --target ssh://pilot@drone.local"
_ID = re.compile(r"[0-9a-f]{12}")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("version", nargs="?", metavar="ID", help="the version to fly (default: the one before)")
    address.configure(parser)
    parser.add_argument("--wait", type=float, default=0.0, metavar="S", help="seconds to wait for a deploy (0)")


def run(args: argparse.Namespace) -> int:
    """Go back, then say from what to what."""
    target = address.target_of(args)
    if args.version is not None and not _ID.fullmatch(args.version):
        mend = " ".join(["list the versions with: dis2-edge status", *target.words])
        raise BoardError(f"{args.version!r} is no version's id", expected="12 hexadecimal digits", mend=mend)
    with target.open() as session:
        hold(target, session, args.wait)
        answer = session.ask("rollback", to=args.version)
    say(f"{target.name} runs {answer['current']}; before it was {answer['before'] or 'nothing'}")
    return 0
