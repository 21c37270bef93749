"""The other end of worker.py: imports a function, runs it on a forgetful pretend GPU, tells how it went."""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import sys
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from tests.runtime.pretend.places import ROOT

_COUNTED = ("pieces", "contexts", "graphs", "streams", "events", "modules", "misuses")


class Witness:
    """What the pretend GPU tells of itself to who runs in the child."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libcuda.so.1")

    def calls(self, name: str) -> int:
        """How often a driver function was called, its name without a version; "kernel" counts kernels that ran."""
        return int(self._library.pretend_calls(name.encode()))

    def left(self) -> dict[str, int]:
        """What was not given back, and misuses that were told."""
        return {name: count for name in _COUNTED if (count := self._number(name))}

    def forget(self) -> None:
        """A GPU as new: no failure sticks, nothing is allocated, counts at zero."""
        self._library.pretend_forget()

    def _number(self, name: str) -> int:
        return int(getattr(self._library, f"pretend_{name}")())


def _serve(line: Connection) -> None:
    witness = Witness()
    while True:
        try:
            (module, name), arguments, gpu, fail, clean = line.recv()
        except EOFError:
            return
        witness.forget()
        os.environ["PRETEND_GPU"], os.environ["PRETEND_GPU_FAIL"] = gpu, fail
        try:
            value = _found(module, name)(*arguments)
            gc.collect()
            if clean and (left := witness.left()):
                raise AssertionError(f"left behind on the pretend GPU: {left}")
            answer = ("done", value)
        except BaseException as error:  # the parent tells it as its own
            skipped = type(error).__name__ == "Skipped"
            answer = ("skipped", str(error)) if skipped else ("failed", "".join(traceback.format_exception(error)))
        line.send(answer)


def _found(module: str, name: str) -> Callable[..., Any]:
    # As the conftest of a room does for pytest: what its tests share is found by its bare name.
    for folder in (ROOT.joinpath(*module.split(".")[:-1]), ROOT / "tests" / "runtime"):
        if str(folder) not in sys.path:
            sys.path.append(str(folder))
    thing: Any = importlib.import_module(module)
    for part in name.split("."):
        thing = getattr(thing, part)
    return getattr(thing, "pretended", thing)


if __name__ == "__main__":
    _serve(Connection(int(sys.argv[1])))
