"""`trust` and `trusted`: the keys that this board takes bundles of."""

from __future__ import annotations

from typing import Any

from dis2_boards.agent import disk, judging
from dis2_boards.agent.fault import RefusedError
from dis2_boards.agent.session import Session


def trust(session: Session, *, name: str, key: str) -> dict[str, Any]:
    """Let the board trust `key` (base64 of 32 bytes) as `name`; from the first on, only signed bundles are taken."""
    places = session.at()
    try:
        parsed = judging.parsed_key(key)
    except ValueError as error:
        mend = "give what dis2-edge key show prints"
        raise RefusedError(f"key {name} is {error}", expected="32 bytes in base64", mend=mend) from error
    known = judging.keys(places)
    if known.get(name, parsed) != parsed:
        raise RefusedError(f"another key is trusted as {name}", mend="give this one another name")
    if name not in known:
        disk.write_whole(places.trusted / f"{name}.pub", f"{key.strip()}\n".encode("ascii"))
    return {"trusted": sorted({*known, name})}


def trusted(session: Session) -> dict[str, Any]:
    """The names of the trusted keys, with what signatures call them."""
    known = judging.keys(session.at())
    return {"trusted": list(known), "ids": {name: judging.key_id(key) for name, key in known.items()}}
