"""Children of ours: isolated where their parent is, and gone when it is gone."""

from __future__ import annotations

import os
import select
import subprocess
import sys

from opened import ROOTS

PATHS = os.pathsep.join(map(str, ROOTS))
CHILD = (
    "import time; from dis2_runtime.own_python import expendable as own; own(); print(1, flush=True); time.sleep(600)"
)
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {CHILD!r}], close_fds=False)"
ASKED = "import sys; sys.path[:0] = {paths!r}.split({sep!r}); from dis2_runtime.own_python import own_python; "
ASKED += "words, environment = own_python('m'); print(words[1:], environment.get('PYTHONPATH'))"


def asked(*flags: str) -> str:
    code = ASKED.format(paths=PATHS, sep=os.pathsep)
    environment = {**os.environ, "PYTHONPATH": PATHS}
    return subprocess.run([sys.executable, *flags, "-c", code], env=environment, capture_output=True, text=True).stdout


def test_an_isolated_python_has_isolated_children() -> None:
    assert asked("-I").startswith("['-I', '-m', 'm']")
    assert asked().startswith("['-m', 'm']")
    assert PATHS in asked()


def test_a_child_dies_with_who_started_it() -> None:
    held, kept = os.pipe()  # `kept` is open in parent and child: what is read here ends when both are gone
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT],
        pass_fds=[kept],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": PATHS},
    )
    os.close(kept)
    with parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"1\n"
        parent.kill()
    gone, _, _ = select.select([held], [], [], 60)
    assert gone, "the child lives on"
    assert os.read(held, 1) == b""
    os.close(held)
