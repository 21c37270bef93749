"""The launcher that is written into each version: launcher.py of this package, as bytes."""

from __future__ import annotations

import pkgutil

from dis2_boards.agent.fault import RefusedError


def text() -> bytes:
    """The launcher's source."""
    found = pkgutil.get_data("dis2_boards.agent", "launcher.py")
    if found is None:
        raise RefusedError("the agent was carried without its launcher")
    return found
