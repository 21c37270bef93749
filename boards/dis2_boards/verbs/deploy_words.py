"""The words of `dis2-edge deploy`: what they are, which go together, and the order that they make."""

from __future__ import annotations

import argparse
import shlex
from dataclasses import fields
from pathlib import Path

from dis2_boards.agent.services import KINDS
from dis2_boards.deployment.order import Order
from dis2_boards.packing.pins import check_tag
from dis2_boards.targets import address
from dis2_edge.engine_names import WANTED
from dis2_edge.errors import UserError

_OF_PACKING = {"board": "--board", "out": "--out", "wheels": "--wheels", "kernels": "--kernels", "key": "--key"}
_OF_A_TARGET = {
    "engine": "--engine",
    "service": "--service",
    "rig": "--rig",
    "data": "--eval",
    "describe": "--describe",
    "split": "--split",
    "tiles": "--tiles",
    "report": "--report",
    "max_drop": "--max-drop",
    "limit": "--limit",
    "settle": "--settle",
    "wait": "--wait",
    "record": "--record",
}
"""Arguments that mean something with `--target` only, and how they are written."""
_DEFAULTS = {row.name.removesuffix("_s"): row.default for row in fields(Order)}
"""What an argument is where it was not given: the order's own default."""
_RANGES = {
    "tiles": (1, 4096, "tiles"),
    "max_drop": (0, 100, "points of mIoU"),
    "limit": (1, 86_400, "seconds"),
    "settle": (1, 3600, "seconds"),
    "wait": (0, 86_400, "seconds"),
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments, in groups."""
    parser.add_argument("source", type=Path, metavar="QRUN", help="folder that `dis2-edge quantize` made, or a bundle")
    address.configure(parser, without="none: the bundle is made and proven here, with --out")
    _of_packing(parser.add_argument_group("packing"))
    _of_the_board(parser.add_argument_group("on the board"))
    _of_accuracy(parser.add_argument_group("accuracy, measured by the board's own engine"))
    parser.set_defaults(**{name: _DEFAULTS.get(name) for name in _OF_A_TARGET})


def check(args: argparse.Namespace) -> None:
    """Refuse words that are out of range, or mean nothing without another one."""
    for name, (low, high, unit) in _RANGES.items():
        if not low <= getattr(args, name) <= high:
            raise UserError(f"{_OF_A_TARGET[name]} is {getattr(args, name):g}", expected=f"{low} to {high} {unit}")
    for name in ("describe", "split", "tiles", "report"):
        if getattr(args, name) != _DEFAULTS[name] and args.data is None:
            flag = _OF_A_TARGET[name]
            raise UserError(f"{flag} without --eval", expected="the labelled data that it is about: --eval DATA")
    if args.target is None and args.fleet is None:
        for name, flag in _OF_A_TARGET.items():
            if getattr(args, name) != _DEFAULTS.get(name):
                raise UserError(f"{flag} without --target", expected="the board that it is about", mend=address.FORMS)


def tags(args: argparse.Namespace) -> tuple[str, ...]:
    """The tags that were named, each one that packages are pinned for."""
    return tuple(check_tag(tag.strip()) for tag in args.tags.split(",")) if args.tags else ()


def extras(args: argparse.Namespace) -> tuple[str, ...]:
    """The groups of packages that go along beside what every board has."""
    return ("stream",) if args.stream else ()


def order_of(args: argparse.Namespace) -> Order:
    """What `args` ask for."""
    return Order(
        source=args.source,
        target=address.target_of(args),
        board=args.board,
        out=args.out,
        wheels=args.wheels,
        tags=tags(args),
        extras=extras(args),
        kernels=args.kernels,
        key=args.key,
        engine=args.engine,
        service=args.service,
        rig=args.rig,
        data=args.data,
        describe=args.describe,
        split=args.split,
        tiles=args.tiles,
        report=args.report,
        wait_s=args.wait,
        settle_s=args.settle,
        limit_s=args.limit,
        max_drop=args.max_drop,
        workstation=args.yes_workstation,
        only_new=args.unless_flying,
        words=words_of(args),
    )


def words_of(args: argparse.Namespace) -> tuple[str, ...]:
    """The user's words, defaults left out, so that a message can repeat the command."""
    words = [shlex.quote(str(args.source)), *address.words_of(args)]
    for name, flag in _OF_PACKING.items():
        if getattr(args, name) is not None:
            words += [flag, shlex.quote(str(getattr(args, name)))]
    words += [*(["--tags", args.tags] if args.tags else []), *(["--stream"] if args.stream else [])]
    for name, flag in _OF_A_TARGET.items():
        if getattr(args, name) != _DEFAULTS.get(name) and name != "record":
            words += [flag, shlex.quote(f"{getattr(args, name)}")]
    return (*words, *(["--yes-workstation"] if args.yes_workstation else []))


def _of_packing(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--board", help="name or file of a board (default: what the target is found to be; else host)")
    group.add_argument("--out", type=Path, metavar="BUNDLE", help="folder of the new bundle (default: none is kept)")
    group.add_argument(
        "--wheels", type=Path, metavar="DIR", help="stock of wheels (default: ~/.cache/dis2-edge/wheels)"
    )
    group.add_argument(
        "--tags",
        default="",
        metavar="TAG,...",
        help="lock packages for these, as cp310-aarch64 (default: the target's; else those in the stock)",
    )
    group.add_argument(
        "--stream", action="store_true", help="packages for video, recordings and overlays too, 80 MB and more to send"
    )
    group.add_argument(
        "--kernels", type=Path, metavar="DIR", help="folder of built CUDA kernels (default: built here, where nvcc is)"
    )
    group.add_argument("--key", type=Path, metavar="FILE", help="private key that signs the bundle (dis2-edge key new)")


def _of_the_board(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--engine", choices=WANTED, help="what is to fly there (%(default)s)")
    group.add_argument("--service", choices=KINDS, help="how it is started there (default: as it was)")
    group.add_argument("--rig", type=Path, metavar="FILE", help="the aircraft's rig (default: as it was)")
    group.add_argument("--wait", type=float, metavar="S", help="seconds to wait for another deploy (%(default)g)")
    group.add_argument("--limit", type=float, metavar="S", help="seconds that proving may take (%(default)g)")
    group.add_argument("--settle", type=float, metavar="S", help="seconds to show that it is well (%(default)g)")
    group.add_argument("--yes-workstation", action="store_true", help="the target is a workstation, and is meant")
    group.add_argument("--unless-flying", action="store_true", help="touch nothing where the bundle flies already")
    group.add_argument("--record", type=Path, metavar="FILE", help="write what became of it there, as JSON")


def _of_accuracy(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--eval", type=Path, dest="data", metavar="DATA", help="labelled data of which tiles are sent")
    group.add_argument("--describe", type=Path, metavar="FILE", help="its description (default: DATA/dataset.toml)")
    group.add_argument("--split", help="its split (%(default)s)")
    group.add_argument("--tiles", type=int, metavar="N", help="how many tiles are sent (%(default)s)")
    group.add_argument("--report", type=Path, metavar="DIR", help="folder for the board's report (default: none)")
    group.add_argument("--max-drop", type=float, help="points of mIoU that the faster may lose (%(default)g)")
