"""`dis2-edge key new|show|trust|list`: make a key that signs bundles, and say which keys a board trusts."""

from __future__ import annotations

import argparse
import getpass
import sys
from pathlib import Path

from dis2_boards.targets import address
from dis2_boards.trust import keys
from dis2_boards.trust.keys import PublicKey
from dis2_edge.errors import KeyFileError
from dis2_edge.terminal import say, table

EXAMPLE = "dis2-edge key new keys/ann.pem"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="new|show|trust|list")
    new = _action(actions, "new", "make a private key, and its public one beside it")
    new.add_argument("file", type=Path, metavar="FILE", help="file of the private key; the public one gets .pub")
    new.add_argument("--passphrase", action="store_true", help="ask for a passphrase, which encrypts the private key")
    show = _action(actions, "show", "print the id and the public key of a key file")
    show.add_argument("file", type=Path, metavar="FILE", help="a private or a public key")
    trusting = _action(actions, "trust", "let a board trust a public key")
    trusting.add_argument("file", type=Path, metavar="FILE", help="a public key")
    trusting.add_argument("--name", default="", help="by which it is known there (default: the file's name)")
    listing = _action(actions, "list", "print the keys that a board trusts")
    for action in (trusting, listing):
        address.configure(action)


def run(args: argparse.Namespace) -> int:
    """Do what was asked for."""
    {"new": _new, "show": _show, "trust": _trust, "list": _list}[args.action](args)
    return 0


def _action(
    actions: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str
) -> argparse.ArgumentParser:
    return actions.add_parser(name, help=text, description=text)


def _new(args: argparse.Namespace) -> None:
    key = keys.new(args.file, _passphrase() if args.passphrase else "")
    say(f"{args.file}: a private key, for your eyes only; whoever has it can sign for you")
    say(f"{keys.public_path(args.file)}: its public key {keys.public_of(key).id}, for the boards")


def _show(args: argparse.Namespace) -> None:
    key = _public(args.file)
    say(f"{args.file}: key {key.id}")
    say(key.line().rstrip())


def _trust(args: argparse.Namespace) -> None:
    key, target = keys.load_public(args.file), address.target_of(args)
    with target.open() as session:
        session.ask("trust", name=args.name or key.name or key.id, key=key.line().strip())
    say(f"{target.name}: key {key.id} is trusted; from now on a bundle that no trusted key signed is refused there")


def _list(args: argparse.Namespace) -> None:
    target = address.target_of(args)
    with target.open() as session:
        found = dict(session.ask("trusted")["ids"])
    if found:
        table(f"Keys that {target.name} trusts", ("name", "key"), list(found.items()))
    else:
        command = " ".join(["dis2-edge key trust FILE", *address.words_of(args)])
        say(f"{target.name} holds no key: EVERY bundle is taken there; change that: {command}")


def _public(path: Path) -> PublicKey:
    """The public key of a file that holds it, or the private one that it belongs to."""
    try:
        private = b"PRIVATE KEY" in path.read_bytes()[:4096]
    except OSError:
        private = False
    return keys.public_of(keys.load_private(path)) if private else keys.load_public(path)


def _passphrase() -> str:
    if not sys.stdin.isatty():
        raise KeyFileError("there is no terminal to ask for a passphrase", mend="leave --passphrase out, or use one")
    first = getpass.getpass("passphrase: ")
    if not first or first != getpass.getpass("again: "):
        raise KeyFileError("the two passphrases differ, or are empty", mend="try again")
    return first
