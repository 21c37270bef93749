"""A gauge for work whose progress is told from elsewhere: a bar with the time left on a terminal, lines when piped."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from dis2_edge.terminal import new_bars, note

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Gauge:
    """One bar; `at` moves it, `close` takes it away."""

    def __init__(self, label: str) -> None:
        self._label, self._last = label, ""
        self._bars: Progress | None = None
        self._task: TaskID | None = None
        if sys.stderr.isatty():
            self._bars = new_bars()
            self._task = self._bars.add_task(label, total=None)
            self._bars.start()
        else:
            note(f"{label} ...")

    def at(self, label: str, done: float, total: float) -> None:
        """Show that `done` of `total` is done (0: of unknown), doing `label`; piped, each new label is a line."""
        if self._bars is not None and self._task is not None:
            text = f"{self._label}: {label}" if label else self._label
            self._bars.update(self._task, description=text, completed=done, total=total or None)
        elif label and label != self._last:
            note(f"  {label}")
        self._last = label

    def close(self) -> None:
        """Take the bar away."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = None
