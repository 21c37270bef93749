"""The tables of docs/deploying/board.md, and board.json beside it: what was done, to what, and what came of it."""

from __future__ import annotations

import platform
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from dis2_edge.files import write_json, write_text
from tests.boards.emulated.chaos import Row
from tests.boards.emulated.flow import Done

PAGE = Path(__file__).parents[3] / "docs" / "deploying" / "board.md"
FLOW, CHAOS = "flow", "chaos"


def write(steps: Sequence[Done], rows: Sequence[Row], listed: int, suite: str, python: str) -> None:
    """Put what was found into the page, `listed` being how many blows there are; a part that did not run stays."""
    text = PAGE.read_text("utf-8")
    if steps:
        text = filled(text, FLOW, flow_table(steps))
    if rows:
        text = filled(text, CHAOS, chaos_table(rows, listed))
        machine = f"{platform.machine()}, board: aarch64 under QEMU, {suite}, Python {python}"
        write_json(
            PAGE.with_suffix(".json"), {"machine": machine, "listed": listed, "rows": [asdict(row) for row in rows]}
        )
    write_text(PAGE, text)


def filled(text: str, name: str, table: str) -> str:
    """`text` with the part between the marks of `name` replaced."""
    begin, end = f"<!-- {name}: written by make board -->", f"<!-- {name}: end -->"
    if begin not in text or end not in text:
        raise AssertionError(f"no marks of {name} in the page")
    return re.sub(f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: f"{begin}\n{table}\n{end}", text, flags=re.DOTALL)


def flow_table(steps: Sequence[Done]) -> str:
    """The steps of the flow."""
    lines = ["| step | found |", "|---|---|"]
    return "\n".join([*lines, *(f"| {_cell(step.what)} | {_cell(step.found)} |" for step in steps)])


def chaos_table(rows: Sequence[Row], listed: int) -> str:
    """Each blow and moment; what came of those that came to the same is one line."""
    groups: dict[tuple[str, str, str, str], list[str]] = {}
    for row in rows:
        groups.setdefault((row.blow, row.runs, row.flies, _verdict(row)), []).append(row.moment)
    bad = sum(row.bad for row in rows)
    count = f"{len(rows)} of {listed} listed blows were struck; {bad} of them left a board that was neither."
    lines = [count, "", "| blow | moments | n | runs | flies | verdict |", "|---|---|---|---|---|---|"]
    for (blow, runs, flies, verdict), moments in sorted(groups.items()):
        lines.append(f"| {blow} | {_cell(', '.join(moments))} | {len(moments)} | {runs} | {flies} | {verdict} |")
    return "\n".join(lines)


def _verdict(row: Row) -> str:
    if row.bad:
        return _cell("BAD: " + "; ".join([*row.faults, row.proven, row.next])[:200])
    found = "whole, proven" + ", not settled yet" * row.pending
    return found if row.next == "-" else f"{found}; the same deploy again ends with the new"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "/").split())
