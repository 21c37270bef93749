"""Predict a model file's latency on a board from the costs of its layers. A prediction, never a measurement.

The time of a layer is max(operations / attained throughput, bytes / attained bandwidth) + overhead, where what is
attained is the board's peak times a share that its profile states with a source. Layers run one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from dis2_boards.figures import Roofline
from dis2_boards.profile import Board
from dis2_edge.costs import LayerCost
from dis2_edge.errors import BoardError

Bound = Literal["compute", "memory", "overhead"]

VIEWS = frozenset(("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity"))
"""Layers that engines do not run: the same bytes under another shape."""


@dataclass(frozen=True)
class LayerTime:
    """What one layer is predicted to take."""

    layer: LayerCost
    """The layer."""
    ms: float
    """Its time, overhead included."""
    bound: Bound
    """What it spends most of that time on."""


@dataclass(frozen=True)
class Prediction:
    """What a model file is predicted to take on a board; nobody measured it."""

    board: str
    """Name of the board."""
    layers: tuple[LayerTime, ...]
    """Each layer, in the order of computation; views are left out."""

    @property
    def ms(self) -> float:
        """Latency of one image, without transfers."""
        return sum(layer.ms for layer in self.layers)

    def ms_bound_by(self, bound: Bound) -> float:
        """Time in layers that `bound` binds."""
        return sum(layer.ms for layer in self.layers if layer.bound == bound)


def predict_ms(layers: Sequence[LayerCost], board: Board) -> Prediction:
    """Predict the time of `layers` on `board`; BoardError where its profile lacks a figure for that."""
    if board.roofline is None:
        raise BoardError(f"the profile of {board.name!r} has no roofline", mend="add a [roofline] to its file")
    lacking = sorted({layer.format for layer in layers} - set(board.roofline.peaks))
    if lacking:
        known = ", ".join(board.roofline.peaks)
        raise BoardError(
            f"{board.name!r} has no figure for layers in {', '.join(lacking)}", expected=f"layers in {known}"
        )
    times = (_time(layer, board.roofline) for layer in layers if layer.kind not in VIEWS)
    return Prediction(board.name, tuple(times))


def _time(layer: LayerCost, roofline: Roofline) -> LayerTime:
    throughput = roofline.peaks[layer.format].value * roofline.efficiency[layer.format].value
    bandwidth = roofline.bandwidth.value * roofline.bandwidth_efficiency.value
    parts: dict[Bound, float] = {
        "compute": layer.operations / throughput / 1e6,  # GOP/s = 1e6 operations a ms
        "memory": layer.bytes / bandwidth / 1e6,
        "overhead": roofline.overhead.value / 1e3,
    }
    bound = max(parts, key=lambda part: parts[part])
    return LayerTime(layer, max(parts["compute"], parts["memory"]) + parts["overhead"], bound)
