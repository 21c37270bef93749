"""How a child process runs a module of ours: by the same Python, with the same packages, first to die, never alone."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def own_python(module: str) -> tuple[list[str], dict[str, str]]:
    """The words that start `module`, and the environment for them.

    An isolated Python (-I) has isolated children: no folder that it happens to stand in is looked into.
    """
    if sys.flags.isolated:
        return [sys.executable, "-I", "-m", module], dict(os.environ)
    paths = os.pathsep.join(path for path in sys.path if path)
    return [sys.executable, "-m", module], {**os.environ, "PYTHONPATH": paths}


def expendable() -> None:
    """Said by a child of itself: where memory ends, the system takes it first, and it dies with who started it.

    So a build that was left behind cannot hold the GPU's memory against the next one.
    """
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    with contextlib.suppress(OSError, AttributeError):  # a system that is not Linux
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
