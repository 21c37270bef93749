"""The campaign's table: a row a kind of fault and sensor, for the terminal, a text file and campaign.json."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dis2_edge.files import write_json, write_text
from dis2_edge.timing import P99_LEAST, describe_machine
from dis2_runtime.campaign.fly import Campaign
from dis2_runtime.campaign.judge import Judged
from dis2_runtime.campaign.plan import Leg
from dis2_runtime.fly import described

COLUMNS = (
    "fault",
    "sensor",
    "flights",
    "due",
    "answered",
    "unanswered",
    "crashes",
    "wrong",
    "named after (periods)",
    "back after (ticks)",
    "p99 ms",
)
_TOLD = 20
"""Lines of what went wrong that are printed; campaign.json holds all."""


def rows(campaign: Campaign) -> list[dict[str, Any]]:
    """One row a kind of fault and target, in the order flown, then the sum."""
    groups: dict[tuple[str, str], list[Judged]] = {}
    for leg, judged in campaign.flown:
        groups.setdefault((leg.kind, leg.target), []).append(judged)
    table = [_row(kind, target, judged) for (kind, target), judged in groups.items()]
    return [*table, _row("sum", "", [judged for _, judged in campaign.flown])]


def cells(row: dict[str, Any]) -> list[str]:
    """The row for people."""
    named, back, p99 = row["named_periods"], row["back_ticks"], row["p99_ms"]
    return [
        *(str(row[key]) for key in ("fault", "sensor", "flights", "due", "answered", "unanswered", "crashes", "wrong")),
        "-" if named is None else f"{named[0]:.1f}, at most {named[1]:.1f}",
        "-" if back is None else f"{back[0]:g}, at most {back[1]}",
        "-" if p99 is None else f"{p99:.1f}",
    ]


def complaints(campaign: Campaign, most: int = _TOLD) -> list[str]:
    """What went wrong, a line each, at most so many and a line that tells of the rest."""
    told = [f"{leg.name}: {line}" for leg, judged in campaign.flown for line in _lines(judged)]
    return told if len(told) <= most else [*told[:most], f"... and {len(told) - most} more, in campaign.json"]


def write(campaign: Campaign, folder: Path, command: str) -> None:
    """Write campaign.json and campaign.txt to `folder`."""
    table = {
        **described(campaign.bundle, campaign.flight),
        "command": command,
        "machine": dataclasses.asdict(describe_machine()),
        "survived": campaign.survived,
        "rows": rows(campaign),
        "flights": [_flight(leg, judged) for leg, judged in campaign.flown],
    }
    write_json(folder / "campaign.json", table)
    lines = [list(COLUMNS), *(cells(row) for row in rows(campaign))]
    text = "\n".join("| " + " | ".join(line) + " |" for line in [lines[0], ["---"] * len(COLUMNS), *lines[1:]])
    write_text(folder / "campaign.txt", text + "\n")


def _row(kind: str, target: str, judged: Sequence[Judged]) -> dict[str, Any]:
    delays = [delay for row in judged for delay in row.delays]
    returns = [ticks for row in judged for ticks in row.returns]
    latencies = [value for row in judged for value in row.latencies_ms]
    return {
        "fault": kind,
        "sensor": target,
        "flights": len(judged),
        **{key: sum(getattr(row, key) for row in judged) for key in ("due", "answered", "unanswered")},
        "crashes": sum(bool(row.crash) for row in judged),
        "wrong": sum(len(row.wrong) for row in judged),
        "masks": {state: sum(row.masks.get(state, 0) for row in judged) for state in ("fresh", "held", "blind")},
        "named_periods": [round(float(np.median(delays)), 2), round(max(delays), 2)] if delays else None,
        "named": len(delays),
        "back_ticks": [float(np.median(returns)), max(returns)] if returns else None,
        "p99_ms": round(float(np.percentile(latencies, 99)), 3) if len(latencies) >= P99_LEAST else None,
        "p99_n": len(latencies),
    }


def _lines(judged: Judged) -> list[str]:
    lines = [f"crashed: {judged.crash.strip().splitlines()[-1]}"] if judged.crash else []
    lines += [f"{judged.unanswered} ticks without an answer"] if judged.unanswered else []
    return [*lines, *judged.wrong]


def _flight(leg: Leg, judged: Judged) -> dict[str, Any]:
    plain = dataclasses.asdict(judged)
    del plain["latencies_ms"]
    faults = [dataclasses.asdict(fault) for fault in leg.faults.fault]
    return {"name": leg.name, "seconds": leg.seconds, "seed": leg.faults.seed, "faults": faults, **plain}
