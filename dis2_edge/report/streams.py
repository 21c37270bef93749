"""Read what `dis2-edge run` recorded of a stream, for the report: one tick a line of telemetry.jsonl."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dis2_edge.errors import DataError
from dis2_edge.report.schema import Stream, Tick

TELEMETRY, ABOUT = "telemetry.jsonl", "stream.json"


def read_stream(folder: Path) -> Stream:
    """The stream recorded in `folder`; DataError that names the line when it is no such recording."""
    path = folder / TELEMETRY
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as cause:
        raise DataError(f"{path} cannot be read ({cause})", expected="a folder that `dis2-edge run` wrote") from cause
    ticks = tuple(_tick(line, f"{path}, line {number}") for number, line in enumerate(lines, 1) if line.strip())
    if not ticks:
        raise DataError(f"{path} holds no tick", expected="one line a tick")
    about = _about(folder / ABOUT)
    return Stream(about.get("bundle", ""), about.get("network", ""), about.get("name") or folder.resolve().name, ticks)


def _tick(line: str, where: str) -> Tick:
    try:
        row = json.loads(line)
        expected = row["expected_miou"]
        return Tick(
            time_s=float(row["time_s"]),
            scenario=str(row["scenario"]),
            latency_ms=float(row["latency_ms"]),
            expected_miou=None if expected is None else float(expected),
            held=bool(row["held"]),
            reasons=_reasons(row),
        )
    except (ValueError, TypeError, KeyError, AttributeError) as cause:
        raise DataError(f"{where} is no tick of a stream ({cause!r})", mend="run the stream again") from cause


def _reasons(row: Mapping[str, Any]) -> tuple[str, ...]:
    """`sensor: why` of each sensor that was not used at this tick."""
    return tuple(f"{name}: {said}" for name, said in sorted(row.get("why", {}).items()) if said)


def _about(path: Path) -> dict[str, str]:
    try:
        table = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(key): str(value) for key, value in table.items()} if isinstance(table, dict) else {}
