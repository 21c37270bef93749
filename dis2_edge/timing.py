"""Latency said honestly: how many calls after which warm-up, which percentiles, on which machine."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path

import numpy as np

from dis2_edge.errors import InternalError
from dis2_edge.terminal import progress

WARM_UP = 2
"""Rounds of `take_turns` that are not timed."""
PAUSE_S = 0.05
"""Rest before each call of `take_turns`, while worker threads of the contestant before stop spinning."""
P95_LEAST = 20
"""Fewest samples that a 95th percentile is taken from."""
P99_LEAST = 100
"""Fewest samples that a 99th percentile is taken from."""


@dataclass(frozen=True)
class Latency:
    """A summary of measured calls. A percentile that so few calls cannot tell is None."""

    n: int
    """Calls that were timed."""
    warm_up: int
    """Calls before them that were not."""
    median_ms: float
    """Half of the calls took at most this long."""
    p95_ms: float | None
    """95 % of the calls took at most this long."""
    p99_ms: float | None
    """99 % of the calls took at most this long."""
    samples_ms: tuple[float, ...] = ()
    """Every timed call, in order, rounded to a microsecond."""


@dataclass(frozen=True)
class Machine:
    """What a latency was measured on. It names no host and no user."""

    cpu: str
    """Model of the processor."""
    cores: int
    """Logical cores that this process may use."""
    os: str
    """Operating system and architecture."""
    python: str
    """Version of Python."""
    packages: dict[str, str]
    """Version of each package that the figures depend on; one that is not installed does not stand here."""


def summarise(samples_ms: Sequence[float], warm_up: int = 0) -> Latency:
    """The summary of calls that took `samples_ms` milliseconds each, after `warm_up` calls that were not timed."""
    if not len(samples_ms):
        raise InternalError("no calls were timed")
    count = len(samples_ms)
    p95, p99 = (float(value) for value in np.percentile(samples_ms, (95, 99)))
    return Latency(
        n=count,
        warm_up=warm_up,
        median_ms=float(np.median(samples_ms)),
        p95_ms=p95 if count >= P95_LEAST else None,
        p99_ms=p99 if count >= P99_LEAST else None,
        samples_ms=tuple(round(float(value), 3) for value in samples_ms),
    )


def measure(call: Callable[[], object], n: int, warm_up: int) -> Latency:
    """Time `n` calls of `call` one after the other, after `warm_up` calls."""
    for _ in range(warm_up):
        call()
    return summarise([time_ms(call) for _ in range(n)], warm_up)


def take_turns(
    calls: Mapping[str, Callable[[int], object]], rounds: int, label: str, pause_s: float | None = None
) -> dict[str, Latency]:
    """Time each of `calls` once a round, so that a machine that drifts drifts for all; each is handed its round.

    `pause_s`: rest before each call, None for PAUSE_S; 0 does for contestants whose threads rest when they are done.
    """
    samples: dict[str, list[float]] = {name: [] for name in calls}
    for turn in progress(range(WARM_UP + rounds), label):
        for name, call in calls.items():
            time.sleep(PAUSE_S if pause_s is None else pause_s)
            took_ms = time_ms(partial(call, turn))
            if turn >= WARM_UP:
                samples[name].append(took_ms)
    return {name: summarise(taken, WARM_UP) for name, taken in samples.items()}


def time_ms(call: Callable[[], object]) -> float:
    """How many milliseconds one call takes, on the monotonic clock."""
    start = time.perf_counter_ns()
    call()
    return (time.perf_counter_ns() - start) / 1e6


def describe_machine(packages: Sequence[str] = ("numpy", "onnxruntime"), root: Path = Path("/")) -> Machine:
    """This machine, read from the files below `root` (another root lets a test feed a recorded tree)."""
    return Machine(
        cpu=_cpu_model(root),
        cores=usable_cores(),
        os=f"{_os_name(root)}, {platform.machine()}",
        python=platform.python_version(),
        packages={name: version for name in packages if (version := _version(name))},
    )


def usable_cores() -> int:
    """Logical cores that this process may run on, which can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu_model(root: Path) -> str:
    """The model name of /proc/cpuinfo on a PC, of the device tree on a board, else the architecture."""
    for line in _text(root / "proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name" and value.strip():
            return " ".join(value.split())
    board = _text(root / "proc/device-tree/model").strip("\0 \n")
    return board or platform.machine() or "unknown"


def _os_name(root: Path) -> str:
    for line in _text(root / "etc/os-release").splitlines():
        key, _, value = line.partition("=")
        if key == "PRETTY_NAME":
            return value.strip().strip('"')
    return platform.system()


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError:
        return ""


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
