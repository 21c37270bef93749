"""A board with an updater: ROOT, Mender's and RAUC's ways to call us, and an archive whose agent is a stand-in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OLD = "aaaaaaaaaaaa"
STATES = ("Download", "ArtifactInstall", "ArtifactCommit", "Cleanup")


def stand_in() -> tuple[str, bytes]:
    """In place of `carrying.bootstrap`: a source that serves as the agent does, and no archive."""
    source = (Path(__file__).parent / "stand_in.py").read_text("utf-8")
    return f"{source}\nserve(sys.stdin.buffer, sys.stdout.buffer)\n", b""


@dataclass(frozen=True)
class OnBoard:
    """ROOT and one update's folder, as the updater keeps it."""

    folder: Path
    archive: Path
    scripts: Path

    @classmethod
    def made(cls, folder: Path, archive: Path, *, flies: str | None = OLD) -> OnBoard:
        board = cls(folder, archive, folder / "scripts")
        for name in ("root", "update/files", "update/tmp", "scripts"):
            (folder / name).mkdir(parents=True)
        (folder / "root" / "board.json").write_text(json.dumps({"current": flies}))
        (folder / "defaults").write_text(f"DIS2_EDGE_ROOT={folder / 'root'}\n")
        (folder / "update" / "files" / "anything.tar").symlink_to(archive)
        with tarfile.open(archive) as tar:
            for name in ("mender/dis2-edge", "rauc/handler.sh"):
                tar.extract(name, board.scripts, filter="fully_trusted") if _filters() else tar.extract(
                    name, board.scripts
                )
        return board

    def mender(self, state: str) -> subprocess.CompletedProcess[str]:
        """Call the update module as Mender does: state, folder; working directory the folder."""
        module = self.scripts / "mender" / "dis2-edge"
        return self._run([str(module), state, str(self.folder / "update")], cwd=self.folder / "update")

    def rauc(self, **more: str) -> subprocess.CompletedProcess[str]:
        """Call the full custom handler as RAUC does: in the mounted bundle's place, all words in the environment."""
        return self._run(
            [str(self.scripts / "rauc" / "handler.sh")],
            RAUC_BUNDLE_MOUNT_POINT=str(self.folder / "update" / "files"),
            TMPDIR=str(self.folder / "update" / "tmp"),
            **more,
        )

    def blow(self, **blows: str) -> None:
        (self.folder / "root" / "blows.json").write_text(json.dumps(blows))

    def now(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "root" / "board.json").read_text()))

    def _run(self, words: list[str], cwd: Path | None = None, **more: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": os.environ["PATH"],
            "DIS2_EDGE_DEFAULTS": str(self.folder / "defaults"),
            "DIS2_EDGE_PYTHON": sys.executable,
            **more,
        }
        return subprocess.run(
            words, cwd=cwd or self.folder, env=environment, capture_output=True, text=True, timeout=120, check=False
        )


def _filters() -> bool:
    """Whether this Python's tarfile knows filters: 3.10 may be too old, 3.14 wants one."""
    return hasattr(tarfile, "data_filter")
