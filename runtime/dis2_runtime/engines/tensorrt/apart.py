"""Build in a process of its own, within bounds of time and memory: when memory ends, the child dies and not the flight.

The kernel is told to take the child first (oom_score_adj), and this side watches its resident memory: address space
cannot be bounded, as CUDA reserves much more of it than it uses.
"""

from __future__ import annotations

import contextlib
import queue
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from dis2_edge.errors import EngineError
from dis2_edge.files import write_bytes, write_json
from dis2_runtime.engines.tensorrt.builder import Options
from dis2_runtime.own_python import own_python

__all__ = ["Bounds", "build_apart"]

MODULE = "dis2_runtime.engines.tensorrt.build"
KILLED = -9
_LOOK_S = 0.5


@dataclass(frozen=True)
class Bounds:
    """What a build may take."""

    seconds: float = 1800.0
    """Time, after which it is ended."""
    memory_mb: int = 0
    """Resident memory of the process in MiB; 0 sets no bound of ours."""


def build_apart(
    onnx: bytes,
    options: Options,
    bounds: Bounds,
    timing_cache: Path | None = None,
    kernels: Sequence[Path] = (),
    tell: Callable[[str], None] = lambda line: None,
) -> bytes:
    """The plan of the model `onnx`, as `builder.build` makes it, from a child process.

    `kernels` are folders with the kernels of a model of the form `plugin`. `tell` gets lines of progress. Raises
    EngineError with the child's own message, or with the bound that ended it.
    """
    with tempfile.TemporaryDirectory(prefix="dis2-build-") as scratch:
        folder = Path(scratch)
        write_bytes(folder / "model.onnx", onnx)
        write_json(folder / "options.json", asdict(options))
        words, environment = own_python(MODULE)
        command = [*words, str(folder / "model.onnx"), "--out", str(folder / "plan")]
        command += ["--options", str(folder / "options.json")]
        command += ["--timing-cache", str(timing_cache)] if timing_cache else []
        for place in kernels:
            command += ["--kernels", str(place)]
        _run(command, environment, bounds, tell)
        try:
            return (folder / "plan").read_bytes()
        except OSError as error:
            raise EngineError(f"the build ended without a plan ({error.strerror})") from error


def _run(command: list[str], environment: dict[str, str], bounds: Bounds, tell: Callable[[str], None]) -> None:
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    said: list[str] = []
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    readers = [_reader(child.stdout or (), lines.put), _reader(child.stderr or (), said.append)]
    broken = ""
    try:
        broken = _watch(child, bounds, lines, tell)
    finally:
        child.kill()
        child.wait()
        for reader in readers:
            reader.join()
        for pipe in (child.stdout, child.stderr):
            if pipe is not None:
                pipe.close()
    if broken or child.returncode:
        raise _told(broken, child.returncode, said, bounds)


def _watch(
    child: subprocess.Popen[str], bounds: Bounds, lines: queue.SimpleQueue[str], tell: Callable[[str], None]
) -> str:
    """Wait for the child; the bound that it broke, or nothing."""
    end = time.monotonic() + bounds.seconds
    while child.poll() is None:
        with contextlib.suppress(queue.Empty):
            tell(lines.get(timeout=_LOOK_S))
        if time.monotonic() > end:
            return f"{bounds.seconds:g} s"
        if bounds.memory_mb and _resident_mb(child.pid) > bounds.memory_mb:
            return f"{bounds.memory_mb} MiB of memory"
    while not lines.empty():
        tell(lines.get())
    return ""


def _told(broken: str, code: int, said: list[str], bounds: Bounds) -> EngineError:
    mend = "stop what else runs, lower the workspace, or build on a board with more memory"
    if broken:
        return EngineError(f"building took more than {broken} and was ended", mend=mend)
    if code == KILLED:
        return EngineError("the build was killed, as a rule because memory ended", mend=mend)
    lines = [line.strip() for line in said if line.strip()] or [f"exit {code}"]
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return EngineError((errors or lines)[-1])


def _reader(pipe: Iterable[str], put: Callable[[str], object]) -> threading.Thread:
    """A thread that empties `pipe`, so that the child never waits for us."""

    def read() -> None:
        for line in pipe:
            put(line.rstrip("\n"))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread


def _resident_mb(pid: int) -> float:
    """Memory that the process has in use; 0 where the system does not tell."""
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1]) / 1024
    return 0.0
