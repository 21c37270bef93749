"""A gauge for work whose progress is told from elsewhere: a bar with the time left on a terminal, lines when piped."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from dis2_edge.terminal import new_bars, note

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_ROOM = 36
"""Characters of a label that leave room for the bar on a terminal of 80."""


class Gauge:
    """A line that says what is done, and below it one bar from the first `at` on; `close` takes the bar away."""

    def __init__(self, label: str) -> None:
        self._last = ""
        self._bars: Progress | None = None
        self._task: TaskID | None = None
        note(f"{label} ...")

    def at(self, label: str, done: float, total: float) -> None:
        """Show that `done` of `total` is done (0: of unknown), doing `label`; piped, each new label is a line."""
        if sys.stderr.isatty():
            short = label if len(label) <= _ROOM else f"{label[: _ROOM - 1]}…"
            self._draw(f"  {short}", done, total or None)
        elif label and label != self._last:
            note(f"  {label}")
        self._last = label

    def close(self) -> None:
        """Take the bar away."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = self._task = None

    def _draw(self, text: str, done: float, total: float | None) -> None:
        if self._bars is None or self._task is None:
            self._bars = new_bars()
            self._task = self._bars.add_task(text, total=total)
            self._bars.start()
        self._bars.update(self._task, description=text, completed=done, total=total)
