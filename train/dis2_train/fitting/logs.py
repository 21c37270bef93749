"""Logs of a training: one row an epoch in log.csv; the same figures, and pictures, for TensorBoard where it is."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from dis2_edge.errors import CheckpointError
from dis2_edge.files import storage_errors, write_text
from dis2_edge.report.pictures import Rgb
from dis2_edge.terminal import warn


class Log:
    """The log of one run; used in a `with`. A resumed run keeps the rows of the `epochs` it had finished."""

    def __init__(self, run: Path, epochs: int = 0) -> None:
        self._file = run / "log.csv"
        self._rows = [row for row in _read(self._file) if int(row["epoch"]) <= epochs] if epochs else []
        self._board = _board(run / "tensorboard", epochs)

    def __enter__(self) -> Log:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._board is not None:
            self._board.close()

    def write(self, epoch: int, figures: Mapping[str, float]) -> None:
        """Add the row of `epoch` (1-based). The whole file is rewritten: later epochs may bring new columns."""
        self._rows.append({"epoch": str(epoch), **{name: f"{value:.6g}" for name, value in figures.items()}})
        columns = list(dict.fromkeys(name for row in self._rows for name in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._rows)
        write_text(self._file, text.getvalue())
        if self._board is not None:
            with storage_errors(self._file.parent / "tensorboard"):
                for name, value in figures.items():
                    self._board.add_scalar(name, value, epoch)
                self._board.flush()

    @property
    def shows_pictures(self) -> bool:
        """Whether `show` leads anywhere, so that nobody draws for nothing."""
        return self._board is not None

    def show(self, epoch: int, name: str, picture: Rgb) -> None:
        """Put a picture HxWx3 of `epoch` on the TensorBoard under `name`; without TensorBoard nothing happens."""
        if self._board is not None:
            with storage_errors(self._file.parent / "tensorboard"):
                self._board.add_image(name, picture, epoch, dataformats="HWC")
                self._board.flush()


def _read(file: Path) -> list[dict[str, str]]:
    try:
        rows = list(csv.DictReader(io.StringIO(file.read_text("utf-8"))))
        return [{name: value for name, value in row.items() if value} for row in rows if int(row["epoch"]) > 0]
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError, csv.Error) as cause:
        raise CheckpointError(f"{file} is no log of a run ({cause})", mend="remove it to start a new log") from cause


def _board(folder: Path, epochs: int) -> Any:
    """A TensorBoard writer, or None with a word of warning where the package is absent."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        warn("tensorboard is not installed: figures go to log.csv only; pip install 'dis2-edge[train]'")
        return None
    with storage_errors(folder):
        return SummaryWriter(str(folder), purge_step=epochs + 1 if epochs else None)
