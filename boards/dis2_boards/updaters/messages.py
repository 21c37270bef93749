"""What an installation on the board says: progress on stdout, and the one reason for which it stopped."""

from __future__ import annotations


class StoppedError(Exception):
    """Why it cannot be done: what was found, what was expected, how to mend it."""

    def __init__(self, found: str, expected: str = "", mend: str = "") -> None:
        parts = (found, f"expected {expected}" if expected else "", mend)
        super().__init__("; ".join(part for part in parts if part))


def say(text: str) -> None:
    """A line of progress; updaters keep it in their log."""
    print(f"dis2-edge: {text}", flush=True)
