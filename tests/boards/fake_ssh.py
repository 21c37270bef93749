"""A stand-in for OpenSSH's `ssh`: it runs the command here through any shell, or fails in the words of a file."""

from __future__ import annotations

import sys
from pathlib import Path

STAND_IN = """#!{python}
import json, os, subprocess, sys
here = os.path.dirname(__file__)
with open(here + "/words", "w") as file:
    json.dump(sys.argv[1:], file)
said = open(here + "/said").read() if os.path.exists(here + "/said") else ""
if said:
    code, _, text = said.partition("\\n")
    sys.stderr.write(text)
    sys.exit(int(code))
greeting = here + "/greeting"
if os.path.exists(greeting):
    sys.stdout.write(open(greeting).read())
    sys.stdout.flush()
shell = open(here + "/shell").read()
os.execv(shell, [shell, "-c", sys.argv[-1]])
"""


def make_stand_in(room: Path) -> Path:
    """The folder `room` with `ssh` in it: `shell` names the login shell, `said` makes it fail in these words."""
    room.mkdir()
    (room / "ssh").write_text(STAND_IN.replace("{python}", sys.executable))
    (room / "ssh").chmod(0o755)
    (room / "shell").write_text("/bin/sh")
    return room


def path_with(room: Path) -> str:
    """A PATH on which that `ssh` is the first."""
    return f"{room}:{Path(sys.executable).parent}:/usr/bin:/bin"
