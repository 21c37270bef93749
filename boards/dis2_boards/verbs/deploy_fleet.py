"""`dis2-edge deploy` to more than one board: a fleet that is rolled out, or an archive for somebody else's updater."""

from __future__ import annotations

import argparse
import contextlib
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path

from dis2_boards.deployment.packed import packed
from dis2_boards.fleet import plan, playbook
from dis2_boards.fleet.roll_out import roll_out
from dis2_boards.packing.packages import tags_in_stock, tags_of_board
from dis2_boards.packing.stock import folder_of
from dis2_boards.profile import load
from dis2_boards.updaters import archive
from dis2_boards.verbs.deploy_words import order_of, tags, words_of
from dis2_edge import bundle as bundles
from dis2_edge.bundle import Bundle
from dis2_edge.errors import UserError
from dis2_edge.files import check_free
from dis2_edge.quantities import megabytes
from dis2_edge.terminal import say

_ALONE = {"target": "--target", "root": "--root", "report": "--report", "record": "--record", "rig": "--rig"}
"""What is about one board, and so stands in the fleet's file, or is asked for board by board."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    group = parser.add_argument_group("many boards")
    group.add_argument("--fleet", type=Path, metavar="FILE", help="roll out to the boards of this file, canary first")
    group.add_argument("--archive", type=Path, metavar="FILE", help="write a .tar for an updater: Mender, RAUC")


def wanted(args: argparse.Namespace) -> bool:
    """Whether `args` ask for more than one board."""
    return args.fleet is not None or args.archive is not None


def run(args: argparse.Namespace) -> int:
    """Roll out, or write the archive; whatever can be refused is refused before anything is packed."""
    _check(args)
    if args.archive is not None:
        check_free(args.archive)
        with _bundle(args) as bundle:
            archive.write(bundle, folder_of(args.wheels), args.archive)
        say(f"archive: {args.archive} (bundle {bundle.id}, {megabytes(args.archive.stat().st_size)})")
        return 0
    fleet = plan.load(args.fleet)
    playbook.find()
    with _bundle(args) as bundle:
        return roll_out(bundle.path, fleet, _words(args))


def _check(args: argparse.Namespace) -> None:
    if args.fleet is not None and args.archive is not None:
        raise UserError("--fleet and --archive", expected="one of the two", mend="run the command once for each")
    flag = "--fleet" if args.fleet is not None else "--archive"
    for name, alone in _ALONE.items():
        if getattr(args, name):
            mend = f"leave {alone} out, or {flag}; a fleet's file has target, root, rig and service of each board"
            raise UserError(f"{alone} with {flag}", expected="one of the two", mend=mend)


@contextlib.contextmanager
def _bundle(args: argparse.Namespace) -> Iterator[Bundle]:
    """The bundle that was given, or one packed for the board and the Pythons that were named."""
    with tempfile.TemporaryDirectory(prefix="dis2-edge-") as scratch:
        locked = () if (args.source / bundles.MANIFEST).is_file() else _tags(args)
        bundle, _ = packed(order_of(args), Path(scratch), args.board or "", locked)
        yield bundle


def _tags(args: argparse.Namespace) -> tuple[str, ...]:
    """The Pythons and machines to lock packages for: no board is asked, as there are many, or none at hand."""
    if args.board is None:
        raise UserError("no board is named", expected="the one to pack for", mend="--board NAME: dis2-edge boards")
    board = load(args.board)
    found = tags(args) or tags_in_stock(board, folder_of(args.wheels))
    if not found:
        known = ",".join(tags_of_board(board))
        raise UserError(
            "nothing says which Python the boards have", expected="--tags, of these", mend=f"--tags {known}"
        )
    return found


def _words(args: argparse.Namespace) -> tuple[str, ...]:
    """What was asked for that holds on every board, as `deploy` takes it."""
    own = {"board": None, "out": None, "key": None, "tags": "", "target": None, "root": "", "report": None}
    return tuple(shlex.split(" ".join(words_of(argparse.Namespace(**{**vars(args), **own})))))[1:]
