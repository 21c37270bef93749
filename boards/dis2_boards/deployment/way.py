"""Where a deploy is: its step, what it knows of the board so far, and what that means if it ends here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from dis2_boards.deployment.facts import Facts
from dis2_boards.deployment.order import Order
from dis2_boards.deployment.steps import HELLO, Step
from dis2_boards.deployment.telling import Telling, told
from dis2_boards.targets.session import Session
from dis2_edge.errors import BoardError, LostError, UserError


@dataclass
class Way:
    """One deploy on its way."""

    order: Order
    """What is asked for."""
    telling: Telling
    """Who hears of it."""
    at: Step = HELLO
    """The step that was begun last."""
    facts: Facts | None = None
    """The board, once it was greeted."""
    changes: bool = False
    """Whether anything was changed there yet."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Time of each step that is done."""

    @contextmanager
    def step(self, step: Step) -> Iterator[None]:
        """Do `step` within."""
        self.at = step
        with told(self.telling, step, self.seconds):
            yield

    def still(self) -> str:
        """What the board runs, as long as nothing was switched."""
        current = self.facts.current if self.facts else None
        return f"{self.order.target.name} still runs {current}" if current else "nothing runs there, as before"


def aside(way: Way, error: UserError) -> UserError:
    """`error`, with what the board runs now."""
    if not way.changes:
        return error
    state = way.still() if way.at.after == "the old version" else asked_anew(way)
    return BoardError(
        error.found, expected=error.expected, mend="; ".join(part for part in (error.mend, state) if part)
    )


def taken(way: Way, error: LostError) -> UserError:
    """`error` of a connection that was taken: what the board runs, asked anew if it can be, and how to go on."""
    if way.facts is None:
        return error
    return LostError(
        f"{error.found}, while {way.at.sentence}",
        expected=error.expected,
        mend=f"{asked_anew(way)}; the same command goes on where it stopped: {way.order.again()}",
    )


def interrupted(way: Way) -> str:
    """What is left of a deploy that the user ended."""
    if way.facts is None or way.at.after == "the old version":
        state = way.still() if way.facts else "nothing was sent"
    else:
        state = f"the board undoes a switch that nobody judged; see: {way.order.ask('status')}"
    return f"interrupted while {way.at.sentence}: {state}; the same command goes on: {way.order.again()}"


def asked_anew(way: Way) -> str:
    """What the board runs, from a new connection; where none can be had, what it must be."""
    name = way.order.target.name
    try:
        with way.order.target.open() as session:
            return f"asked anew: {running(name, session)}"
    except UserError:
        if way.at.after == "the old version":
            return f"{name} cannot be asked now; nothing was switched, so {way.still()}"
        return f"{name} cannot be asked now; it runs {way.at.after}; see: {way.order.ask('status')}"


def running(name: str, session: Session) -> str:
    """What `status` says, as a sentence."""
    status = session.ask("status")
    current, pending = status.get("current"), status.get("pending")
    said = f"{name} runs {current}" if current else f"nothing runs on {name}"
    return f"{said}; a switch to {pending} is not settled" if pending else said
