"""Predict a model file's latency on a board from the costs of its layers. A prediction, never a measurement.

The time of a layer is max(operations / attained throughput, bytes / attained bandwidth) + overhead, where what is
attained is the board's peak times a share that its profile states with a source. Layers run one after the other; each
image adds what a call costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from dis2_boards.figures import Roofline
from dis2_boards.prediction.setting import Setting
from dis2_boards.profile import Board
from dis2_edge.costs import LayerCost
from dis2_edge.errors import BoardError

Bound = Literal["compute", "memory", "overhead"]
BOUNDS: tuple[Bound, ...] = ("compute", "memory", "overhead")

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
    call_ms: float = 0.0
    """What the call itself takes, beside the layers."""

    @property
    def ms(self) -> float:
        """Latency of one image."""
        return self.call_ms + sum(layer.ms for layer in self.layers)

    def ms_bound_by(self, bound: Bound) -> float:
        """Time in layers that `bound` binds; the call itself is overhead."""
        call = self.call_ms if bound == "overhead" else 0.0
        return call + sum(layer.ms for layer in self.layers if layer.bound == bound)


def predict_ms(layers: Sequence[LayerCost], board: Board, setting: Setting | None = None) -> Prediction:
    """Predict the time of `layers` on `board` in a power mode; BoardError where its profile lacks a figure for that.

    Without a `setting` it is the mode that the board's roofline is for.
    """
    setting = setting or Setting()
    if board.roofline is None:
        raise BoardError(f"the profile of {board.name!r} has no roofline", mend="add a [roofline] to its file")
    if setting.compute is None:
        raise BoardError(f"the clocks of {board.name!r} in mode {setting.mode!r} are not known")
    lacking = sorted({layer.format for layer in layers} - set(board.roofline.peaks))
    if lacking:
        known = ", ".join(board.roofline.peaks)
        raise BoardError(
            f"{board.name!r} has no figure for layers in {', '.join(lacking)}", expected=f"layers in {known}"
        )
    rates = _rates(board.roofline, setting.compute, setting.bandwidth)
    times = tuple(_time(layer, rates) for layer in layers if layer.kind not in VIEWS)
    return Prediction(board.name, times, board.roofline.call.value if board.roofline.call else 0.0)


@dataclass(frozen=True)
class _Rates:
    """What layers attain in one power mode."""

    compute: dict[str, float]
    """Operations a ms, by number format."""
    memory: float
    """Bytes a ms."""
    overhead_ms: float
    """Added to each layer."""


def _rates(roofline: Roofline, compute: float, bandwidth: float) -> _Rates:
    attained = {
        name: peak.value * roofline.efficiency[name].value * compute * 1e6  # GOP/s = 1e6 operations a ms
        for name, peak in roofline.peaks.items()
    }
    memory = roofline.bandwidth.value * roofline.bandwidth_efficiency.value * bandwidth * 1e6
    return _Rates(attained, memory, roofline.overhead.value / 1e3)


def _time(layer: LayerCost, rates: _Rates) -> LayerTime:
    parts: dict[Bound, float] = {
        "compute": layer.operations / rates.compute[layer.format],
        "memory": layer.bytes / rates.memory,
        "overhead": rates.overhead_ms,
    }
    bound = max(parts, key=lambda part: parts[part])
    return LayerTime(layer, max(parts["compute"], parts["memory"]) + parts["overhead"], bound)
