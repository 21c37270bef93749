"""The folder between the roll-out and the steps that ansible starts: what to do, how it went, whether to stop.

order.json         what every step needs to know
outcomes/NAME.json how it goes with a board; absent until its step began
stop               is there when no further board shall be touched
leave              is there when those at work shall be left
alive              locked by the roll-out: free, it has died, and no further board shall be touched
"""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from dis2_boards.fleet import outcome
from dis2_boards.fleet.outcome import Outcome
from dis2_edge.errors import BoardError
from dis2_edge.files import read_json, write_json
from dis2_edge.settings import from_table


@dataclass(frozen=True)
class Order:
    """What every step needs to know."""

    command: tuple[str, ...]
    """`dis2-edge`, before its verb."""
    bundle: tuple[str, str]
    """Folder and id of what is rolled out."""
    words: tuple[str, ...]
    """What `deploy` is told about every board."""
    places: dict[str, tuple[str, ...]]
    """The words that lead to each board, by its name; `status` takes them too."""
    own: dict[str, tuple[str, ...]]
    """What else `deploy` is told about each board, by its name."""
    folder: str
    """The folder in which the command runs: that of the roll-out, whose paths may be relative."""
    path: tuple[str, ...]
    """Folders in which Python finds our packages."""
    logs: str
    """The folder for each board's log."""


@dataclass(frozen=True)
class Desk:
    """One roll-out's folder."""

    folder: Path
    """Where it is; private to the user."""

    def lay(self, order: Order) -> None:
        """Write down what is to be done."""
        (self.folder / "outcomes").mkdir()
        (self.folder / "alive").touch()
        write_json(self.folder / "order.json", asdict(order))

    def order(self) -> Order:
        """What is to be done."""
        path = self.folder / "order.json"
        return from_table(Order, read_json(path, BoardError), where=str(path), error=BoardError)

    def tell(self, board: str, how: Outcome) -> None:
        """Write down how it goes with a board."""
        outcome.write(self._of(board), how)

    def told(self, board: str) -> Outcome:
        """How it goes with a board; `not tried` until its step began."""
        return outcome.read(self._of(board)) if self._of(board).is_file() else Outcome("not tried")

    def stop(self) -> None:
        """Let no further board be touched; those at work finish."""
        (self.folder / "stop").touch()

    def leave(self) -> None:
        """Let the boards at work be left to themselves."""
        (self.folder / "leave").touch()

    def left(self) -> bool:
        """Whether boards at work shall be left."""
        return (self.folder / "leave").exists()

    def stopped(self) -> bool:
        """Whether no further board shall be touched: somebody said so, or the roll-out is gone."""
        return (self.folder / "stop").exists() or not _is_locked(self.folder / "alive")

    @contextlib.contextmanager
    def attended(self) -> Iterator[None]:
        """Hold the lock that says that the roll-out lives; the system frees it however it ends."""
        with (self.folder / "alive").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _of(self, board: str) -> Path:
        return self.folder / "outcomes" / f"{board}.json"


def _is_locked(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
