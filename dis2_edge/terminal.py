"""What a person sees in a terminal: progress bars, tables, lines. Plain text when piped; NO_COLOR is respected."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress

T = TypeVar("T")
_ANY_WIDTH = 10_000
"""Characters that no table needs."""

_STEP_S = 0.1
"""Shortest time between two steps that a program is told of."""

_bars: Progress | None = None
"""The bars now on the screen; an inner `progress` adds its bar to them, as one screen holds one set."""


_hushed = False
"""Whether this process leaves talking to another one."""


def hush() -> None:
    """From now on show nothing here: of several processes that do one thing together, one talks to the person."""
    global _hushed
    _hushed = True


_for_programs = False
"""Whether another program reads how far it is."""


@contextlib.contextmanager
def telling_programs(really: bool = True) -> Iterator[None]:
    """Within, stderr holds a line of JSON a step, {"label", "done", "total"}, for a program that reads along.

    Notes and warnings are such lines too, `total` 0. Not `really`: all stays as it is.
    """
    global _for_programs
    before, _for_programs = _for_programs, really or _for_programs
    try:
        yield
    finally:
        _for_programs = before


def for_programs() -> bool:
    """Whether a program reads along, so that a child process can be told the same."""
    return _for_programs


def step(label: str, done: int, total: int) -> None:
    """Tell a program that reads along how far it is; for people `progress` does."""
    if _for_programs and not _hushed:
        print(json.dumps({"label": label, "done": done, "total": total}), file=sys.stderr, flush=True)


def progress(items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
    """Yield `items` behind a bar with the time left, on stderr; piped, it is one line at the start and one at the end.

    `total` is the number of items, where `items` has no length of its own.
    """
    if _hushed:
        return iter(items)
    if total is None and isinstance(items, Sized):
        total = len(items)
    if _for_programs:
        return _stepped(items, label, total or 0)
    return _drawn(items, label, total) if sys.stderr.isatty() else _logged(items, label, total)


def table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], colours: Mapping[str, str] | None = None
) -> None:
    """Print `rows` under `columns` to stdout. Cells are shown by `str`; cells that are numbers stand to the right.

    `colours`: a cell's text -> the colour that it has in a terminal, where NO_COLOR does not forbid it.
    """
    if _hushed:
        return
    cells = [[str(cell) for cell in row] for row in rows]
    right = [all(_is_number(row[place]) for row in cells) for place in range(len(columns))]
    if sys.stdout.isatty():
        _draw_table(title, columns, cells, right, colours or {})
        return
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    lines = [columns, ["-" * width for width in widths], *cells]
    print(f"{title}\n" if title else "", end="")
    for line in lines:
        padded = (f"{cell:>{w}}" if r else f"{cell:<{w}}" for cell, w, r in zip(line, widths, right, strict=True))
        print("  ".join(padded).rstrip())


def say(text: str) -> None:
    """Print a line to stdout."""
    if not _hushed:
        print(text, flush=True)


def note(text: str) -> None:
    """Print a line to stderr, beside the progress: how the work went, which is no result of it."""
    if _for_programs:
        step(text, 0, 0)
    elif not _hushed:
        print(text, file=sys.stderr, flush=True)


def warn(text: str) -> None:
    """Print a warning to stderr: something that the user should know, and that stops nothing."""
    note(f"warning: {text}")


def _stepped(items: Iterable[T], label: str, total: int) -> Iterator[T]:
    """A line a tenth of a second at most, but for the first and the last."""
    step(label, 0, total)
    said = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        if done == total or time.monotonic() - said >= _STEP_S:
            said = time.monotonic()
            step(label, done, total)


def _logged(items: Iterable[T], label: str, total: int | None) -> Iterator[T]:
    print(f"{label} ..." if total is None else f"{label} ... ({total})", file=sys.stderr, flush=True)
    started, done = time.monotonic(), 0
    try:
        for item in items:
            yield item
            done += 1
    finally:
        print(f"{label}: {done} in {time.monotonic() - started:.1f} s", file=sys.stderr, flush=True)


def _drawn(items: Iterable[T], label: str, total: int | None) -> Iterator[T]:
    global _bars
    outer, bars = _bars, _bars or new_bars()
    task = bars.add_task(label, total=total)
    if outer is None:
        bars.start()
        _bars = bars
    try:
        for item in items:
            yield item
            bars.advance(task)
    finally:
        if outer is None:
            bars.stop()
            _bars = None
        else:
            bars.remove_task(task)


def new_bars() -> Progress:
    """Bars on stderr with count, time and time left, not yet started."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    # rich would carry stdout into stderr's display; that is right only when both are the same terminal.
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        redirect_stdout=sys.stdout.isatty(),
    )


def _draw_table(
    title: str, columns: Sequence[str], cells: list[list[str]], right: list[bool], colours: Mapping[str, str]
) -> None:
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table
    from rich.text import Text

    drawn: Any = Table(title=title or None, title_justify="left")
    for name, to_right in zip(columns, right, strict=True):
        drawn.add_column(Text(name), justify="right" if to_right else "left")
    for row in cells:
        drawn.add_row(*(Text(cell, colours.get(cell, "")) for cell in row))
    console = Console()
    needed = Measurement.get(console, console.options.update(max_width=_ANY_WIDTH), drawn).maximum
    if needed > console.width:  # without lines it is narrower, and longer lines than the screen's lose no figure
        drawn.box = None
        console = Console(width=Measurement.get(console, console.options.update(max_width=_ANY_WIDTH), drawn).maximum)
    console.print(drawn)


def _is_number(cell: str) -> bool:
    try:
        float(cell.rstrip("%"))
    except ValueError:
        return cell in ("", "-", "–")
    return True
