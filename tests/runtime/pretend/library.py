"""Compiles the pretend libcuda.so.1, again whenever its sources or the list of names to export changed."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.runtime.pretend.places import OUT

SOURCES = Path(__file__).parent / "libcuda"
NAMES = OUT / "names.txt"
"""The functions that pycuda's extension wants to find: whichever we have not get a body that says "not supported"."""
_FLAGS = ("-std=c++17", "-O1", "-fPIC", "-Wall", "-Wextra", "-Werror", "-Wno-deprecated-declarations")


class HeaderMissingError(Exception):
    """There is no cuda.h to compile against."""


def include_folder() -> Path:
    """The folder of cuda.h: of a toolkit, or of the wheels that hold its headers."""
    places = [Path(os.environ[key]) for key in ("CUDA_HOME", "CUDA_PATH") if os.environ.get(key)]
    if nvcc := shutil.which("nvcc"):
        places.append(Path(nvcc).resolve().parents[1])
    places += [Path("/usr/local/cuda"), *sorted(Path("/usr/local").glob("cuda-*"), reverse=True), OUT / "cuda"]
    for place in places:
        if (place / "include" / "cuda.h").exists():
            return place / "include"
    raise HeaderMissingError("no cuda.h: install a CUDA toolkit, or type: make pretend")


def library() -> Path:
    """out/pretend/lib/libcuda.so.1, compiled from today's sources."""
    names = NAMES.read_text().split() if NAMES.exists() else []
    sources = sorted(SOURCES.glob("*.cc"))
    state = hashlib.sha256(
        b"\0".join([*(path.read_bytes() for path in sorted(SOURCES.iterdir())), *map(str.encode, names)])
    )
    target, stamp = OUT / "lib" / "libcuda.so.1", OUT / "lib" / "built.txt"
    target.parent.mkdir(parents=True, exist_ok=True)
    with (OUT / "lib" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists() or not stamp.exists() or stamp.read_text() != state.hexdigest():
            _compile(sources, names, target)
            stamp.write_text(state.hexdigest())
    return target


def _compile(sources: list[Path], names: list[str], target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent) as work, ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(lambda source: _object(source, Path(work)), sources))
        defined = set(_run(["nm", "--defined-only", "-g", "--format=posix", *map(str, objects)]).split())
        rest = Path(work) / "rest.c"
        rest.write_text("".join(f"int {name}(void) {{ return 801; }}\n" for name in names if name not in defined))
        made = Path(work) / target.name
        _run(
            [
                "g++",
                "-shared",
                "-fPIC",
                "-Wl,-soname,libcuda.so.1",
                "-Wl,-z,nodelete",
                "-o",
                str(made),
                *map(str, objects),
                "-x",
                "c",
                str(rest),
                "-ldl",
                "-lpthread",
            ]
        )
        os.replace(made, target)


def _object(source: Path, work: Path) -> Path:
    made = work / f"{source.stem}.o"
    _run(["g++", *_FLAGS, "-I", str(include_folder()), "-c", str(source), "-o", str(made)])
    return made


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")
    return done.stdout
