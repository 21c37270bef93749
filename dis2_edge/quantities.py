"""Shares, bytes and times as text for people: one spelling in tables, cards and messages."""

from __future__ import annotations

import math

MB = 1_000_000


def percent(share: float | None, digits: int = 2) -> str:
    """A share 0..1 as a percentage; `-` when there is none."""
    return "-" if share is None or math.isnan(share) else f"{100 * share:.{digits}f}"


def megabytes(count: int) -> str:
    """`count` bytes as 47 MB, or as 120 kB below one."""
    return f"{count / 1000:.0f} kB" if count < MB else f"{count / MB:,.0f} MB"


def span(seconds: float) -> str:
    """A time in its largest unit alone: 3 days, 5 h, 12 min, 40 s."""
    for unit, length in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length or (unit == "min" and seconds >= length):
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
