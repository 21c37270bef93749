"""From what stands behind `--target` to a target; what cannot be one is refused with its mend."""

from __future__ import annotations

import argparse
import os
import re
import shlex
from urllib.parse import unquote, urlsplit

from dis2_boards.targets.folder import FolderTarget
from dis2_boards.targets.ssh import SshTarget
from dis2_boards.targets.target import Target
from dis2_edge.errors import BoardError

FORMS = "ssh://user@host[:port][/root] or dir:PATH"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.%-]*|[0-9A-Fa-f:]+(?:%[A-Za-z0-9_.-]+)?")
_PYTHON = re.compile(r"[A-Za-z0-9_/][A-Za-z0-9_./+-]*")
_LOOKS_LIKE_SCP = re.compile(r"(?:[\w.-]+@)?[\w.-]+(?::[^/].*)?")


def configure(parser: argparse.ArgumentParser, without: str = "this machine") -> None:
    """Add the words that lead to a target; `without` says for people what is meant without any."""
    parser.add_argument("--target", metavar="TARGET", help=f"{FORMS} (default: {without})")
    parser.add_argument("--root", default="", help="root folder of dis2-edge there (default: ~/dis2-edge)")
    parser.add_argument("--ssh-config", default="", metavar="FILE", help="configuration for ssh, as its -F takes it")
    parser.add_argument("--python", default="", help="a Python 3.10 to 3.13 of the target (default: python3)")


def words_of(args: argparse.Namespace) -> tuple[str, ...]:
    """The words of a command line that lead to the target of `args`, quoted where a shell asks for it."""
    pairs = (
        ("--target", args.target),
        ("--root", args.root),
        ("--ssh-config", args.ssh_config),
        ("--python", args.python),
    )
    return tuple(shlex.quote(word) for flag, value in pairs if value for word in (flag, value))


def target_of(args: argparse.Namespace) -> Target:
    """The target that `args` name; without `--target`, this machine."""
    if args.python and not _PYTHON.fullmatch(args.python):
        raise BoardError(f"--python {args.python!r}", expected="the name or path of a Python, without spaces")
    words, text = words_of(args), args.target
    if text is None:
        return FolderTarget(_absolute(args.root), words, args.python)
    if text.startswith("dir:"):
        return FolderTarget(_folder(text, args.root), words, args.python)
    if text.startswith("ssh://"):
        return _ssh(text, args, words)
    meant = f"did you mean --target ssh://{text.partition(':')[0]}?" if _LOOKS_LIKE_SCP.fullmatch(text) else ""
    if text.startswith(("/", "./", "~")):
        meant = f"did you mean --target dir:{text}?"
    raise BoardError(f"--target {text!r}", expected=FORMS, mend=meant)


def _folder(text: str, root: str) -> str:
    path = text.removeprefix("dir:")
    if not path:
        raise BoardError("--target 'dir:' names no folder", expected="dir:PATH")
    if root:
        raise BoardError(
            f"a root folder twice: {text} and --root {root}", expected="one of them", mend="leave --root out"
        )
    return _absolute(path)


def _ssh(text: str, args: argparse.Namespace, words: tuple[str, ...]) -> SshTarget:
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError as cause:
        raise BoardError(f"--target {text!r} ({cause})", expected=FORMS) from cause
    user = unquote(parts.username or "")
    # urlsplit lowers the host's letters, which a Host of a configuration file may not survive.
    at = parts.netloc.rpartition("@")[2].lower().find(host)
    host = parts.netloc.rpartition("@")[2][at : at + len(host)]
    if parts.password is not None:
        raise BoardError("--target holds a password", expected=FORMS, mend=f"use a key: ssh-copy-id {user}@{host}")
    if not _HOST.fullmatch(host) or (user and not _NAME.fullmatch(user)) or parts.query or parts.fragment:
        raise BoardError(f"--target {text!r}", expected=FORMS)
    root = _there(parts.path)
    if root and args.root:
        raise BoardError(f"a root folder twice: {root} and --root {args.root}", expected="one of them")
    return SshTarget(host, user, port, root or args.root, args.ssh_config, words, args.python or "python3")


def _there(path: str) -> str:
    """The root that a URL's path names: /~/x is below the home folder, / alone names none."""
    path = unquote(path).rstrip("/")
    return path[1:] if path.startswith("/~") else path


def _absolute(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path)) if path else ""
