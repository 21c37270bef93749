"""What became of a deploy, as a file that a fleet's roll-out reads."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dis2_boards.deployment.deployed import Deployed
from dis2_boards.fleet import outcome
from dis2_boards.fleet.outcome import Outcome, State
from dis2_edge.errors import RolledBackError, UserError


class Record:
    """Of one deploy; a failure is what stands in it until `done` says otherwise."""

    def __init__(self) -> None:
        self.outcome = Outcome("failed")

    def done(self, deployed: Deployed) -> None:
        """It flies."""
        self.outcome = outcome_of(deployed)


@contextmanager
def kept(path: Path | None) -> Iterator[Record]:
    """Do a deploy within; however it ends, the file at `path` says how, if one is asked for."""
    record, started = Record(), time.monotonic()
    try:
        yield record
    except UserError as error:
        state: State = "rolled back" if isinstance(error, RolledBackError) else "failed"
        record.outcome = Outcome(state, why=str(error), seconds=time.monotonic() - started)
        raise
    finally:
        if path is not None:
            outcome.write(path, record.outcome)


def outcome_of(done: Deployed) -> Outcome:
    """The line of a fleet's table."""
    return Outcome(
        "flew already" if done.already else "kept",
        before=done.before,
        after=done.bundle.id,
        engine=done.engine,
        precision=done.precision,
        p50_ms=done.p50_ms,
        why=done.why,
        seconds=sum(done.seconds.values()),
    )
