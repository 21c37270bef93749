"""`dis2-edge status`: versions, live state and health of a board, in one."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from typing import Any

from dis2_boards.targets import address
from dis2_edge.errors import BoardError
from dis2_edge.quantities import megabytes, span
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
        status, now_s = session.ask("status"), time.time() + session.ahead_s
    if args.json:
        say(json.dumps(status, indent=2, sort_keys=True, ensure_ascii=False))
    else:
        _show(target.name, status, now_s)
    if status.get("healthy") is False:
        mend = "the same deploy again starts it anew"
        if status.get("previous"):
            mend += f"; the version before flies again with: {' '.join(['dis2-edge rollback', *target.words])}"
        raise BoardError(f"{target.name} is not healthy: {status.get('why')}", mend=mend)
    return 0


def _show(name: str, status: Mapping[str, Any], now_s: float) -> None:
    rows = [_version(row, status) for row in status.get("versions", [])]
    if rows:
        table(f"Versions on {name}", ("version", "name", "size", "chosen", ""), rows)
    else:
        say(f"no version is on {name} yet; bring one with: dis2-edge deploy QRUN --target TARGET")
    live, service = status.get("live"), status.get("service") or {}
    if isinstance(live, Mapping):
        table("Live", ("what", "value"), live_rows(live, now_s))
    health = {True: "healthy", False: "not healthy", None: "nobody can tell"}[status.get("healthy")]
    say(f"health: {health}{': ' + str(status['why']) if status.get('why') else ''}")
    say(f"service: {service.get('kind', 'none')}; {megabytes(int(status.get('free_bytes', 0)))} free")
    if status.get("pending"):
        say(f"a switch to {status['pending']} is not settled; the next deploy or rollback ends it")


def live_rows(live: Mapping[str, Any], now_s: float) -> list[tuple[str, str]]:
    """What flies tells of itself, for people; `now_s` is the board's own clock."""
    sensors, telemetry = live.get("sensors") or {}, live.get("telemetry") or {}
    power = telemetry.get("power_w")
    why = f" ({telemetry['why']})" if telemetry.get("why") else ""
    rows = {
        "version": live.get("bundle"),
        "engine": f"{live.get('engine') or ''} {live.get('precision') or ''}".strip(),
        "scenario": "blind" if live.get("blind") else live.get("scenario"),
        "sensors": ", ".join(f"{sensor} {state}" for sensor, state in sensors.items()),
        "ticks": f"{live.get('answered')} answered of {live.get('ticks')}",
        "rate": _unit(live.get("rate_hz"), "Hz"),
        "median tick": _unit(live.get("p50_ms"), "ms"),
        "power": (_unit(power, "W") or f"not measured{why}") if telemetry else "",
        "power mode": telemetry.get("power_mode"),
        "temperatures": ", ".join(f"{part} {_unit(value, '°C')}" for part, value in _parts(telemetry)),
        "started": _ago(live.get("started_s"), now_s),
        "told": _ago(live.get("written_s"), now_s),
        "ended": live.get("ended"),
    }
    return [(name, str(value)) for name, value in rows.items() if value]


def _version(row: Mapping[str, Any], status: Mapping[str, Any]) -> tuple[str, ...]:
    chosen = row.get("chosen") or {}
    engine = f"{chosen.get('engine', '')} {chosen.get('precision', '')}".strip() or "not proven"
    roles = [role for role in ("current", "previous", "pending") if status.get(role) == row.get("id")]
    return str(row.get("id")), str(row.get("name")), megabytes(int(row.get("bytes", 0))), engine, ", ".join(roles)


def _parts(telemetry: Mapping[str, Any]) -> list[tuple[str, Any]]:
    parts = telemetry.get("temperatures_c")
    return list(parts.items()) if isinstance(parts, Mapping) else []


def _unit(value: Any, unit: str) -> str:
    return f"{value:.3g} {unit}" if isinstance(value, (int, float)) else ""


def _ago(at_s: Any, now_s: float) -> str:
    return f"{span(max(0.0, now_s - at_s))} ago" if isinstance(at_s, (int, float)) else ""
