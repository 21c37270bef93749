"""How a child process runs a module of ours: by the same Python, with the same packages."""

from __future__ import annotations

import os
import sys


def own_python(module: str) -> tuple[list[str], dict[str, str]]:
    """The words that start `module`, and the environment for them.

    An isolated Python (-I) has isolated children: no folder that it happens to stand in is looked into.
    """
    if sys.flags.isolated:
        return [sys.executable, "-I", "-m", module], dict(os.environ)
    paths = os.pathsep.join(path for path in sys.path if path)
    return [sys.executable, "-m", module], {**os.environ, "PYTHONPATH": paths}
