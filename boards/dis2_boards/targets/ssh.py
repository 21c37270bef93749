"""`ssh://user@host[:port][/root]`: another machine through the system's own OpenSSH, in one session."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from dis2_boards.targets.bootstrap import carried
from dis2_boards.targets.child import Child
from dis2_boards.targets.session import Session
from dis2_boards.targets.ssh_failures import why
from dis2_edge.errors import BoardError, UserError

# What this program needs of ssh, whatever the user's configuration says; how hosts are checked stays the user's choice.
OPTIONS = {
    "BatchMode": "yes",  # a question would wait for ever
    "ConnectTimeout": "15",
    "ServerAliveInterval": "5",  # three unanswered ones end a connection that was taken
    "ServerAliveCountMax": "3",
    "ControlMaster": "no",  # a master that stays behind would keep our pipes open
    "ClearAllForwardings": "yes",
    "RemoteCommand": "none",
}


@dataclass(frozen=True)
class SshTarget:
    """A machine that OpenSSH reaches."""

    host: str
    """Name or address, as ssh takes it; an alias of the user's configuration is one too."""
    user: str = ""
    """Who logs in; empty leaves it to ssh."""
    port: int | None = None
    """Port; None leaves it to ssh."""
    root: str = ""
    """The root folder there; empty for the agent's own default."""
    config: str = ""
    """A configuration file for ssh (-F); empty for the user's own."""
    words: tuple[str, ...] = ()
    """The user's words that lead here."""
    python: str = "python3"
    """Who runs the agent there, and makes the versions' environments."""
    remote: bool = True
    """It always is."""

    @property
    def name(self) -> str:
        """The target for people."""
        return f"ssh://{self.login}" + (f":{self.port}" if self.port else "")

    @property
    def login(self) -> str:
        """`user@host`, or the host where ssh chooses the user."""
        return f"{self.user}@{self.host}" if self.user else self.host

    def shell(self, command: str) -> str:
        """The line that runs `command` there, with a terminal, as sudo may ask for a password."""
        return shlex.join(["ssh", *self._way(), "-t", self.login, command])

    def by_hand(self) -> str:
        """The line that connects by hand, where ssh can ask what it has to ask."""
        return shlex.join(["ssh", *self._way(), self.login])

    def command(self, remote: str) -> list[str]:
        """The whole command line for the command `remote` there."""
        options = [word for key, value in OPTIONS.items() for word in ("-o", f"{key}={value}")]
        # `--` keeps a host from being read as an option, even if a check before should have missed it.
        return ["ssh", "-T", *options, *self._way(), "--", self.login, remote]

    def open(self) -> Session:
        """Connect, start the agent there and greet it."""
        agent = carried()
        try:
            child = Child(self.command(agent.one_line(self.python)), self._why)
        except OSError as cause:
            raise BoardError(
                f"OpenSSH's `ssh` cannot be started here ({cause.strerror})",
                mend="install it: sudo apt install openssh-client",
            ) from cause
        return Session(child, first=agent.archive, root=self.root, words=self.words)

    def _way(self) -> list[str]:
        return [*(["-F", self.config] if self.config else []), *(["-p", str(self.port)] if self.port else [])]

    def _why(self, code: int, said: str) -> UserError:
        return why(self, code, said)
