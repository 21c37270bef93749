"""What a deploy is asked to do, and the command line that asks for it again."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path

from dis2_boards.agent.services import Kind
from dis2_boards.targets.target import Target
from dis2_edge.engine_names import Wanted


@dataclass(frozen=True)
class Order:
    """One deploy to one target."""

    source: Path
    """A quantised run, or a bundle, which is taken as it is."""
    target: Target
    """Where it goes."""
    board: str | None = None
    """Board to pack for; None: the one that the target is found to be."""
    out: Path | None = None
    """Where the bundle is kept; None: nowhere."""
    wheels: Path | None = None
    """Folder of wheels; None: the usual one."""
    tags: tuple[str, ...] = ()
    """Pythons and machines to lock packages for, beside the target's own."""
    extras: tuple[str, ...] = ()
    """Groups of packages beside what every board has."""
    kernels: Path | None = None
    """Folder of built CUDA kernels; None: built here, where nvcc is."""
    key: Path | None = None
    """Private key that signs the bundle; None: it is not signed, or was already."""
    engine: Wanted = "auto"
    """What is to fly there."""
    service: Kind | None = None
    """How it is to be started; None: as the board has it."""
    rig: Path | None = None
    """The aircraft's rig for the board; None: as the board has it."""
    data: Path | None = None
    """Labelled data whose tiles are judged on the board."""
    describe: Path | None = None
    """Description of `data`, where it does not lie beside it."""
    split: str = "test"
    """Its split."""
    tiles: int = 32
    """How many tiles."""
    report: Path | None = None
    """Folder for the board's report."""
    wait_s: float = 0.0
    """How long to wait for another deploy."""
    settle_s: float = 30.0
    """How long the new version has to show that it is healthy."""
    limit_s: float = 3600.0
    """How long building and proving may take."""
    max_drop: float = 0.5
    """Points of mIoU that the faster precision may lose."""
    workstation: bool = False
    """Whether a workstation is meant."""
    only_new: bool = False
    """Whether a board that flies the bundle, and is not unwell, is left alone, whatever else is asked for."""
    words: tuple[str, ...] = field(default=())
    """The user's words, so that a message can repeat them."""

    def again(self, *more: str) -> str:
        """The same command, with `more` words: a flag and its value, or a flag alone; they replace what was said."""
        words = list(self.words)
        if len(more) == 2 and more[0] in words:
            place = words.index(more[0])
            del words[place : place + 2]
        return " ".join(["dis2-edge deploy", *words, *map(shlex.quote, more)])

    @property
    def plain(self) -> bool:
        """Whether nothing is asked for but that the bundle flies."""
        return self.engine == "auto" and self.service is None and self.rig is None and self.data is None

    def ask(self, verb: str, *more: str) -> str:
        """Another verb's command for the same target."""
        return " ".join([f"dis2-edge {verb}", *self.target.words, *map(shlex.quote, more)])
