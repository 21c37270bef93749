"""`dis2-edge deploy`: from a quantised run to a proven bundle, and on to a board that flies it."""

from __future__ import annotations

import argparse

from dis2_boards.deployment import recorded
from dis2_boards.deployment.deploying import deploy
from dis2_boards.deployment.summary import show
from dis2_boards.deployment.telling import Spoken
from dis2_boards.packing.locks import tags_of
from dis2_boards.packing.pack import pack
from dis2_boards.packing.packages import tags_in_stock
from dis2_boards.packing.proving import kept
from dis2_boards.packing.stock import folder_of
from dis2_boards.profile import load
from dis2_boards.targets import address
from dis2_boards.trust.keys import load_private
from dis2_boards.verbs import deploy_fleet, deploy_words
from dis2_boards.verbs.deploy_words import check, extras, order_of, tags
from dis2_edge.errors import UserError
from dis2_edge.quantities import percent
from dis2_edge.terminal import say, table

EXAMPLE = "dis2-edge deploy runs/ombria-int8 --target ssh://pilot@drone.local"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    deploy_words.configure(parser)
    deploy_fleet.configure(parser)


def run(args: argparse.Namespace) -> int:
    """Deploy, then say what flies, or what is in the bundle."""
    check(args)
    if deploy_fleet.wanted(args):
        return deploy_fleet.run(args)
    if args.target is None:
        return _pack_only(args)
    order, spoken = order_of(args), Spoken()
    try:
        with recorded.kept(args.record) as record:
            done = deploy(order, spoken)
            record.done(done)
    finally:
        spoken.close()
    show(done, order)
    return 0


def _pack_only(args: argparse.Namespace) -> int:
    if args.out is None:
        raise UserError("neither --out nor --target", expected=f"--out BUNDLE, or --target {address.FORMS}, or both")
    board, key = load(args.board or "host"), load_private(args.key) if args.key else None
    locked = tags(args) or tags_in_stock(board, folder_of(args.wheels))
    bundle = pack(
        args.source,
        board,
        args.out,
        key=key,
        tags=locked,
        wheels=args.wheels,
        extras=extras(args),
        kernels=args.kernels,
    )
    rows = [(row.scenario, row.precision, percent(row.miou)) for row in bundle.manifest.models]
    table(f"{bundle.manifest.name} for {bundle.manifest.board}", ("scenario", "precision", "mIoU on test (%)"), rows)
    say(kept(bundle))
    say(f"packages for {', '.join(tags_of(bundle)) or 'no Python: a deploy needs some, see --tags'}")
    return 0
