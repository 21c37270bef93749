"""The seam: a target can be opened, and what is then open answers questions and takes files."""

from __future__ import annotations

from typing import Protocol

from dis2_boards.targets.session import Session


class Target(Protocol):
    """A place that versions are deployed to."""

    @property
    def name(self) -> str:
        """The target for people."""

    @property
    def words(self) -> tuple[str, ...]:
        """The user's own words of a command line that lead here, for commands that a message offers."""

    @property
    def remote(self) -> bool:
        """Whether it is another machine, or may be."""

    def shell(self, command: str) -> str:
        """`command` as the user would type it here to have it done there."""

    def open(self) -> Session:
        """Start the agent there and greet it; a UserError says why not, and what mends it."""
