"""What ssh says when it fails, as a message with the mend; ssh itself has one exit status for all of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

from dis2_edge.errors import BoardError, LostError, UserError


class Reached(Protocol):
    """What a message has to know of the target."""

    @property
    def name(self) -> str:
        """The target for people."""

    @property
    def host(self) -> str:
        """Its host."""

    @property
    def port(self) -> int | None:
        """Its port, where one was given."""

    @property
    def login(self) -> str:
        """`user@host`."""

    @property
    def python(self) -> str:
        """Who was to run the agent."""

    def by_hand(self) -> str:
        """The line that connects by hand."""

    def shell(self, command: str) -> str:
        """The line that runs `command` there."""


def why(target: Reached, code: int, said: str) -> UserError:
    """The error that ssh's exit status `code` and its words `said` stand for."""
    for pattern, told in _FAILURES:
        hit = re.search(pattern, said, re.IGNORECASE)
        if hit:
            return told(target, hit, said)
    if code == 127:
        return _no_python(target, None, said)
    last = ([line for line in said.splitlines() if line.strip()] or [f"exit {code}"])[-1].strip()
    return LostError(f"{target.name} ended the conversation: {last}", mend=f"try by hand: {target.by_hand()}")


def _host_key_changed(target: Reached, hit: re.Match[str] | None, said: str) -> UserError:
    file = re.search(r"Offending \S+ key in (\S+?):\d+", said)
    known = f" -f {file[1]}" if file else ""
    sent = re.search(r"SHA256:[A-Za-z0-9+/=]+", said)
    kind = re.search(r"fingerprint for the (\S+) key", said)
    named = f"[{target.host}]:{target.port}" if target.port not in (None, 22) else target.host
    name = (kind[1] if kind else "ed25519").lower()
    return BoardError(
        f"the host key of {target.name} changed{f' to {sent[0]}' if sent else ''}: another machine answers "
        "there, or the board was set up anew",
        expected="the key that ssh knows it by",
        mend=f"compare it at the board itself: ssh-keygen -lf /etc/ssh/ssh_host_{name}_key.pub; if it is the "
        f"board, forget the old key: ssh-keygen -R '{named}'{known}, then connect once by hand: {target.by_hand()}",
    )


def _host_key_unknown(target: Reached, hit: re.Match[str] | None, said: str) -> UserError:
    return BoardError(
        f"ssh does not know the host key of {target.name} yet, and asks nobody here",
        expected="a machine whose key you have accepted",
        mend=f"connect once by hand and compare the fingerprint that it shows: {target.by_hand()}",
    )


def _denied(target: Reached, hit: re.Match[str] | None, said: str) -> UserError:
    ways = re.search(r"Permission denied \(([^)]*)\)", said)
    port = f" -p {target.port}" if target.port else ""
    return BoardError(
        f"{target.name} lets {target.login} not in{f' (it takes {ways[1]})' if ways else ''}",
        expected="a login by key, as nothing here can type a password",
        mend=f"copy your key there: ssh-copy-id{port} {target.login}; a key with a passphrase is unlocked by: ssh-add",
    )


def _unknown_host(target: Reached, hit: re.Match[str] | None, said: str) -> UserError:
    return BoardError(
        f"no host is called {target.host!r}",
        expected="a name that this network knows, an address, or a Host of your ssh configuration",
        mend="give its address: --target ssh://user@192.0.2.7, or its mDNS name: NAME.local",
    )


def _refused(target: Reached, hit: re.Match[str] | None, said: str) -> UserError:
    return BoardError(
        f"{target.name} refuses the connection: no ssh server listens on port {target.port or 22}",
        expected="an ssh server there",
        mend="start it at the board: sudo systemctl enable --now ssh; or give its port: ssh://user@host:PORT",
    )


def _unreachable(target: Reached, hit: re.Match[str] | None, said: str) -> UserError:
    return BoardError(
        f"{target.name} does not answer ({(hit[0] if hit else said).strip()})",
        expected="a board that is on, in a network that this computer reaches",
        mend=f"see whether it is there: ping {target.host}",
    )


def _misconfigured(target: Reached, hit: re.Match[str] | None, said: str) -> UserError:
    return BoardError(
        f"ssh refuses its configuration: {(hit[0] if hit else said).strip()}",
        mend="mend the file; --ssh-config FILE names another one",
    )


def _too_many_keys(target: Reached, hit: re.Match[str] | None, said: str) -> UserError:
    return BoardError(
        f"{target.name} closed the connection after too many keys were offered",
        expected="the right key among the first",
        mend="name it in ~/.ssh/config: IdentityFile ~/.ssh/KEY and IdentitiesOnly yes; --ssh-config FILE names "
        "another file",
    )


def _no_python(target: Reached, hit: re.Match[str] | None, said: str) -> UserError:
    return BoardError(
        f"{target.name} has no {target.python}",
        expected="Python 3.10 to 3.13 on the board",
        mend=f"install it: {target.shell('sudo apt install python3 python3-venv')}; or name one that is there: "
        "--python python3.10",
    )


def _cut(target: Reached, hit: re.Match[str] | None, said: str) -> UserError:
    return LostError(
        f"the connection to {target.name} was taken ({(hit[0] if hit else said).strip()})",
        mend="the same command goes on where it stopped",
    )


Told = Callable[[Reached, "re.Match[str] | None", str], UserError]
# The first that fits counts: ssh says several things, and the cause stands before what follows from it.
_FAILURES: tuple[tuple[str, Told], ...] = (
    (r"REMOTE HOST IDENTIFICATION HAS CHANGED", _host_key_changed),
    (r"Host key verification failed", _host_key_unknown),
    (r"Bad configuration option.*|Can't open user config file.*|terminating, \d+ bad configuration.*", _misconfigured),
    (r"Bad owner or permissions on .*", _misconfigured),
    (r"Could not resolve hostname", _unknown_host),
    (r"Connection refused", _refused),
    (r"Too many authentication failures", _too_many_keys),
    (r"Permission denied \([^)]*\)|No supported authentication methods", _denied),
    (r"connect to (?:host|address) .*(?:timed out|No route to host|Network is unreachable)", _unreachable),
    (r"Connection timed out during banner exchange", _unreachable),
    (r"python[0-9.]*: (?:command )?not found|python[0-9.]*: No such file|unknown command.*python", _no_python),
    (r"Timeout, server .* not responding", _cut),
    (r"(?:Connection (?:to \S+ )?(?:closed|reset)|client_loop: send disconnect|Write failed|Broken pipe).*", _cut),
)
