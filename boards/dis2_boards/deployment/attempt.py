"""Where a deploy is: its step, what it knows of the board so far, and what that means if it ends here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from dis2_boards.deployment.facts import Facts
from dis2_boards.deployment.order import Order
from dis2_boards.deployment.steps import HELLO, Step
from dis2_boards.deployment.telling import Telling, timed
from dis2_boards.targets.session import Session
from dis2_edge.errors import BoardError, LostError, UserError


@dataclass
class Attempt:
    """One deploy that goes on."""

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
        with timed(self.telling, step, self.seconds):
            yield

    def still_runs(self) -> str:
        """What the board runs, as long as nothing was switched."""
        current = self.facts.current if self.facts else None
        return f"{self.order.target.name} still runs {current}" if current else "nothing runs there, as before"


def told_with_state(attempt: Attempt, error: UserError) -> UserError:
    """`error`, with what the board runs now."""
    if not attempt.changes:
        return error
    state = attempt.still_runs() if not attempt.at.switches else state_asked_anew(attempt)
    return BoardError(
        error.found, expected=error.expected, mend="; ".join(part for part in (error.mend, state) if part)
    )


def told_lost(attempt: Attempt, error: LostError) -> UserError:
    """`error` of a connection that was taken: what the board runs, asked anew if it can be, and how to go on."""
    if attempt.facts is None:
        return error
    return LostError(
        f"{error.found}, while {attempt.at.sentence}",
        expected=error.expected,
        mend=f"{state_asked_anew(attempt)}; the same command goes on where it stopped: {attempt.order.again()}",
    )


def told_interrupted(attempt: Attempt) -> str:
    """What is left of a deploy that the user ended."""
    if attempt.facts is None or not attempt.at.switches:
        state = attempt.still_runs() if attempt.facts else "nothing was sent"
    else:
        state = f"the board undoes a switch that nobody judged; see: {attempt.order.ask('status')}"
    return f"interrupted while {attempt.at.sentence}: {state}; the same command goes on: {attempt.order.again()}"


def state_asked_anew(attempt: Attempt) -> str:
    """What the board runs, from a new connection; where none can be had, what it must be."""
    name = attempt.order.target.name
    try:
        with attempt.order.target.open() as session:
            return f"asked anew: {runs_now(name, session)}"
    except UserError:
        if not attempt.at.switches:
            return f"{name} cannot be asked now; nothing was switched, so {attempt.still_runs()}"
        whole = "the old version or the new one, whole"
        return f"{name} cannot be asked now; it runs {whole}; see: {attempt.order.ask('status')}"


def runs_now(name: str, session: Session) -> str:
    """What `status` says, as a sentence."""
    status = session.ask("status")
    current, pending = status.get("current"), status.get("pending")
    said = f"{name} runs {current}" if current else f"nothing runs on {name}"
    return f"{said}; a switch to {pending} is not settled" if pending else said
