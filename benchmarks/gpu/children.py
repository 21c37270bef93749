"""A child process with a limit, which takes all its own children with it when it is cut short."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Ended:
    """How a child ended."""

    code: int | None
    """Exit code; None when it was cut short."""
    text: str
    """What it printed, stdout and stderr as they came."""

    @property
    def last(self) -> str:
        """Its last line."""
        lines = [line.strip() for line in self.text.splitlines() if line.strip()]
        return lines[-1] if lines else "it says nothing"


def run_limited(command: Sequence[str], limit_s: float) -> Ended:
    """Run `command` for at most `limit_s`; OSError when it cannot be started.

    It prints into a file: a compiler's worker that outlives its parent would keep a pipe open, and us waiting.
    """
    with tempfile.TemporaryFile() as output:
        child = subprocess.Popen(
            list(command), stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
        try:
            code: int | None = child.wait(max(0.1, limit_s))
        except subprocess.TimeoutExpired:
            code = None
        finally:
            _end_group(child)
        output.seek(0)
        return Ended(code, output.read().decode("utf-8", "replace"))


def _end_group(child: subprocess.Popen[bytes]) -> None:
    """The child leads a group of its own; whoever is left of it goes too."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
