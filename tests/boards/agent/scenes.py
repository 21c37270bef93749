"""Connections that change a board, as requests in a row, and what the board may hold if one of them breaks off."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.boards.agent.bundles import Fake, bundle

OLD, NEW, OLDER = bundle("old"), bundle("new", shared=b"x"), bundle("older", shared=b"x")
NAMES = {OLD.id: "OLD", NEW.id: "NEW", OLDER.id: "OLDER"}
WHEEL = b"a wheel"
Request = dict[str, Any]


@dataclass
class Scene:
    """What a board had before, what is asked of it, and what it may hold afterwards."""

    name: str
    """For people."""
    before: Sequence[Sequence[Request | bytes]]
    """Whole connections that make the board what it is."""
    asked: Sequence[Request | bytes]
    """The connection that is stopped."""
    may: tuple[str, ...]
    """What may be current, whenever it is stopped."""
    ends: str
    """What is current where nothing stops it."""
    healthy: bool = True
    """Whether what is switched to flies well."""
    since: str = ""
    """The request from which on it is stopped, where all before is as in another scene."""


def upload(fake: Fake) -> list[Request | bytes]:
    """Send all of a bundle and the wheel, place it, install it, prove it."""
    asked: list[Request | bytes] = []
    for data in [*fake.files.values(), WHEEL]:
        asked += [{"ask": "put", "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}, data]
    wheel = ["w-1-py3-none-any.whl", hashlib.sha256(WHEEL).hexdigest(), len(WHEEL)]
    asked.append({"ask": "place", "id": fake.id, "files": fake.rows()})
    asked.append({"ask": "install", "id": fake.id, "wheels": [wheel]})
    return [*asked, {"ask": "prove", "id": fake.id}]


def deploy(fake: Fake, *args: str, rig: bytes = b"") -> list[Request | bytes]:
    """A whole deploy of `fake`."""
    sha = hashlib.sha256(rig).hexdigest()
    rigging: list[Request | bytes] = [{"ask": "put", "sha256": sha, "bytes": len(rig)}, rig]
    rigging.append({"ask": "rig", "sha256": sha, "bytes": len(rig)})
    service = {"ask": "service", "kind": "process", "args": list(args)}
    settle = {"ask": "settle", "wait_s": 5, "min_ticks": 1, "watch_s": 0}
    return [
        {"ask": "lock", "who": "test"},
        *upload(fake),
        *(rigging if rig else []),
        service,
        {"ask": "switch", "id": fake.id},
        settle,
    ]


_TWO = [deploy(OLDER), deploy(OLD)]
SCENES = (
    Scene("a first deploy", [], deploy(NEW), ("nothing", "NEW"), "NEW"),
    Scene("a new version over an old one", _TWO, deploy(NEW, "--source", "a=b", rig=b"new"), ("OLD", "NEW"), "NEW"),
    Scene("a new version that does not fly well", _TWO, deploy(NEW), ("OLD", "NEW"), "OLD", False, "service"),
    Scene("a rollback", [deploy(NEW), deploy(OLD)], [{"ask": "rollback"}], ("OLD", "NEW"), "NEW"),
    Scene("a prune", [deploy(OLDER), deploy(NEW), deploy(OLD)], [{"ask": "prune", "keep": 0}], ("OLD",), "OLD"),
    Scene("the version that flies, sent again", [deploy(NEW)], deploy(NEW), ("NEW",), "NEW", since="place"),
)
