"""Wheels, proof and service without processes, so that hundreds of deploys can be made in a test."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from dis2_boards.agent import disk, environment, hello, proving, services, settling
from dis2_boards.agent.bounded import Ended
from dis2_boards.agent.places import Places, pointed
from dis2_boards.agent.services import State
from tests.boards.agent.scenes import NEW


class StandInService:
    """A service without processes: it remembers which version was current when it was started."""

    flies: str | None = None
    healthy = True
    ticks = 0

    def __init__(self, places: Places) -> None:
        self._places = places

    def set_up(self) -> None: ...

    def take_down(self) -> None: ...

    def start(self) -> None:
        disk.witness.before("start", self._places.current)
        StandInService.flies = pointed(self._places.current)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._places.ticket)  # as the launcher does

    def stop(self) -> None:
        disk.witness.before("stop", self._places.current)
        StandInService.flies = None

    def state(self) -> State:
        name = StandInService.flies
        if name is None or (name == NEW.id and not StandInService.healthy):
            return State(False, why="it fell over")
        StandInService.ticks += 100
        live = {"bundle": name, "pid": os.getpid(), "started_s": 1, "written_s": time.time(), "ticks": self.ticks}
        self._places.live.write_text(json.dumps(live))
        return State(True, (os.getpid(),))


@contextlib.contextmanager
def stand_ins() -> Iterator[None]:
    """Wheels, proof and service without processes, and syncs that cost nothing: the models say what they are worth."""
    with contextlib.ExitStack() as stack:
        for where, name, what in (
            (environment, "_steps", _steps),
            (environment, "_must", _made_environment),
            (environment, "in_use", lambda _: False),
            (proving.bounded, "run", _proven),
            (services, "of", lambda places, kind=None: StandInService(places)),
            (hello, "board_facts", dict),
            (settling, "_POLL_S", 0.0),
            (os, "fsync", lambda _: None),
            (os, "sync", lambda: None),
        ):
            stack.enter_context(mock.patch.object(where, name, what))
        StandInService.flies, StandInService.healthy = None, True
        yield


def _steps(places: Places, version: Path, folder: Path, *_: Any) -> list[tuple[str, list[str]]]:
    disk.make_folder(version / ".wheels")
    return [("build", [str(folder)])]


def _made_environment(command: list[str], _: Path) -> None:
    folder = Path(command[0])
    (folder / "bin").mkdir(parents=True)
    disk.witness.before("half of a child", folder)
    (folder / "bin" / "python").symlink_to(sys.executable)
    (folder / "lib.py").write_text("x = 1\n")


def _proven(command: Sequence[Any], *_: Any, **__: Any) -> Ended:
    words = [str(word) for word in command]
    out, name = Path(words[words.index("--out") + 1]), Path(words[6]).parent.name
    out.write_text("{")
    disk.witness.before("half of a child", out)
    out.write_text(json.dumps({"bundle": name, "chosen": {"engine": "onnxruntime", "precision": "int8"}, "rows": []}))
    return Ended(0, False, 0.0, 0, "")
