"""`dis2-edge status`: versions, live state and health of a board, in one."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any

from dis2_boards.deployment.needs import megabytes
from dis2_boards.targets import address
from dis2_edge.errors import BoardError
from dis2_edge.terminal import say, table

EXAMPLE = "dis2-edge status --target ssh://pilot@drone.local"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    address.configure(parser)
    parser.add_argument("--json", action="store_true", help="print the agent's answer as it is")


def run(args: argparse.Namespace) -> int:
    """Ask, then print; a board that is not healthy ends with its reason and exit code 2."""
    target = address.target_of(args)
    with target.open() as session:
        status = session.ask("status")
    if args.json:
        say(json.dumps(status, indent=2, sort_keys=True, ensure_ascii=False))
    else:
        _show(target.name, status)
    if status.get("healthy") is False:
        raise BoardError(
            f"{target.name} is not healthy: {status.get('why')}",
            mend=f"go back to the version before: {' '.join(['dis2-edge rollback', *target.words])}",
        )
    return 0


def _show(name: str, status: Mapping[str, Any]) -> None:
    rows = [_version(row, status) for row in status.get("versions", [])]
    table(f"Versions on {name}", ("version", "name", "size", "chosen", ""), rows)
    live, service = status.get("live"), status.get("service") or {}
    if isinstance(live, Mapping):
        table("Live", ("what", "value"), [(key, _told(live[key])) for key in live if live[key] not in (None, {})])
    health = {True: "healthy", False: "not healthy", None: "nobody can tell"}[status.get("healthy")]
    say(f"health: {health}{': ' + str(status['why']) if status.get('why') else ''}")
    say(f"service: {service.get('kind', 'none')}; {megabytes(int(status.get('free_bytes', 0)))} free")
    if status.get("pending"):
        say(f"a switch to {status['pending']} is not settled; the next deploy or rollback ends it")


def _version(row: Mapping[str, Any], status: Mapping[str, Any]) -> tuple[str, ...]:
    chosen = row.get("chosen") or {}
    engine = f"{chosen.get('engine', '')} {chosen.get('precision', '')}".strip() or "not proven"
    roles = [role for role in ("current", "previous", "pending") if status.get(role) == row.get("id")]
    return str(row.get("id")), str(row.get("name")), megabytes(int(row.get("bytes", 0))), engine, ", ".join(roles)


def _told(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_told(inner)}" for key, inner in value.items())
    return f"{value:.6g}" if isinstance(value, float) else str(value)
