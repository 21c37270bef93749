"""What each layer of a model file costs: operations, bytes and number format, in `costs.json` beside the file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from dis2_edge.errors import CheckpointError
from dis2_edge.files import read_json, write_json
from dis2_edge.settings import from_table

Format = Literal["int8", "fp16", "fp32"]


@dataclass(frozen=True)
class LayerCost:
    """One layer: an operator of the file together with what an engine fuses into it."""

    name: str
    """Name of its node in the file."""
    kind: str
    """Operator, as ONNX names it."""
    format: Format
    """Number format that it computes in."""
    operations: int
    """2 for each multiply-add of convolutions and matrix products, 1 for each value that another operator makes."""
    bytes: int
    """Read and written once: inputs, weights and outputs, each in its own number format."""
    weights: int | None = None
    """Bytes among these that are the same for every image; None in files of before 22 November 2026."""
    alive: int | None = None
    """Bytes of all activations that are held while it computes: made before or by it, and read by it or later."""


def write_costs(file: Path, layers: Sequence[LayerCost]) -> None:
    """Write `layers`, in the order of computation, to `file` (JSON)."""
    write_json(file, {"layers": [asdict(layer) for layer in layers]})


def read_costs(file: Path) -> tuple[LayerCost, ...]:
    """The layers in `file`; CheckpointError where it is no such file."""
    table: Any = read_json(file, CheckpointError)
    rows = table.get("layers") if isinstance(table, dict) else None
    if not isinstance(rows, list):
        raise CheckpointError(f"{file} holds no layers", expected="a costs.json of dis2-edge", mend="quantize again")
    return tuple(
        from_table(LayerCost, row, where=f"{file}: layer {place}", error=CheckpointError)
        for place, row in enumerate(rows)
    )
