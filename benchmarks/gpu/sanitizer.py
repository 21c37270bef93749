"""compute-sanitizer over a child that runs all cases: memory, races, barriers, memory that nobody wrote."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.gpu.children import Ended, run_limited
from benchmarks.gpu.contest import short
from benchmarks.gpu.findings import Looked

TOOLS = ("memcheck", "racecheck", "synccheck", "initcheck")
FAILED = 99
"""Exit code of a run in which the tool found something."""
_IN_WHEELS = "nvidia/cu*/bin/compute-sanitizer"
_PLACES = ("/usr/local/cuda/bin", "/usr/local/cuda/compute-sanitizer")
_ERRORS = re.compile(r"ERROR SUMMARY: (\d+) error")
_HAZARDS = re.compile(r"RACECHECK SUMMARY: (\d+) hazard")


def find_sanitizer() -> Path | None:
    """The program, where CUDA's toolkit is, or the package nvidia-cuda-sanitizer-api."""
    homes = [f"{os.environ[name]}/bin" for name in ("CUDA_HOME", "CUDA_PATH") if os.environ.get(name)]
    found = shutil.which("compute-sanitizer", path=os.pathsep.join([os.environ.get("PATH", ""), *homes, *_PLACES]))
    if found:
        return Path(found)
    return next((path for room in sys.path for path in sorted(Path(room or ".").glob(_IN_WHEELS))), None)


def look(tool: str, child: Sequence[str], limit_s: float) -> Looked:
    """What `tool` finds in `child`, a command; no fault of either raises."""
    program = find_sanitizer()
    if program is None:
        return Looked(
            tool, None, "compute-sanitizer is not here: it comes with the CUDA toolkit, or as nvidia-cuda-sanitizer-api"
        )
    command = [str(program), "--tool", tool, "--error-exitcode", str(FAILED), *child]
    try:
        ended = run_limited(command, limit_s)
    except OSError as error:
        return Looked(tool, None, short(f"{program} does not run: {error}"))
    if ended.code is None:
        return Looked(tool, None, f"not done after {limit_s:.0f} s")
    return read(tool, ended)


def read(tool: str, ended: Ended) -> Looked:
    """What the tool's own summary says; without one, nothing was proven."""
    found = _HAZARDS.search(ended.text) or _ERRORS.search(ended.text)
    if found is None:
        return Looked(tool, None, short(f"no summary, exit code {ended.code}: {ended.last}"))
    errors = int(found[1])
    if errors:
        return Looked(tool, errors, short(_first_finding(ended.text)))
    return Looked(tool, 0, "" if ended.code == 0 else short(f"exit code {ended.code}: {ended.last}"))


def _first_finding(text: str) -> str:
    lines = [line.removeprefix("=========").strip() for line in text.splitlines() if line.startswith("=========")]
    told = [line for line in lines if line and not line.startswith(("COMPUTE-SANITIZER", "ERROR SUMMARY"))]
    return told[0] if told else "it does not say what"
