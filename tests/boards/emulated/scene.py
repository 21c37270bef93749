"""A board, a workstation and two versions: what is done to the board, and what is asked of it."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dis2_boards.packing.pack import pack
from dis2_boards.packing.stock import gather
from dis2_boards.profile import load
from dis2_boards.trust import keys
from dis2_edge import bundle as bundles
from tests.boards.emulated import cargo as cargos
from tests.boards.emulated import judge
from tests.boards.emulated.base import HOME, UID, USER, made
from tests.boards.emulated.cargo import RIG, Cargo
from tests.boards.emulated.machine import Board
from tests.boards.emulated.watch import Blow, Watched, Workstation
from tests.boards.emulated.wire import Wire

ROOT = "dis2-edge"
"""The folder on the board, below the user's home: the agent's own default."""
BOARD = "generic-arm64"
DISK_MB = 1500
FLIES_LIMIT_S = 240.0
SETTLE_S = "300"
"""How long a new version has to show that it is well: an emulated processor beside others at work."""
FRESH_S = 6.0
"""How old a word of live.json may be, of a flight that writes one a second."""
PROOF = "env/bin/python -I -m dis2_edge bundle verify bundle"
LAUNCHER = f"{ROOT}/current/launch.py"
BOOT = (
    f"[ ! -e {LAUNCHER} ] || DIS2_EDGE_SERVICE={HOME}/{ROOT} "
    f"setsid python3 -I {LAUNCHER} --pump < /dev/null > /dev/null 2>&1 &"
)
"""What starts with the board: a line such as a board without systemd has in its own start-up."""


@dataclass
class Scene:
    """All that a test needs; `opened` makes it."""

    board: Board
    """The board."""
    station: Workstation
    """Whoever deploys."""
    cargo: Cargo
    """Two networks."""
    wheels: Path
    """The workstation's stock of wheels."""
    tag: str
    """The board's Python and machine, as a lock of wheels names them."""
    bundles: dict[str, Path] = field(default_factory=dict)
    """Bundle of each version, once it was packed."""

    @classmethod
    def opened(cls, folder: Path, suite: str, root: Path, wire: Wire) -> Scene:
        """The scene in `folder`, with the board off and its disk empty."""
        board = Board(folder / suite, root, wire, DISK_MB)
        board.prepare()
        cargo = cargos.make(folder / f"cargo-{cargos.SIZE}")
        tag = f"cp{made(folder / suite)['python'].replace('.', '')}-aarch64"
        gather([tag], folder / "wheels")
        station = Workstation.made(folder / suite / "workstation", (folder / suite / "pilot_key").resolve())
        return cls(board, station, cargo, folder / "wheels", tag)

    @property
    def root(self) -> Path:
        """The board's folder, seen from here."""
        return self.board.home / ROOT

    @property
    def target(self) -> str:
        """The board's address."""
        return f"ssh://{USER}@127.0.0.1:{self.board.wire.port}"

    def on(self, host_key: str = "host_key") -> None:
        """Switch the board on; what it holds starts to fly, as it does on an aircraft."""
        self.board.on(host_key)
        self.board.inside(BOOT)

    def equip(self) -> None:
        """What whoever built the aircraft put on its board: rig, trusted key, the scene that stands for sensors."""
        cargos.load(self.cargo, self.board.home, UID)
        (self.root / "trusted").mkdir(parents=True, exist_ok=True)
        (self.root / "rig.toml").write_text(RIG, "utf-8")
        public = keys.public_of(keys.load_private(self.key_file()))
        (self.root / "trusted" / "workshop.pub").write_text(public.line(), "ascii")
        for path in (self.root, *self.root.iterdir(), *(self.root / "trusted").iterdir()):
            os.chown(path, UID, UID)

    def edge(
        self, *words: str, blows: Mapping[str, Blow] | None = None, limit_s: float = 900.0, hear: bool = False
    ) -> Watched:
        """A command of dis2-edge on the workstation."""
        command = [sys.executable, "-m", "dis2_edge", *words]
        return self.station.run(command, blows, _heard if hear else _unheard, limit_s)

    def deploy(self, version: str, *more: str, blows: Mapping[str, Blow] | None = None) -> Watched:
        """Deploy a version to the board: its bundle where it was packed before, else its quantised run."""
        return self.edge(*self.words_of(version), *more, blows=blows)

    def words_of(self, version: str) -> list[str]:
        """The words of such a deploy, after `dis2-edge`."""
        source = self.bundles.get(version, self.cargo.qrun(version))
        words = ["deploy", str(source), "--target", self.target, "--wheels", str(self.wheels)]
        return [*words, "--service", "process", "--wait", "60", "--settle", SETTLE_S]

    def pack(self, version: str) -> str:
        """Pack a version once, signed, with the lock of the board's wheels; its id."""
        out = self.board.place / f"bundle-{version}"
        shutil.rmtree(out, ignore_errors=True)
        key = keys.load_private(self.key_file())
        pack(self.cargo.qrun(version), load(BOARD), out, key=key, tags=[self.tag], wheels=self.wheels)
        self.bundles[version] = out
        return bundles.read(out).id

    def key_file(self) -> Path:
        """The private key that signs bundles, made once."""
        path = self.station.folder / "signing.key"
        if not path.is_file():
            keys.new(path)
        return path

    def known(self) -> dict[str, str]:
        """Id -> name of each version that was packed."""
        return {bundles.read(path).id: name for name, path in self.bundles.items()}

    def state(self) -> judge.State:
        """What lies on the board's disk."""
        return judge.look(self.root, self.known())

    def proven(self, version: str) -> str:
        """Let the board verify the version `version` by that version's own environment; empty, or why not."""
        done = self.board.inside(f"cd {ROOT}/versions/{version} && {PROOF}", 600)
        return "" if done.returncode == 0 else f"exit {done.returncode}: {(done.stderr or done.stdout).strip()[-300:]}"

    def flying(self, limit_s: float = FLIES_LIMIT_S) -> str:
        """Which version flies, by what it says of itself twice, with more ticks the second time; empty if none does."""
        until, last = time.monotonic() + limit_s, (0, "")
        while time.monotonic() < until:
            told = judge.flies(self.root)
            if told and time.time() - float(told.get("written_s", 0)) < FRESH_S:
                now = (int(told.get("ticks", 0)), f"{told.get('bundle')} {told.get('pid')}")
                if last[1] == now[1] and now[0] > last[0]:
                    return str(told["bundle"])
                last = last if last[1] == now[1] else now
            time.sleep(0.5)
        return ""

    def status(self) -> tuple[int | None, str]:
        """What `dis2-edge status` says from afar."""
        done = self.edge("status", "--target", self.target)
        return done.code, done.said


def _heard(moment: str) -> None:
    print(f"    {moment}", flush=True)


def _unheard(_: str) -> None:
    pass
