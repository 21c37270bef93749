"""What a deploy came to, for people: what flies, how each scenario did on the board, what travelled, what next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dis2_boards.deployment.deployed import Deployed
from dis2_boards.deployment.order import Order
from dis2_edge.quantities import megabytes, percent
from dis2_edge.terminal import say, table


def show(done: Deployed, order: Order) -> None:
    """Print it."""
    if done.already:
        say(f"{done.target} runs {done.bundle.manifest.name} {done.bundle.id}: {done.why}")
        return
    rows = [row for row in done.proof.get("rows", []) if isinstance(row, Mapping)]
    columns = ("scenario", "engine", "precision", "agreement with goldens", "p50 (ms)", "p90 (ms)", "mIoU (%)", "")
    table(f"Proven on {done.target}", columns, [_cells(row, done) for row in rows])
    table("Seconds", tuple(done.seconds), [[f"{value:.1f}" for value in done.seconds.values()]])
    share = f"{megabytes(done.sent_bytes)} of {megabytes(done.total_bytes)}"
    say(f"{share} travelled; {megabytes(done.total_bytes - done.sent_bytes)} were there already")
    manifest = done.bundle.manifest
    before = f", before it {done.before}" if done.before not in (None, done.bundle.id) else ""
    say(f"{done.target} runs {manifest.name} {done.bundle.id}, {done.engine} {done.precision}{before}: {done.why}")
    for path in done.reports:
        say(f"report: {path}")
    say("next:")
    for verb in ("status", *(["rollback"] if before else [])):
        say(f"  {order.ask(verb)}")


def _cells(row: Mapping[str, Any], done: Deployed) -> tuple[str, ...]:
    chosen = row.get("engine") == done.engine and row.get("precision") == done.precision
    state = "flies" if chosen else "" if row.get("proven") else f"not proven: {row.get('why')}"
    return (
        str(row.get("scenario")),
        str(row.get("engine")),
        str(row.get("precision")),
        _number(row.get("agreement"), 4),
        _number(row.get("p50_ms"), 2),
        _number(row.get("p90_ms"), 2),
        percent(row.get("miou")),
        state,
    )


def _number(value: Any, digits: int) -> str:
    return f"{value:.{digits}f}" if isinstance(value, (int, float)) else "-"
