"""Kill a flight at a random moment, a hundred times, and look at what it left: `make kills`.

    python -m benchmarks.kills [--count 100] [--seed 0]

Each time `dis2-edge run` flies a tiny bundle in real time with PNG, overlay and telemetry, and is killed (SIGKILL)
between its start and 1.5 s after its first row. Then every picture must decode, every line of telemetry but the last
must parse, numbers must have no gap, and rows, masks and overlay must go to within a second of the kill. It ends with
1 where anything else was found.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from dis2_edge.terminal import progress, say

ROOT = Path(__file__).parents[1]
LEAST_S = 1.0
"""At most so much may be lost."""
RATE_HZ = 10
"""Ticks a second of the tiny bundle."""


@dataclass(frozen=True)
class Loss:
    """What one kill cost."""

    rows: int
    """Whole rows of telemetry."""
    masks: int
    """Masks with their name."""
    pictures: int
    """Pictures of the overlay that can be played."""
    rows_s: float
    """From the last row to the kill; 0 where there was none yet."""
    masks_s: float
    """From the row of the last mask to the kill."""
    overlay_s: float
    """From the row of the last picture to the kill."""
    faults: tuple[str, ...]
    """All that must not be."""


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kills", description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        command = _tiny(place)
        losses = list(progress(campaign(command, place, args.count, args.seed), "kills", args.count))
    say(told(losses))
    return 1 if any(loss.faults for loss in losses) else 0


def campaign(command: list[str], place: Path, count: int, seed: int) -> Iterator[Loss]:
    """Run `command` + --out below `place` and kill it, `count` times."""
    chance = random.Random(seed)
    for number in range(count):
        yield kill_once([*command, "--out", str(place / f"out{number}")], place / f"out{number}", chance)


def told(losses: list[Loss]) -> str:
    """The figures in a few lines."""
    faults = [fault for loss in losses for fault in loss.faults]
    early = sum(not loss.rows for loss in losses)
    counts = [sum(getattr(loss, name) for loss in losses) for name in ("rows", "masks", "pictures")]
    worst = [max((getattr(loss, name) for loss in losses), default=0) for name in ("rows_s", "masks_s", "overlay_s")]
    return "\n".join(
        [
            f"{len(losses)} kills, {early} of them before the first row",
            "read: {} rows, {} masks, {} pictures of the overlay".format(*counts),
            "most lost before a kill: rows {:.2f} s, masks {:.2f} s, overlay {:.2f} s".format(*worst),
            f"{len(faults)} faults",
            *faults,
        ]
    )


def kill_once(command: list[str], out: Path, chance: random.Random) -> Loss:
    """Start `command`, kill it at a random moment and look at `out`."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        began_s = time.time()
        if chance.random() < 0.1:
            time.sleep(chance.uniform(0, 1))
        else:
            while not _rows(out)[0] and time.time() - began_s < 30 and process.poll() is None:
                time.sleep(0.01)
            time.sleep(chance.uniform(0, 1.5))
        alive = process.poll() is None
    finally:
        process.kill()
        killed_s = time.time()
        process.wait()
    loss = look(out, killed_s)
    return loss if alive else dataclasses.replace(loss, faults=(*loss.faults, f"{out.name}: ended by itself"))


def look(out: Path, killed_s: float) -> Loss:
    """What stands in `out` after a kill at `killed_s` of the wall clock."""
    rows, broken = _rows(out)
    masks, pictures = sorted(out.glob("masks/*.png")), _pictures(out / "overlay.mp4")
    faults = [f"{path.name} does not decode" for path in [*masks, *out.glob("confidence/*.png")] if not _decodes(path)]
    if broken:
        faults.append(f"{broken} broken lines before the last")
    if [row["tick"] for row in rows] != list(range(len(rows))):
        faults.append("the rows' numbers have a gap")
    if [int(path.stem) for path in masks] != list(range(len(masks))):
        faults.append("the masks' numbers have a gap")
    rows_s = killed_s - (out / "telemetry.jsonl").stat().st_mtime if rows else 0.0
    masks_s, overlay_s = (rows_s + max(0, len(rows) - count) / RATE_HZ for count in (len(masks), pictures))
    for what, lost_s in (("rows", rows_s), ("masks", masks_s), ("overlay", overlay_s)):
        if lost_s > LEAST_S:
            faults.append(f"{what} end {lost_s:.2f} s before the kill")
    told = tuple(f"{out.name}: {fault}" for fault in faults)
    return Loss(len(rows), len(masks), pictures, rows_s, masks_s, overlay_s, told)


def _rows(out: Path) -> tuple[list[dict[str, Any]], int]:
    """Whole rows, and how many broken lines there are before the last line."""
    rows, broken = [], 0
    lines = (out / "telemetry.jsonl").read_bytes().split(b"\n") if (out / "telemetry.jsonl").exists() else []
    for line in lines[:-1]:
        try:
            rows.append(json.loads(line))
        except ValueError:
            broken += 1
    return rows, broken


def _decodes(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            image.load()
    except (OSError, SyntaxError):
        return False
    return True


def _pictures(path: Path) -> int:
    """Pictures that a player shows of the video at `path`."""
    import av

    count = 0
    with contextlib.suppress(av.FFmpegError, OSError), av.open(str(path)) as container:
        for _ in container.decode(video=0):
            count += 1
    return count


def _tiny(place: Path) -> list[str]:
    """The command line of a flight over a bundle and a scene that are made here, without --out."""
    sys.path.insert(0, str(ROOT / "tests" / "runtime"))
    from tiny_bundle import NDSM, RGB, make_bundle, task_of, write_scene

    task = task_of(RGB, NDSM, grid=(96, 96))
    bundle = make_bundle(place / "bundle", task)
    write_scene(place, task, size=(120, 300))
    return flight_of(bundle.path, place)


def flight_of(bundle: Path, scene: Path) -> list[str]:
    """The command line of a flight of `bundle` over `scene` with every sink of ours on, without --out."""
    rig = scene / "kills.toml"
    rig.write_text('sinks = ["png", "overlay", "telemetry"]\n[output]\nconfidence = true\nsidecar = true\n')
    sources = [word for name in ("rgb", "ndsm") for word in ("--source", f"{name}=flight:{scene}")]
    return [sys.executable, "-m", "dis2_edge", "run", str(bundle), "--rig", str(rig), *sources, "--threads", "1"]


if __name__ == "__main__":
    sys.exit(main())
