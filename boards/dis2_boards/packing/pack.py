"""Make a bundle of a quantised run for a board, and keep it only if its own verification passes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from dis2_boards.packing import quantized
from dis2_boards.packing.card import model_card
from dis2_boards.packing.quantized import QuantizedRun
from dis2_boards.profile import Board
from dis2_edge import __version__, bundle
from dis2_edge.bundle import Bundle, Manifest, ModelRow, Policy
from dis2_edge.errors import BoardError, BundleError
from dis2_edge.files import new_folder, write_text

ENGINES = {"ort": "onnxruntime", "trt": "tensorrt"}
"""The package that verifies, and flies, each dialect."""
VERIFY_LIMIT_S = {"ort": 600.0, "trt": 7200.0}
"""How long a verification may take before it is ended, by dialect; under TensorRT it builds every engine."""


def pack(qrun: Path, board: Board, out: Path) -> Bundle:
    """Make the bundle `out` from the quantised run `qrun`: whole and proven on this machine, or not at all.

    Raises CheckpointError on a run that is none or unfinished, BoardError when no model of it is for the board, or the
    engine that would prove one is not here, StorageError when the disk refuses, and BundleError when the new bundle
    does not pass its goldens.
    """
    _check_engine(board)
    run = quantized.read(qrun)
    manifest = _manifest(run, board)
    with new_folder(out) as folder:
        _copy(qrun, folder, manifest)
        write_text(folder / "card.md", model_card(manifest, board))
        bundle.write(folder, manifest)
        verify(folder, VERIFY_LIMIT_S[board.dialect])
    return bundle.read(out)


def _check_engine(board: Board) -> None:
    """Refuse where no bundle for the board can be proven: what was not verified is not deployed."""
    package = ENGINES[board.dialect]
    if find_spec(package) is None and board.dialect == "trt":
        raise BoardError(
            f"nothing here can prove a bundle for the board {board.name!r}: its files ({board.dialect}) run under "
            f"{package}, which is not installed",
            expected="a machine with TensorRT, as a rule the board itself",
            mend="copy the quantised run there and deploy it there, or deploy --board host; for this board there are "
            f"predictions and checks: dis2-edge boards {board.name}",
        )


def verify(folder: Path, limit_s: float = VERIFY_LIMIT_S["ort"]) -> None:
    """Let the version of dis2-edge that will fly the bundle verify it, in a process of its own."""
    command = [sys.executable, "-m", "dis2_edge", "bundle", "verify", str(folder)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, env=environment)
    except subprocess.TimeoutExpired as cause:
        raise BundleError(f"the new bundle did not verify within {limit_s:g} s; it was not kept") from cause
    if done.returncode:
        raise BundleError(f"the new bundle does not verify and was not kept: {_said(done)}")


def _said(done: subprocess.CompletedProcess[str]) -> str:
    """The message of a verification that failed; of one that broke, the last line of its trace."""
    lines = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit {done.returncode}"]
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return (errors or lines)[-1]


def _manifest(run: QuantizedRun, board: Board) -> Manifest:
    """What the bundle will say of itself, with the model rows that are for `board`."""
    models = tuple(row for row in run.models if board.runs(row))
    if models and board.dialect == "trt":
        models += tuple(row for row in run.models if _stands_in(row))
    if not models:
        wanted = f"{board.dialect} {board.io} files in {' or '.join(board.precisions)}"
        raise BoardError(
            f"no model of {run.name} is for the board {board.name!r}",
            expected=wanted,
            mend=f"quantize again with --precision {','.join(board.precisions)}",
        )
    anchor = run.task.sensors[0]
    return Manifest(
        name=run.name,
        network=run.network,
        recipe_hash=run.recipe_hash,
        task=run.task,
        statistics=run.statistics,
        models=models,
        goldens=run.goldens,
        policy=Policy(anchor=anchor.name, rate_hz=anchor.rate_hz),
        board=board.name,
        provenance={**run.provenance, "deployed with": f"dis2-edge {__version__}"},
    )


def _stands_in(row: ModelRow) -> bool:
    """Whether a model flies on the board's processor when its GPU fails."""
    return (row.dialect, row.io, row.precision) == ("ort", "frame", "int8")


def _copy(qrun: Path, folder: Path, manifest: Manifest) -> None:
    """Copy what the manifest names, and the recipe; nothing else of the run travels."""
    names = {"recipe.toml", *(row.file for row in manifest.models), *(golden.file for golden in manifest.goldens)}
    for name in sorted(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(qrun / name, folder / name)
