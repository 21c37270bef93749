"""All that comes before a board is changed: is it fit, is there a bundle for it, what would travel."""

from __future__ import annotations

from pathlib import Path

from dis2_boards.deployment import steps
from dis2_boards.deployment.bundle_checks import BUNDLE_CHECKS, remarks
from dis2_boards.deployment.case import BundleCase, Case, hold
from dis2_boards.deployment.facts import facts_of
from dis2_boards.deployment.labelled_tiles import make_tiles
from dis2_boards.deployment.machine_checks import MACHINE_CHECKS
from dis2_boards.deployment.order import Order
from dis2_boards.deployment.packed import packed
from dis2_boards.deployment.shipment import Shipment, shipment
from dis2_boards.deployment.way import Way
from dis2_boards.packing import quantized
from dis2_boards.packing.locks import read_lock
from dis2_boards.packing.stock import default_folder, path_of
from dis2_boards.targets.session import Session
from dis2_boards.trust.keys import load_private
from dis2_edge.bundle import MANIFEST, Bundle
from dis2_edge.dataset import open_dataset
from dis2_edge.errors import RecipeError
from dis2_edge.files import read_toml


def look_here(order: Order) -> None:
    """Refuse what this computer alone can see to be wrong, before anybody is connected to."""
    if not (order.source / MANIFEST).is_file():
        quantized.read(order.source)
    if order.rig is not None:
        read_toml(order.rig, RecipeError)  # the board judges the rest: it knows its sensors
    if order.key is not None and not order.key.is_file():
        load_private(order.key)  # says so; one that is there is read when it signs, as that may ask for its passphrase
    if order.data is not None:
        open_dataset(order.data, order.describe)


def checked(way: Way, session: Session, scratch: Path) -> BundleCase:
    """The bundle on its board, once everything that must hold there does."""
    facts = facts_of(session.hello)
    way.facts = facts
    hold(Case(way.order, facts, session.ahead_s), MACHINE_CHECKS)
    with way.step(steps.PACK):
        bundle, board = packed(way.order, scratch, facts.fitting, (facts.tag, *way.order.tags))
    with way.step(steps.CHECK):
        keys = frozenset(session.ask("trusted").get("ids", {}).values())
        case = BundleCase(way.order, facts, session.ahead_s, bundle, board, keys)
        hold(case, BUNDLE_CHECKS)
    for text in remarks(case):
        way.telling.remark(text)
    return case


def loaded(way: Way, case: BundleCase, scratch: Path) -> Shipment:
    """What travels for it."""
    tiles = None
    if way.order.data is not None:
        with way.step(steps.TILES):
            tiles = make_tiles(way.order, case.bundle, scratch / "tiles.npz")
    return _shipment(way, case.bundle, case.facts.tag, tiles)


def _shipment(way: Way, bundle: Bundle, tag: str, tiles: Path | None) -> Shipment:
    wheels = tuple(read_lock(bundle, tag))
    stock = way.order.wheels or default_folder()
    paths = {wheel.sha256: path_of(stock, wheel) for wheel in wheels}
    return shipment(bundle, wheels, paths, tiles, way.order.rig)
