"""What a plan is made of: the model files of a quantised run that are for a board, and what their layers cost."""

from __future__ import annotations

from pathlib import Path

from dis2_boards.packing import quantized
from dis2_boards.packing.quantized import QuantizedRun
from dis2_boards.profile import Board
from dis2_edge.costs import LayerCost, read_costs
from dis2_edge.errors import BoardError, CheckpointError
from dis2_edge.manifest import ModelRow

Files = dict[ModelRow, tuple[LayerCost, ...]]
"""The layers of each model file."""


def read_run(qrun: Path) -> QuantizedRun:
    """The run in `qrun`; what is given in its place is told what to give."""
    if (qrun / "manifest.json").is_file():
        raise CheckpointError(
            f"{qrun} is a bundle, which does not hold what its layers cost",
            expected="a quantised run",
            mend="give the folder of `dis2-edge quantize` that it was made of",
        )
    if qrun.is_dir() and not (qrun / quantized.INDEX).exists() and any(qrun.glob("*.costs.json")):
        raise CheckpointError(
            f"{qrun} holds costs, but is no quantised run", mend=f"give the folder of the run: {qrun.absolute().parent}"
        )
    return quantized.read(qrun)


def files_for(board: Board, run: QuantizedRun, qrun: Path) -> Files:
    """The files for `board`, by scenario in the run's order, then as the board likes their precisions.

    BoardError where there is none, CheckpointError where the costs of one are missing.
    """
    found = [row for row in run.models if board.runs(row)]
    if not found:
        raise BoardError(
            f"no model of {run.name} is for the board {board.name!r}",
            expected=f"{board.dialect} {board.io} files in {' or '.join(board.precisions)}",
            mend=f"quantize again with --dialect {board.dialect} --precision {','.join(board.precisions)}",
        )
    order = {name: place for place, name in enumerate(run.task.scenarios)}
    found.sort(key=lambda row: (order.get(row.scenario, len(order)), board.precisions.index(row.precision)))
    return {row: _costs(qrun, row) for row in found}


def _costs(qrun: Path, row: ModelRow) -> tuple[LayerCost, ...]:
    file = (qrun / row.file).with_suffix(".costs.json")
    if not file.is_file():
        raise CheckpointError(f"{file} is missing: what the layers of {row.file} cost", mend="quantize again")
    return read_costs(file)
