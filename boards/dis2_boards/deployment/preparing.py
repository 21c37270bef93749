"""All that comes before a board is changed: is it fit, is there a bundle for it, what would travel."""

from __future__ import annotations

from pathlib import Path

from dis2_boards.deployment import steps
from dis2_boards.deployment.attempt import Attempt
from dis2_boards.deployment.bundle_checks import BUNDLE_CHECKS, remarks
from dis2_boards.deployment.checks import BundleCase, Case, hold
from dis2_boards.deployment.facts import facts_of
from dis2_boards.deployment.machine_checks import MACHINE_CHECKS
from dis2_boards.deployment.order import Order
from dis2_boards.deployment.packed import packed
from dis2_boards.deployment.shipment import Shipment, shipment
from dis2_boards.packing import quantized
from dis2_boards.packing.locks import read_lock
from dis2_boards.packing.stock import folder_of, path_of
from dis2_boards.targets.session import Session
from dis2_boards.trust.keys import load_private
from dis2_edge.bundle import MANIFEST, Bundle
from dis2_edge.dataset import open_dataset
from dis2_edge.errors import RecipeError
from dis2_edge.files import read_toml
from dis2_edge.labelled import Images
from dis2_edge.tiles_file import write_tiles


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


def checked(attempt: Attempt, session: Session, scratch: Path) -> BundleCase:
    """The bundle on its board, once everything that must hold there does."""
    facts = facts_of(session.hello)
    attempt.facts = facts
    hold(Case(attempt.order, facts, session.ahead_s), MACHINE_CHECKS)
    with attempt.step(steps.PACK):
        bundle, board = packed(attempt.order, scratch, facts.fitting, (facts.tag, *attempt.order.tags))
    with attempt.step(steps.CHECK):
        keys = frozenset(session.ask("trusted").get("ids", {}).values())
        case = BundleCase(attempt.order, facts, session.ahead_s, bundle, board, keys)
        hold(case, BUNDLE_CHECKS)
    for text in remarks(case):
        attempt.telling.remark(text)
    return case


def loaded(attempt: Attempt, case: BundleCase, scratch: Path) -> Shipment:
    """What travels for it."""
    tiles = _tiles(attempt, case.bundle, scratch / "tiles.npz")
    wheels = tuple(read_lock(case.bundle, case.facts.tag))
    stock = folder_of(attempt.order.wheels)
    paths = {wheel.sha256: path_of(stock, wheel) for wheel in wheels}
    return shipment(case.bundle, wheels, paths, tiles, attempt.order.rig)


def _tiles(attempt: Attempt, bundle: Bundle, out: Path) -> Path | None:
    """Labelled tiles on the bundle's grid, spread over the split, in one file that the board measures accuracy on."""
    order = attempt.order
    if order.data is None:
        return None
    with attempt.step(steps.TILES):
        images = Images(bundle, open_dataset(order.data, order.describe), order.split, order.tiles)
        write_tiles(out, (images.read(name) for name in images.names), bundle.manifest.task)
    return out
