"""Build a kernel's source for the CPU: the same text, the words of the shim, and a launcher a kernel."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

ROOM = Path(__file__).parent
SOURCES = ROOM.parents[3] / "runtime" / "dis2_runtime" / "kernels"
CACHE = ROOM.parents[3] / "out" / "pretend" / "kernels"
RACES = ("-fsanitize=thread", "--param=tsan-instrument-func-entry-exit=0", "-DDIS2_RACES")
"""The compiler's calls at each access, which races.cc answers in place of ThreadSanitizer."""
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer", "-g")
_FLAGS = (
    "-Wno-unknown-pragmas",
    "-std=c++17",
    "-O1",
    "-fPIC",
    "-shared",
    "-fvisibility=hidden",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wno-unknown-pragmas",
)
_KERNEL = re.compile(r"DIS2_KERNEL\((\w+),\s*(\d+)\)")


def compiler() -> str | None:
    """The C++ compiler that knows _Float16, if there is one."""
    return shutil.which("g++")


def build(
    name: str, *, text: str | None = None, architecture: int = 87, sanitize: bool = False, races: bool = False
) -> Path:
    """The shared object of kernel source `name`, or of `text` in its place; from the cache if nothing has changed."""
    source = (SOURCES / f"{name}.cu").read_text() if text is None else text
    flags = (
        *_FLAGS,
        *(SANITIZERS if sanitize else ()),
        *(RACES if races else ()),
        f"-DDIS2_ARCHITECTURE={architecture}",
    )
    included = [*sorted(SOURCES.glob("*.cuh")), *sorted(ROOM.glob("*.h")), *sorted(ROOM.glob("*.cc"))]
    parts = [source, *flags, *(path.read_text() for path in included)]
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    target = CACHE / f"{name}-{key}.so"
    if not target.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        _compile(source, flags, target)
    return target


def kernels_of(source: str) -> list[tuple[str, int]]:
    """Name and largest block of each kernel in a source."""
    listing = _run(["g++", "-E", "-P", "-x", "c++", "-DDIS2_LISTING", f"-I{SOURCES}", "-"], source)
    return [(name, int(threads)) for name, threads in _KERNEL.findall(listing)]


def _compile(source: str, flags: tuple[str, ...], target: Path) -> None:
    launchers = "\n".join(f"DIS2_LAUNCHER({name}, {threads})" for name, threads in kernels_of(source))
    unit = f'#include "device.cuh"\n{source}\n#include "launch.h"\n{launchers}\n'
    made = target.with_suffix(f".{os.getpid()}")
    command = ["g++", *flags, f"-I{ROOM}", f"-I{SOURCES}", "-x", "c++", "-"]
    if RACES[0] in flags:  # compiled with the calls, linked with what answers them
        part = made.with_suffix(f".{os.getpid()}.o")
        _run([*(flag for flag in command if flag != "-shared"), "-c", "-o", str(part)], unit)
        _run(["g++", *_FLAGS, str(part), str(ROOM / "races.cc"), "-ldl", "-o", str(made)], "")
        part.unlink()
    else:
        _run([*command, "-o", str(made)], unit)
    made.replace(target)


def _run(command: list[str], text: str) -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")
    return done.stdout
