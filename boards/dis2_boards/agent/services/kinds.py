"""The ways in which what flies can be started, and what each kind of service can do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, get_args

Kind = Literal["systemd-user", "systemd", "process", "none"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class State:
    """How a service is at this moment."""

    alive: bool | None
    """Whether it runs; None where nobody can tell, as nothing of ours starts it."""
    pids: tuple[int, ...] = ()
    """Its processes, as far as they are known."""
    restarts: int = 0
    """How often its manager started it anew by itself."""
    why: str = ""
    """What its manager says."""


class Service(Protocol):
    """Starts and stops what ROOT/current holds."""

    def set_up(self) -> None:
        """Prepare it, so that it also starts with the board; RefusedError says what is missing."""

    def take_down(self) -> None:
        """Undo `set_up`."""

    def start(self) -> None:
        """Start it; RefusedError if its manager cannot."""

    def stop(self) -> None:
        """End it gently, then by force; no fault where it does not run."""

    def state(self) -> State:
        """How it is."""


class NoService:
    """Somebody else starts it, or nobody."""

    def set_up(self) -> None:
        """Nothing to prepare."""

    def take_down(self) -> None:
        """Nothing to undo."""

    def start(self) -> None:
        """Nothing to start."""

    def stop(self) -> None:
        """Nothing to stop."""

    def state(self) -> State:
        """Nobody can tell."""
        return State(None, why="no service is set up")
