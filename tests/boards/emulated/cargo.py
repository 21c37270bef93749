"""What is deployed: two tiny networks, really trained and quantised, once; and the scene that they fly over."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from dis2_edge.errors import InternalError
from dis2_edge.terminal import progress
from tests.boards.emulated.base import HOME

OLD, NEW = "old", "new"
SEEDS = {OLD: 0, NEW: 1}
"""Each network and its seed: the same recipe, other weights, so that a deploy of the second sends what differs."""
SIZE, SCENES = 32, 24
CHANGES = ("epochs=1", "width=0.125", "quantize_epochs=1", "calibration_images=4")
RATE_HZ = 1.0
"""Ticks a second: what the emulated processor answers in time, with others at work beside it."""
RIG = f"""sinks = []

[sensors.rgb]
source = "flight:{HOME}/flight"
rate_hz = {RATE_HZ:g}
max_age_ms = 3000

[sensors.ndsm]
source = "flight:{HOME}/flight"
rate_hz = {RATE_HZ:g}
max_age_ms = 3000

[policy]
anchor = ""
rate_hz = {RATE_HZ:g}
"""
LOSS = """# The camera falls silent after 10 seconds and comes back 10 seconds later.
[[fault]]
sensor = "rgb"
kind = "off"
start_s = 10.0
length_s = 10.0
"""


@dataclass(frozen=True)
class Cargo:
    """Folders of what was made."""

    folder: Path
    """All of it."""

    def qrun(self, name: str) -> Path:
        """The quantised run called `name`."""
        return self.folder / f"int8-{name}"

    @property
    def flight(self) -> Path:
        """The scene that the board flies over: a picture for each sensor."""
        return self.folder / "data" / "flight"


def make(folder: Path) -> Cargo:
    """Make what is not there yet; each step is whole or starts over."""
    cargo = Cargo(folder)
    data = folder / "data"
    size = ("--count", str(SCENES), "--size", str(SIZE), "--seed", "7")
    steps = [(data, ("data", "synth", "--kind", "aerial", *size))]
    changes = [word for change in CHANGES for word in ("--set", change)]
    for name, seed in SEEDS.items():
        run = folder / f"run-{name}"
        recipe = str(Path(__file__).parents[3] / "dis2_edge" / "recipes" / "demo.toml")
        steps.append((run, ("train", recipe, "--data", str(data), *changes, "--set", f"seed={seed}")))
        steps.append((cargo.qrun(name), ("quantize", str(run), "--data", str(data), "--dialect", "ort")))
    missing = [(out, words) for out, words in steps if not out.is_dir()]
    for out, words in progress(missing, "two tiny networks") if missing else ():
        _do(out, words)
    return cargo


def load(cargo: Cargo, home: Path, owner: int) -> None:
    """Put the scene and the faults into the board's home, as whoever set up the aircraft would."""
    shutil.copytree(cargo.flight, home / "flight", dirs_exist_ok=True)
    (home / "loss.toml").write_text(LOSS, "utf-8")
    for path in (home / "flight", *(home / "flight").iterdir(), home / "loss.toml"):
        os.chown(path, owner, owner)


def _do(out: Path, words: tuple[str, ...]) -> None:
    """One command, whose folder appears only when it is whole; a verdict (exit 1) is no failure."""
    scratch = out.parent / "making" / out.name  # of the same name, which a run keeps for its own
    shutil.rmtree(scratch, ignore_errors=True)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(Path(p).resolve()) for p in sys.path if p)}
    command = [sys.executable, "-m", "dis2_edge", *words, "--out", str(scratch)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode not in (0, 1) or not scratch.is_dir():
        raise InternalError(f"{' '.join(words[:2])} failed: {done.stderr.strip()[-500:]}")
    scratch.rename(out)
