"""`dis2-edge prune`: remove old versions from a board, and what only they used."""

from __future__ import annotations

import argparse

from dis2_boards.deployment.changing import hold
from dis2_boards.targets import address
from dis2_edge.errors import UserError
from dis2_edge.quantities import megabytes
from dis2_edge.terminal import say

EXAMPLE = "dis2-edge prune --keep 2 --target ssh://pilot@drone.local"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("--keep", type=int, default=2, help="newest versions to keep beside what flies or flew (2)")
    address.configure(parser)
    parser.add_argument("--wait", type=float, default=0.0, metavar="S", help="seconds to wait for a deploy (0)")


def run(args: argparse.Namespace) -> int:
    """Prune, then say what went."""
    if args.keep < 0:
        raise UserError(f"--keep is {args.keep}", expected="0 or more")
    target = address.target_of(args)
    with target.open() as session:
        hold(target, session, args.wait)
        answer = session.ask("prune", keep=args.keep)
    removed = answer.get("removed", [])
    names = f"versions {', '.join(removed)}" if removed else "no version"
    say(f"{target.name}: removed {names}; {megabytes(int(answer.get('freed_bytes', 0)))} are free again")
    return 0
