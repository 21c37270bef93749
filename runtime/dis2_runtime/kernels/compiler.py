"""nvcc: where it lies, what it can build for, and a kernel's source made into machine code or PTX.

It comes with CUDA and JetPack, or from the package index by the extra `kernels`; it needs g++ and no GPU. Machine code
runs on drivers of the same major CUDA or a later one. PTX is written in the oldest version of the language that holds
it, so that a compiler of CUDA 13 serves the drivers of JetPack 6 (12.6) too.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from dis2_edge.errors import EngineError
from dis2_edge.settings import nearest

FLAGS = ("-O3", "-std=c++17", "-Xptxas", "-v")
"""What every source is built with; `-v` prints the resource report."""
LIMIT_S = 600.0
"""One compilation takes seconds; a small board that swaps takes longer."""
OLDEST_PTX = "7.4"
"""The version of PTX that came with CUDA 11.4, the first that knows an Orin."""
MEND = "install the CUDA toolkit, or `pip install 'dis2-edge[kernels]'` (310 MB; needs g++)"

_IN_WHEELS = ("nvidia/cu*/bin/nvcc", "nvidia/cuda_nvcc/bin/nvcc")
_FOREIGN = ("NVCC_APPEND_FLAGS", "NVCC_PREPEND_FLAGS")
_VERSION = re.compile(r"V(\d+\.\d+\.\d+)")
_PTX_VERSION = re.compile(rb"^\.version \d+\.\d+", re.MULTILINE)
_TARGET = re.compile(r"(sm|compute)_(\d+)")


@dataclass(frozen=True)
class Compiled:
    """What came of one compilation."""

    image: bytes
    """The cubin, or PTX as text."""
    log: str
    """What ptxas said: the resource report."""


@dataclass(frozen=True)
class Compiler:
    """An nvcc that answers."""

    path: Path
    """The program."""
    version: str
    """As it says: 13.0.88."""
    targets: frozenset[str]
    """What it can build for: sm_87 (machine code), compute_87 (PTX), ..."""

    def compile(self, source: Path, target: str) -> Compiled:
        """Machine code of `source` for sm_N, or PTX for compute_N; EngineError with nvcc's own first error."""
        check_target(target, self.targets)
        kind = "-cubin" if target.startswith("sm_") else "-ptx"
        with tempfile.TemporaryDirectory(prefix="dis2-nvcc-") as folder:
            made = Path(folder) / "image"
            done = _run([self.path, *FLAGS, kind, f"-arch={target}", source, "-o", made])
            if done.returncode or not made.is_file():
                told = _first_error(done.stdout + done.stderr)
                raise EngineError(f"{self.path} cannot build {source.name} for {target}: {told}", mend=_mend())
            image = made.read_bytes() if kind == "-cubin" else self._for_old_drivers(made, target)
            return Compiled(image, done.stdout + done.stderr)

    def _for_old_drivers(self, ptx: Path, target: str) -> bytes:
        """The text with an older version in its head, if it assembles by that version's rules; else as it is."""
        older = ptx.with_suffix(".ptx")
        older.write_bytes(_PTX_VERSION.sub(f".version {OLDEST_PTX}".encode(), ptx.read_bytes(), count=1))
        code = f"sm_{number_of(target)}"
        done = _run([self.path, "-cubin", f"-arch={code}", older, "-o", ptx.with_suffix(".cubin")])
        return (ptx if done.returncode else older).read_bytes()


def find_compiler() -> Compiler | None:
    """The first nvcc that answers: of PATH, CUDA_HOME, the usual folder, the packages of this Python."""
    for path in _places():
        if (found := _asked(path)) is not None:
            return found
    return None


def check_target(target: str, known: frozenset[str]) -> None:
    """EngineError when `target` is not one of `known`."""
    if not _TARGET.fullmatch(target):
        raise EngineError(f"{target!r} is no architecture", expected="sm_87 for machine code, compute_87 for PTX")
    if target not in known:
        kind = target.partition("_")[0]
        alike = sorted((name for name in known if name.startswith(f"{kind}_")), key=number_of)
        mend = "Thor is sm_110 since CUDA 13" if number_of(target) == 101 else nearest(target, alike)
        raise EngineError(f"this nvcc does not build for {target}", expected=f"one of {', '.join(alike)}", mend=mend)


def number_of(target: str) -> int:
    """87 of sm_87 and of compute_87."""
    found = _TARGET.fullmatch(target)
    if found is None:
        raise EngineError(f"{target!r} is no architecture", expected="sm_87 for machine code, compute_87 for PTX")
    return int(found[2])


def _places() -> list[Path]:
    named = [shutil.which("nvcc")]
    named += [str(Path(os.environ[name]) / "bin/nvcc") for name in ("CUDA_HOME", "CUDA_PATH") if os.environ.get(name)]
    named.append("/usr/local/cuda/bin/nvcc")
    rooms = [Path(room or ".") for room in sys.path]
    wheels = [path for room in rooms for pattern in _IN_WHEELS for path in sorted(room.glob(pattern))]
    return [path for path in (*(Path(name) for name in named if name), *wheels) if path.is_file()]


@functools.cache
def _asked(path: Path) -> Compiler | None:
    try:
        version = _VERSION.search(_run([path, "--version"]).stdout)
        targets = [_TARGET.findall(_run([path, f"--list-gpu-{kind}"]).stdout) for kind in ("code", "arch")]
    except EngineError:
        return None
    found = frozenset("_".join(pair) for pairs in targets for pair in pairs)
    return Compiler(path, version[1], found) if version and found else None


def _run(command: list[str | Path]) -> subprocess.CompletedProcess[str]:
    """Flags from the environment are left out: what is built must be what the cache's key says."""
    environment = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    try:
        return subprocess.run(
            command, capture_output=True, text=True, errors="replace", env=environment, timeout=LIMIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineError(f"{command[0]} does not run: {error}", mend=MEND) from error


def _first_error(log: str) -> str:
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return next((line for line in lines if "error" in line.lower()), lines[-1] if lines else "it says nothing")


def _mend() -> str:
    if shutil.which("g++") is None:
        return "nvcc needs g++: apt-get install g++"
    return "its headers may be of another version: look at `nvcc --version` and what CUDA is installed beside it"
