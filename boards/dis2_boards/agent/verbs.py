"""The table of requests: what each is called, which keys it takes, and whether it changes the board."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dis2_boards.agent import (
    environment,
    fetching,
    hello,
    placing,
    proving,
    pruning,
    rigging,
    services,
    settling,
    starting,
    status,
    stock,
    switching,
    trusting,
)
from dis2_boards.agent.asks import HASH, IDENTITY, SIZE, Key, listed, maybe, number, row, table, text, truth, whole
from dis2_boards.agent.session import Session

Note = Callable[[dict[str, Any], dict[str, Any]], str]
_WHEEL = text(r"[A-Za-z0-9_][A-Za-z0-9._+!-]*\.whl", 200)


@dataclass(frozen=True)
class Verb:
    """One request."""

    act: Callable[..., dict[str, Any] | None]
    """Does it; None if it answered by itself."""
    keys: dict[str, Key]
    """What it takes."""
    changes: bool = False
    """Whether it needs the lock, which it takes if the session has it not."""
    noted: Note | None = None
    """The line of deploy.log, from answer and request."""


def lock(session: Session, *, wait_s: float, who: str) -> dict[str, Any]:
    """Hold the board until the end of the connection."""
    session.who = who
    session.hold(wait_s)
    return {}


VERBS: dict[str, Verb] = {
    "hello": Verb(
        hello.hello,
        {"root": Key(text(limit=300)), "now_s": Key(number(0, 1e11), 0.0), "version": Key(text(limit=100), "")},
    ),
    "lock": Verb(lock, {"wait_s": Key(number(0, 86_400), 0.0), "who": Key(text(limit=200), "")}),
    "have": Verb(stock.have, {"files": Key(listed(row(HASH, SIZE)))}),
    "put": Verb(stock.put, {"sha256": Key(HASH), "bytes": Key(SIZE), "offset": Key(SIZE, 0)}),
    "place": Verb(
        placing.place,
        {"id": Key(IDENTITY), "files": Key(table(text(limit=300), row(HASH, SIZE)))},
        changes=True,
        noted=lambda answer, ask: f"{ask['id']}, signed by {answer['signed_by'] or 'nobody that this board asks for'}",
    ),
    "install": Verb(
        environment.install,
        {
            "id": Key(IDENTITY),
            "wheels": Key(listed(row(_WHEEL, HASH, SIZE), 1000)),
            "system_packages": Key(truth, False),
        },
        changes=True,
        noted=lambda answer, ask: f"{ask['id']}: {len(ask['wheels'])} wheels, {answer['seconds']} s",
    ),
    "prove": Verb(
        proving.prove,
        {
            "id": Key(IDENTITY),
            "engine": Key(text("|".join(proving.ENGINES)), "auto"),
            "limit_s": Key(number(0, 86_400), 1800.0),
            "max_drop": Key(number(0, 100), 0.5),
            "tiles": Key(maybe(HASH), None),
        },
        changes=True,
        noted=lambda answer, ask: f"{ask['id']}: {answer['proof'].get('chosen') or answer['proof'].get('why')}",
    ),
    "switch": Verb(
        switching.switch,
        {"id": Key(IDENTITY)},
        changes=True,
        noted=lambda answer, ask: f"{answer['before']} -> {ask['id']}",
    ),
    "settle": Verb(
        settling.settle,
        {
            "wait_s": Key(number(0, 3600), 30.0),
            "min_ticks": Key(whole(0, 1_000_000), 10),
            "watch_s": Key(maybe(number(0, 3600)), None),
        },
        changes=True,
        noted=lambda answer, _: f"{'kept' if answer['kept'] else 'went back'}: {answer['why']}",
    ),
    "service": Verb(
        starting.service,
        {
            "kind": Key(text("|".join(services.KINDS))),
            "command": Key(maybe(listed(text(), 200)), None),
            "args": Key(listed(text(), 200), []),
            "sources": Key(table(text("[^=\x00-\x1f]+", 100), text(), 50), {}),
        },
        changes=True,
        noted=lambda _, ask: str(ask["kind"]),
    ),
    "rig": Verb(
        rigging.rig,
        {"sha256": Key(HASH), "bytes": Key(SIZE)},
        changes=True,
        noted=lambda answer, ask: f"{ask['sha256'][:12]}{'' if answer['changed'] else ', as before'}",
    ),
    "trust": Verb(
        trusting.trust,
        {"name": Key(text(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", 64)), "key": Key(text(limit=100))},
        changes=True,
        noted=lambda _, ask: f"{ask['name']} {ask['key']}",
    ),
    "trusted": Verb(trusting.trusted, {}),
    "prune": Verb(
        pruning.prune,
        {"keep": Key(whole(0, 1000), 2)},
        changes=True,
        noted=lambda answer, _: f"{len(answer['removed'])} versions, {answer['freed_bytes']} bytes",
    ),
    "fetch": Verb(fetching.fetch, {"path": Key(text(limit=300))}),
    "rollback": Verb(
        switching.rollback,
        {"to": Key(maybe(IDENTITY), None)},
        changes=True,
        noted=lambda answer, _: f"{answer['before']} -> {answer['current']}",
    ),
    "status": Verb(status.status, {}),
}
