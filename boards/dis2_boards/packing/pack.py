"""Make a bundle of a quantised run for a board, and keep it only if what this machine can prove of it is proven."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from dis2_boards.packing import quantized
from dis2_boards.packing.card import Contents, model_card
from dis2_boards.packing.kernels import write_kernels
from dis2_boards.packing.licences import Licence, write_licences
from dis2_boards.packing.locks import write_lock
from dis2_boards.packing.packages import groups_for
from dis2_boards.packing.pins import Wheel
from dis2_boards.packing.proving import unproven, verify
from dis2_boards.packing.quantized import QuantizedRun
from dis2_boards.packing.sbom import write_sbom
from dis2_boards.packing.stock import folder_of, gather
from dis2_boards.profile import Board
from dis2_boards.trust.keys import PrivateKey
from dis2_boards.trust.signing import sign
from dis2_edge import __version__, bundle
from dis2_edge.bundle import Bundle, Manifest, ModelRow, Policy
from dis2_edge.errors import BoardError
from dis2_edge.files import check_free, new_folder, write_text

__all__ = ["pack", "unproven"]


def pack(
    qrun: Path,
    board: Board,
    out: Path,
    *,
    key: PrivateKey | None = None,
    tags: Sequence[str] = (),
    wheels: Path | None = None,
    extras: Sequence[str] = (),
    kernels: Path | None = None,
) -> Bundle:
    """Make the bundle `out` from the quantised run `qrun`: whole, and proven as far as this machine can, or not at all.

    `key` signs it. `tags` name the Pythons and machines (`cp310-aarch64`) whose packages it locks, taken from the stock
    in the folder `wheels`, with those of `extras`. `kernels` is a folder of built kernels (default: built here,
    where nvcc is). What only the board can prove, `unproven` tells.

    Raises CheckpointError on a run that is none or unfinished, BoardError when no model of it is for the board,
    WheelError on packages that cannot be had, StorageError when the disk refuses, and BundleError when the new bundle
    does not pass its goldens.
    """
    check_free(out)
    run = quantized.read(qrun)
    manifest = _manifest(run, board)
    stock = folder_of(wheels) if tags else out
    gathered = gather(sorted(set(tags)), stock, groups_for(board, extras)) if tags else {}
    with new_folder(out) as folder:
        _copy(qrun, folder, manifest)
        licences = _lock(folder, gathered, stock)
        contents = Contents(gathered, licences, write_kernels(folder, board, kernels))
        write_sbom(folder, manifest, gathered, licences)
        write_text(folder / "card.md", model_card(manifest, board, contents))
        _open_to_all(folder)
        made = bundle.write(folder, manifest)
        verify(sign(folder, key) if key is not None else made)
    return bundle.read(out)


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


def _lock(folder: Path, gathered: Mapping[str, Sequence[Wheel]], stock: Path) -> tuple[Licence, ...]:
    """Write the locks, and the licences of what they name."""
    for tag, wheels in gathered.items():
        write_lock(folder, tag, wheels)
    return write_licences(folder, {wheel for wheels in gathered.values() for wheel in wheels}, stock)


def _open_to_all(folder: Path) -> None:
    """Who may read the files is not left to the umask of whoever packed them: the board's user reads them too."""
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
