"""The processes of the runs: each with its threads pinned to cores of its own, its output in a log."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from benchmarks.reproduce.places import Places
from benchmarks.reproduce.plan import ROOT, Run
from dis2_edge.errors import StorageError
from dis2_edge.files import storage_errors

TAIL = 4
"""Last lines of a failed run's log that are shown."""


class Child(Protocol):
    """A process at work."""

    def poll(self) -> int | None:
        """Its exit code; None while it works."""

    def terminate(self) -> None:
        """Ask it to end."""

    def wait(self) -> int:
        """Wait until it has ended; its exit code."""


Launch = Callable[[Run, int], Child]
"""Starts the process of a run in a slot, 0-based."""


def launcher(places: Places, jobs: int, threads: int, arguments: Sequence[str], verb: str = "one") -> Launch:
    """Starts `python -m benchmarks.reproduce VERB RUN arguments`; of `jobs` slots each has `threads` cores, if there
    are so many."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []

    def launch(run: Run, slot: int) -> Child:
        log = places.log(run)
        with storage_errors(log):
            log.parent.mkdir(parents=True, exist_ok=True)
            out = log.open("ab")
        command = [sys.executable, "-m", "benchmarks.reproduce", verb, run.name, *arguments]
        own_threads = {"OMP_NUM_THREADS": str(threads)} if threads else {}
        environment = {**os.environ, "PYTHONPATH": _python_path(), "OMP_WAIT_POLICY": "PASSIVE", **own_threads}
        with out:
            child = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=subprocess.STDOUT)
        own = cores[slot * threads :][:threads]
        if jobs > 1 and len(own) == threads > 0:
            with contextlib.suppress(OSError):  # it may have ended already
                os.sched_setaffinity(child.pid, own)
        return child

    return launch


@contextlib.contextmanager
def alone(places: Places) -> Iterator[None]:
    """Hold the folder of runs: two drivers would train the same run into one folder."""
    with storage_errors(places.runs):
        places.runs.mkdir(parents=True, exist_ok=True)
        file = (places.runs / ".lock").open("w")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as cause:
            raise StorageError(
                f"another reproduction works in {places.runs}", mend="wait for it, or choose another --out"
            ) from cause
        yield


def tail(log: Path) -> list[str]:
    """The last lines of a log; none where it cannot be read."""
    try:
        return log.read_text("utf-8", errors="replace").splitlines()[-TAIL:]
    except OSError:
        return []


def _python_path() -> str:
    roots = [str(ROOT / place) for place in (".", "train", "quantize", "boards", "runtime")]
    return os.pathsep.join([*roots, *filter(None, [os.environ.get("PYTHONPATH", "")])])
