"""A fleet of folders for tests of the roll-out, with stand-ins for ansible and for `deploy`."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dis2_boards.fleet.plan import load
from dis2_boards.fleet.roll_out import roll_out

HERE = Path(__file__).parent
FAKE = (sys.executable, "-S", str(HERE / "fake_deploy.py"))


@dataclass(frozen=True)
class AFleet:
    """Boards that are folders beside their fleet.toml."""

    folder: Path
    bundle: Path

    @classmethod
    def made(cls, folder: Path, bundle: Path, count: int = 4, head: str = "") -> AFleet:
        """Boards b0, b1, ...; `head` is the top of the file."""
        boards = (f'[boards.b{n}]\ntarget = "dir:{folder / f"b{n}"}"\n' for n in range(count))
        for n in range(count):
            (folder / f"b{n}").mkdir(parents=True)
            (folder / f"b{n}" / "current").write_text("old")
        (folder / "fleet.toml").write_text(f"{head}\n{''.join(boards)}")
        return cls(folder, bundle)

    def mode(self, board: str, mode: str) -> None:
        (self.folder / board / "mode").write_text(mode)

    def roll_out(self, *words: str) -> int:
        return roll_out(self.bundle, load(self.folder / "fleet.toml"), words, command=FAKE)

    def flies(self) -> dict[str, str]:
        return {path.parent.name: path.read_text() for path in sorted(self.folder.glob("b*/current"))}

    def record(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "fleet.json").read_text()))

    def states(self) -> list[tuple[str, str, str]]:
        return [(row["name"], row["wave"], row["state"]) for row in self.record()["boards"]]

    def diary(self) -> list[str]:
        path = self.folder / "diary"
        return path.read_text().splitlines() if path.exists() else []

    def new_diary(self) -> None:
        (self.folder / "diary").unlink(missing_ok=True)
