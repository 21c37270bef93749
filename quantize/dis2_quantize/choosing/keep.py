"""Read the recipe's `keep_float`: which blocks stay in floating point in which scenario."""

from __future__ import annotations

from collections.abc import Sequence

from dis2_edge.errors import RecipeError
from dis2_edge.settings import nearest
from dis2_train.networks.seam import Network

Kept = tuple[str, ...]
"""Names of blocks that stay in floating point, in the network's order."""
SEPARATOR = ":"


def kept_blocks(entries: Sequence[str], network: Network) -> dict[str, Kept]:
    """For each scenario of `network` the blocks that `entries` keep, in the network's order.

    An entry is `BLOCK`, which holds in every scenario that has the block, or `SCENARIO:BLOCK`. Raises RecipeError for a
    scenario or block that is unknown (with the nearest one), and where no block of a scenario would be an integer.
    """
    blocks = {scenario: network.blocks(scenario) for scenario in network.task.scenarios}
    wanted: set[tuple[str, str]] = set()
    for entry in entries:
        wanted |= _meant(entry, blocks)
    kept = {scenario: tuple(name for name in names if (scenario, name) in wanted) for scenario, names in blocks.items()}
    for scenario, names in kept.items():
        if names and names == blocks[scenario]:
            found = f"keep_float leaves no block of {scenario} in INT8"
            raise RecipeError(found, expected="one or more", mend="leave one out, or quantize with --precision fp32")
    return kept


def entry_of(scenario: str, block: str) -> str:
    """The entry of `keep_float` that keeps `block` in `scenario` alone."""
    return f"{scenario}{SEPARATOR}{block}"


def _meant(entry: str, blocks: dict[str, Kept]) -> set[tuple[str, str]]:
    scenario, separator, block = entry.rpartition(SEPARATOR)
    if separator and scenario not in blocks:
        raise RecipeError(f"keep_float: unknown scenario {scenario!r} in {entry!r}", mend=nearest(scenario, blocks))
    asked = [scenario] if separator else list(blocks)
    found = {(name, block) for name in asked if block in blocks[name]}
    if not found:
        where = f" of {scenario}" if separator else ""
        known = {known for name in asked for known in blocks[name]}
        raise RecipeError(f"keep_float: unknown block {block!r}{where}", mend=nearest(block, known))
    return found
