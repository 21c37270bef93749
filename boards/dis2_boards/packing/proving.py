"""Let dis2-edge act on a folder in a process of its own, as a board will: packing imports no engine and no kernel."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from dis2_edge.bundle import Bundle, ModelRow
from dis2_edge.engine_names import FILES
from dis2_edge.errors import BundleError

ENGINES = {dialect: engine for engine, (dialect, _) in FILES.items()}
"""The package that verifies, and flies, each dialect."""
VERIFY_LIMIT_S = {"ort": 600.0, "trt": 7200.0}
"""How long a verification may take before it is ended, by dialect; under TensorRT it builds every engine."""


def verify(made: Bundle) -> None:
    """Prove every row of a bundle whose engine is here, in the version of dis2-edge that runs; else BundleError.

    Of a bundle for TensorRT, on a machine without it, the rows that stand in for it are proven: see `unproven`.
    """
    here = {row.dialect for row in made.manifest.models} & set(dialects_here())
    if not here:
        return
    engine = "auto" if not unproven(made) else ENGINES[next(iter(here))]
    limit_s = max(VERIFY_LIMIT_S[dialect] for dialect in here)
    try:
        done = start(["bundle", "verify", str(made.path), "--engine", engine], limit_s)
    except subprocess.TimeoutExpired as cause:
        raise BundleError(f"the new bundle did not verify within {limit_s:g} s; it was not kept") from cause
    if done.returncode:
        raise BundleError(f"the new bundle does not verify and was not kept: {said(done)}")


def unproven(made: Bundle) -> list[ModelRow]:
    """The model rows that this machine cannot run: only the board can prove them, and does when it is deployed to."""
    here = dialects_here()
    return [row for row in made.manifest.models if row.dialect not in here]


def kept(made: Bundle) -> str:
    """What came of packing, in a sentence; what was not proven is said in it."""
    rows, left = made.manifest.models, unproven(made)
    place = f"{made.path} (bundle {made.id})"
    if not left:
        return f"verified and kept: {place}"
    engines = " and ".join(sorted({ENGINES[row.dialect] for row in left}))
    return (
        f"kept: {place}; {len(rows) - len(left)} of its {len(rows)} models were verified here. NOT proven here: "
        f"{len(left)} models for {engines}, which only a board with it can run: deploy --target proves them there"
    )


def dialects_here() -> tuple[str, ...]:
    """The dialects whose engine is installed here."""
    return tuple(dialect for dialect, package in ENGINES.items() if find_spec(package) is not None)


def start(words: list[str], limit_s: float, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run `dis2-edge WORDS` to its end; subprocess.TimeoutExpired after `limit_s`."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(os.path.abspath(path) for path in sys.path if path)}
    command = [sys.executable, "-m", "dis2_edge", *words]
    return subprocess.run(
        command, capture_output=True, text=True, errors="replace", timeout=limit_s, env=environment, cwd=folder
    )


def said(done: subprocess.CompletedProcess[str]) -> str:
    """The message of a process that failed; of one that broke, the last line of its trace."""
    lines = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit {done.returncode}"]
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return (errors or lines)[-1]
