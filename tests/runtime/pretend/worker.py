"""A child Python that has the pretend GPU and runs functions for tests, one after the other."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import unittest
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.runtime.pretend.places import ROOT

PATIENCE_S = 120


class Worker:
    """Started in a `with`; a child that died is started again by the next call."""

    def __init__(self, environment: dict[str, str], warnings: str = "error") -> None:
        self._environment, self._warnings = environment, warnings
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def call(
        self, function: Callable[..., Any], *arguments: Any, gpu: str = "", fail: str = "", clean: bool = True
    ) -> Any:
        """Run `function(*arguments)` there, on a GPU that forgot what was before.

        `clean` asks that afterwards nothing is left: no memory, contexts, graphs, and no misuse.
        """
        if self._process is None:
            self._start()
        self._begin = self._errors.seek(0, os.SEEK_END)
        name = function.__qualname__
        try:
            self._line.send(((_module(function), name), arguments, gpu, fail, clean))
            if not self._line.poll(PATIENCE_S):
                raise self._ended(f"{name} hangs on the pretend GPU", kill=True)
            end, value = self._line.recv()
        except (EOFError, OSError) as error:
            raise self._ended("the child of the pretend GPU ended") from error
        if end == "skipped":
            raise unittest.SkipTest(value)
        if end == "failed":
            raise AssertionError(f"on the pretend GPU:\n{value}\n{self._told()}")
        return value

    def _ended(self, why: str, *, kill: bool = False) -> AssertionError:
        """What to tell of a child that is of no more use, which is put away."""
        assert self._process is not None
        if kill:
            self._process.kill()
        code, told = self._process.wait(), self._told()
        self._stop()
        return AssertionError(f"{why} with {code}\n{told}")

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        self._errors = tempfile.TemporaryFile("a+b")  # noqa: SIM115  closed by _stop
        self._process = subprocess.Popen(
            [sys.executable, "-W", self._warnings, "-m", "tests.runtime.pretend.child", str(theirs.fileno())],
            cwd=ROOT,
            env=self._environment,
            pass_fds=[theirs.fileno()],
            stdout=self._errors,
            stderr=self._errors,
        )
        theirs.close()
        self._line = Connection(ours.detach())

    def _told(self) -> str:
        self._errors.seek(self._begin)
        return self._errors.read()[-6000:].decode(errors="replace")

    def _stop(self) -> None:
        if self._process is None:
            return
        self._line.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
        self._errors.close()


def _module(function: Callable[..., Any]) -> str:
    """The name that the child imports: by the file, since pytest has names of its own for test files."""
    file = Path(function.__code__.co_filename).resolve()
    return ".".join(file.relative_to(ROOT).with_suffix("").parts) if ROOT in file.parents else function.__module__
