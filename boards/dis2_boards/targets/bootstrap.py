"""What is carried to a target before anything else: a line of Python that starts, and the agent as an archive."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from dis2_boards.agent.carrying import bootstrap


@dataclass(frozen=True)
class Carried:
    """The agent, ready to travel; nothing has to be installed for it."""

    source: str
    """Python that reads `archive` from its standard input and serves."""
    archive: bytes
    """The agent's modules, as a zip."""

    def one_line(self, python: str) -> str:
        """A command that every login shell takes as it is: within its quotes stands no quote, newline, $, \\ or !."""
        packed = base64.b64encode(self.source.encode()).decode()
        return f"exec {python} -I -c 'import base64;exec(base64.b64decode(\"{packed}\").decode())'"


def carried() -> Carried:
    """The agent of this version."""
    source, archive = bootstrap()
    return Carried(source, archive)
