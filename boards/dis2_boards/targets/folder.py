"""`dir:PATH`: a folder of this machine, served by the same agent as a process of its own."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from dis2_boards.targets.bootstrap import carried
from dis2_boards.targets.child import Child
from dis2_boards.targets.session import Session
from dis2_edge.errors import BoardError, LostError, UserError


@dataclass(frozen=True)
class FolderTarget:
    """A root folder on this machine."""

    root: str
    """The folder, absolute; empty for the agent's own default."""
    words: tuple[str, ...] = ()
    """The user's words that lead here."""
    python: str = ""
    """Who runs the agent, and makes the versions' environments; empty for the Python that runs this."""
    remote: bool = False
    """It never is."""

    @property
    def name(self) -> str:
        """The target for people."""
        return f"dir:{self.root}" if self.root else "this machine"

    def shell(self, command: str) -> str:
        """`command` itself."""
        return command

    def open(self) -> Session:
        """Start the agent here and greet it."""
        agent = carried()
        command = [self.python or sys.executable, "-I", "-c", agent.source]
        try:
            child = Child(command, self._why)
        except OSError as cause:
            raise BoardError(
                f"{command[0]} cannot be started ({cause.strerror})", mend="name another one: --python python3"
            ) from cause
        return Session(child, first=agent.archive, root=self.root, words=self.words)

    def _why(self, code: int, said: str) -> UserError:
        last = ([line for line in said.splitlines() if line.strip()] or [f"exit {code}"])[-1]
        return LostError(f"the agent on {self.name} ended: {last}", mend="the same command goes on where it stopped")
