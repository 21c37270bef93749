"""The demo: the whole way at a small size, step by step, by the command lines that a person would type.

Two networks go it side by side and fly the same flight while the same camera dies: by day DIS2 and ordinary early
fusion, from day into night DIS2 and CSK-Net.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.resources import files as package_files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dis2_edge.errors import MissingExtraError, StorageError
from dis2_edge.files import write_text
from dis2_edge.report.page import percent, summary
from dis2_edge.report.plots import ms
from dis2_edge.report.schema import Report
from dis2_edge.report.write import HTML, read
from dis2_edge.story import DAY, NIGHT, Story
from dis2_edge.terminal import say, table

NEEDED = {"torch": "quantize", "onnx": "quantize", "onnxruntime": "quantize", "jinja2": "report"}
"""Package -> the extra that brings it: asked for before the first step, not after minutes."""


@dataclass(frozen=True)
class Size:
    """How large a demo is; the default takes some minutes on two cores."""

    scenes: int = 110
    """Synthetic scenes."""
    pixels: int = 96
    """Side of a scene, and of the networks' grid."""
    changes: tuple[str, ...] = ()
    """Changes to both recipes, `key=value`."""
    flight_s: float = 12.0
    """Length of the flight in seconds."""
    speed: str = "real"
    """`real` flies by the clock, `max` as fast as it goes."""
    calls: int = 100
    """Timed calls of each model."""


@dataclass(frozen=True)
class Step:
    """One command of the demo."""

    why: str
    """What it is for, in a few words."""
    words: tuple[str, ...]
    """The words after `dis2-edge`."""
    judges: bool = False
    """Whether exit code 1 is a verdict on what it made: that is there all the same, and the demo goes on."""

    @property
    def line(self) -> str:
        """The command as a person would type it."""
        return shlex.join(("dis2-edge", *self.words))


def demo(out: Path, *, replace: bool = False, size: Size | None = None, story: Story = DAY) -> int:
    """Run every step of `story` in the new folder `out` and print the closing table; the first exit code that is not 0.

    An `out` that holds files is a StorageError, unless `replace` says that what a demo left there may go. A package
    that a later step needs is asked for at once (MissingExtraError).
    """
    size = size or Size()
    plan = steps(out, size, story)
    for package, extra in NEEDED.items():
        if find_spec(package) is None:
            raise MissingExtraError(package, extra)
    _make_room(out, replace)
    for name, recipe in story.networks.items():
        write_text(out / f"{name}.toml", (package_files("dis2_edge") / "recipes" / recipe).read_text("utf-8"))
    write_text(out / "faults.toml", story.faults(size.flight_s))
    started = time.monotonic()
    for number, step in enumerate(plan, 1):
        say(f"\n[{number}/{len(plan)}] {step.why}\n$ {step.line}")
        code = subprocess.call([sys.executable, "-m", "dis2_edge", *step.words])
        if code == 1 and step.judges:
            say("the verdict failed, as it may on a network that was trained for minutes; the demo goes on")
        elif code:
            say(f"the demo stops here; what came before is in {out}")
            return code
    _tell(read(out / "report"), out / "report" / HTML, time.monotonic() - started)
    return 0


def steps(out: Path, size: Size, story: Story = DAY) -> list[Step]:
    """The demo's commands, in order."""
    make = ("--kind", story.kind, "--count", str(size.scenes), "--size", str(size.pixels), "--seed", "7")
    data = str(out / "data")
    plan = [
        Step(story.why, ("data", "synth", "--out", data, *make)),
        Step("check them, and draw a sheet to look at", ("data", "check", data, "--out", str(out / "check"))),
    ]
    for name in story.networks:
        plan += _steps_of(name, out, size, story)
    bundles, flights = ([str(out / f"{kind}-{name}") for name in story.networks] for kind in ("bundle", "flight"))
    shown = [word for flight in flights for word in ("--stream", flight)]
    report = ("--data", data, "--out", str(out / "report"), "--calls", str(size.calls), *shown)
    return [*plan, Step("measure accuracy and latency of both, side by side", ("profile", *bundles, *report))]


def _steps_of(name: str, out: Path, size: Size, story: Story) -> list[Step]:
    """One network's way from its recipe to its flight."""
    data, recipe, faults = (str(out / part) for part in ("data", f"{name}.toml", "faults.toml"))
    run, quantised, bundle, flight = (str(out / f"{kind}-{name}") for kind in ("run", "int8", "bundle", "flight"))
    changes = [word for change in size.changes for word in ("--set", change)]
    scene = f"flight:{out / 'data' / 'flight'}{story.options(size.pixels, size.flight_s)}"
    sources = (*(word for sensor in story.sensors for word in ("--source", f"{sensor}={scene}")), "--faults", faults)
    how = ("--seconds", str(size.flight_s), "--speed", size.speed)
    return [
        Step(f"train {name}", ("train", recipe, "--data", data, "--out", run, *changes)),
        Step(
            f"make {name} INT8 and judge it",
            ("quantize", run, "--data", data, "--out", quantised, "--dialect", "ort"),
            judges=True,
        ),
        Step(f"pack {name} for this computer", ("deploy", quantised, "--board", "host", "--out", bundle)),
        Step("recompute the bundle's hashes and goldens", ("bundle", "verify", bundle)),
        Step(f"fly {name} while the camera dies", ("run", bundle, *sources, *how, "--out", flight)),
    ]


def _make_room(out: Path, replace: bool) -> None:
    """Refuse a folder in use, or remove what a former demo left in it, and nothing else."""
    if not out.is_dir() or not any(out.iterdir()):
        return
    if not replace:
        raise StorageError(f"{out} is not empty", mend="choose another --out, or allow its demo to go: --replace")
    kinds = ("run", "int8", "bundle", "flight")
    names = {**DAY.networks, **NIGHT.networks}
    for folder in ("data", "check", "report", *(f"{kind}-{name}" for kind in kinds for name in names)):
        shutil.rmtree(out / folder, ignore_errors=True)


def _tell(report: Report, page: Path, seconds: float) -> None:
    """The closing table, and where the report is."""
    rows = [_row(row) for row in summary(report)]
    say("")
    table(
        f"{report.images} test scenes; INT8 on {report.machine.cpu}, {report.threads} threads",
        ("network", "scenario", "mIoU FP32 (%)", "mIoU INT8 (%)", "median ms", "p95 ms"),
        rows,
    )
    say("\nRows of one sensor tell how well each network goes on when the other sensor is lost.")
    say(f"The whole way took {seconds / 60:.1f} minutes. The report with plots and pictures: {page}")


def _row(found: dict[str, Any]) -> tuple[str, ...]:
    """One line of the closing table from a row of the report's summary."""
    after = found["int8"]
    mious = (percent(found[kind].scores.miou) for kind in ("exact", "int8"))
    return (found["bundle"].network, found["scenario"], *mious, ms(after.latency.median_ms), ms(after.latency.p95_ms))
