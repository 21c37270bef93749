"""`dis2-edge rollback`: let a board fly the version before, or one that is named."""

from __future__ import annotations

import argparse

from dis2_boards.deployment.changing import who
from dis2_boards.targets import address
from dis2_edge.terminal import say

EXAMPLE = "dis2-edge rollback --target ssh://pilot@drone.local"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("version", nargs="?", metavar="ID", help="the version to fly (default: the one before)")
    address.configure(parser)
    parser.add_argument("--wait", type=float, default=0.0, metavar="S", help="seconds to wait for a deploy (0)")


def run(args: argparse.Namespace) -> int:
    """Go back, then say from what to what."""
    target = address.target_of(args)
    with target.open() as session:
        session.ask("lock", wait_s=args.wait, who=who())
        answer = session.ask("rollback", to=args.version)
    say(f"{target.name} runs {answer['current']}; before it was {answer['before'] or 'nothing'}")
    return 0
