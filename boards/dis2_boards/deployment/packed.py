"""The bundle of an order: one that is given is taken as it is, a quantised run is packed for the board at hand."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from dis2_boards.deployment.order import Order
from dis2_boards.packing.pack import pack
from dis2_boards.profile import Board, known_boards, load
from dis2_boards.trust.keys import load_private
from dis2_boards.trust.signing import sign
from dis2_edge import bundle as bundles
from dis2_edge.bundle import Bundle
from dis2_edge.errors import BoardError, StorageError
from dis2_edge.files import new_folder


def packed(order: Order, scratch: Path, found: str, tags: Sequence[str]) -> tuple[Bundle, Board | None]:
    """The bundle, every byte of it proven, and the board that it is for; None for a board file that is not at hand.

    A quantised run is packed for the board `found` unless the order names one, with packages for `tags`. `scratch` is
    an empty folder that outlives the deploy.
    """
    if (order.source / bundles.MANIFEST).is_file():
        bundle, known = _given(order)
        return (_signed(bundle, order.key, scratch) if order.key else bundle), known
    board = load(order.board or found)
    key = load_private(order.key) if order.key else None
    bundle = pack(
        order.source,
        board,
        scratch / "bundle",
        key=key,
        tags=tuple(dict.fromkeys(tags)),
        wheels=order.wheels,
        extras=order.extras,
        kernels=order.kernels,
    )
    return (_kept(bundle, order.out) if order.out else bundle), board


def _given(order: Order) -> tuple[Bundle, Board | None]:
    bundle = bundles.read(order.source)
    bundles.verify_hashes(bundle)
    name = bundle.manifest.board
    if order.board is None:
        return bundle, load(name) if name in known_boards() else None
    board = load(order.board)
    if board.name != name:
        raise BoardError(
            f"{order.source} is a bundle for {name}, and --board says {board.name}",
            expected="a bundle for that board",
            mend=f"leave --board out, or deploy the quantised run: dis2-edge deploy QRUN --board {order.board}",
        )
    return bundle, board


def _signed(bundle: Bundle, key: Path, scratch: Path) -> Bundle:
    """A copy of `bundle` with a signature: what the user gave stays as it is."""
    secret = load_private(key)
    shutil.copytree(bundle.path, scratch / "bundle")
    return sign(scratch / "bundle", secret)


def _kept(bundle: Bundle, out: Path) -> Bundle:
    """`bundle` at `out`. The same command again finds it there: equal runs give equal bundles."""
    if (out / bundles.MANIFEST).is_file():
        there = bundles.read(out)
        if there.digest != bundle.digest:
            raise StorageError(
                f"{out} holds another bundle ({there.id})", expected=bundle.id, mend="choose another --out or remove it"
            )
        return there
    with new_folder(out) as folder:
        shutil.copytree(bundle.path, folder, dirs_exist_ok=True)
    return bundles.read(out)
