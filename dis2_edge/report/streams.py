"""Read what `dis2-edge run` recorded of a stream, for the report: one tick a line of telemetry.jsonl."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dis2_edge.errors import DataError
from dis2_edge.files import write_bytes
from dis2_edge.percentiles import Spread
from dis2_edge.report.schema import Picture, Stream, Tick
from dis2_edge.settings import from_table

TELEMETRY, SUMMARY = "telemetry.jsonl", "summary.json"
MOST_CHANGES = 4
"""Changes of scenario whose masks are shown."""


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
    about = _about(folder / SUMMARY)
    stages = stages_of([json.loads(line) for line in lines if line.strip()])
    return Stream(about.get("id", ""), about.get("network", ""), folder.resolve().name, ticks, stages=stages)


def stages_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, Spread]:
    """The spread of each stage over the fresh ticks among telemetry `rows`, of the total, and of what is left over."""
    taken: dict[str, list[float]] = {}
    for row in rows:
        if row["state"] != "fresh" or not row.get("stages_ms"):
            continue
        times = {name: float(value) for name, value in row["stages_ms"].items()}
        rest = row["latency_ms"] - sum(value for name, value in times.items() if name != "health")
        for name, value in {**times, "rest": max(0.0, rest), "total": row["latency_ms"]}.items():
            taken.setdefault(name, []).append(value)
    return {name: Spread.of(values) for name, values in taken.items()}


def with_masks(stream: Stream, folder: Path, out: Path, stem: str) -> Stream:
    """`stream` with the masks just before and after each of its first changes copied below `out`/pictures.

    A recording without masks is given back as it is.
    """
    chosen: dict[int, Tick] = {}
    changes = [
        (old, new) for old, new in zip(stream.ticks, stream.ticks[1:], strict=False) if old.scenario != new.scenario
    ]
    for old, new in changes[:MOST_CHANGES]:
        chosen.update({old.number: old, new.number: new})
    masks = []
    for tick in chosen.values():
        source = folder / "masks" / f"{tick.number:08d}.png"
        if source.is_file():
            file = f"pictures/{stem}-{tick.number:08d}.png"
            write_bytes(out / file, source.read_bytes())
            held = ", the last mask held" if tick.state == "held" else ""
            masks.append(Picture(file, f"{tick.time_s:.2f} s: {tick.scenario}{held}"))
    return dataclasses.replace(stream, masks=tuple(masks))


def _tick(line: str, where: str) -> Tick:
    try:
        row = json.loads(line)
        table = {
            "number": row["tick"],
            "time_s": row["time_ms"] / 1000,
            **{key: row[key] for key in ("scenario", "state", "latency_ms", "expected_miou", "why")},
        }
    except (ValueError, TypeError, KeyError) as cause:
        raise DataError(f"{where} is no tick of a stream ({cause!r})", mend="run the stream again") from cause
    return from_table(Tick, table, where=where, error=DataError)


def _about(path: Path) -> dict[str, str]:
    """Which bundle flew, by id and network; nothing when the run was cut off before it said so."""
    try:
        bundle = json.loads(path.read_text("utf-8"))["bundle"]
        return {key: str(bundle[key]) for key in ("id", "network")}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
