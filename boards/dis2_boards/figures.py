"""Numbers about a board, each with where it comes from, and what a roofline prediction needs of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from dis2_edge.errors import BoardError

UNVERIFIED = "unverified"
FORMATS = ("int8", "fp16", "fp32")
"""Number formats that layers compute in."""


@dataclass(frozen=True)
class Figure:
    """A number about a board, with where it comes from."""

    value: float
    """The number, in `unit`."""
    unit: str
    """Its unit."""
    meaning: str
    """What is counted, in words."""
    source: str
    """A document, a benchmark's command, or `unverified`."""

    def __post_init__(self) -> None:
        if not self.source.strip():
            raise BoardError(f"{self.meaning}: no source", expected=f"where it was measured or read, or {UNVERIFIED!r}")


@dataclass(frozen=True)
class PowerMode:
    """A power mode of a board, known by name: the numbers of modes differ between configurations of one module."""

    name: str
    """Its name in the board's own /etc/nvpmodel.conf."""
    meaning: str
    """What it does to the GPU, as far as known."""
    source: str
    """Where the name stands, or `unverified`."""
    default: bool = False
    """Whether a board comes so, in its plain configuration."""
    configuration: Literal["any", "plain", "super"] = "any"
    """The configuration of the module that has it."""
    gpu_clock: Figure | None = None
    """Clock up to which the GPU may go, in MHz; None where not known."""
    multiprocessors: Figure | None = None
    """Multiprocessors that are switched on; None where not known."""
    bandwidth: Figure | None = None
    """Bytes that the memory moves at the mode's memory clock, in GB/s; None where not known, or not capped."""
    power: Figure | None = None
    """Power that the mode is meant to hold, in W; None where it states none."""

    def __post_init__(self) -> None:
        if not self.source.strip():
            raise BoardError(f"power mode {self.name!r}: no source", expected=f"where it stands, or {UNVERIFIED!r}")
        for unit, figure in self.limits().values():
            if figure is not None:
                _check(figure, unit)

    def is_called(self, name: str) -> bool:
        """Whether a board's own file means this mode by `name`: some write 30W as MODE_30W."""
        return self.name.removeprefix("MODE_") == name.removeprefix("MODE_")

    def limits(self) -> dict[str, tuple[str, Figure | None]]:
        """What the mode limits, with the unit in which it must be given."""
        return {
            "GPU clock": ("MHz", self.gpu_clock),
            "multiprocessors": ("SMs", self.multiprocessors),
            "bandwidth": ("GB/s", self.bandwidth),
            "power": ("W", self.power),
        }


@dataclass(frozen=True)
class Software:
    """One release of a board's system software, with the engine that it brings."""

    name: str
    """The release."""
    python: str
    """Version of its Python."""
    cuda: str
    """Version of its CUDA."""
    tensorrt: str
    """Version of its TensorRT."""
    source: str
    """Where that stands, or `unverified`."""

    def __post_init__(self) -> None:
        if not all(part.isdecimal() for part in self.tensorrt.split(".")):
            raise BoardError(f"{self.name}: TensorRT {self.tensorrt!r}", expected="a version such as 10.3")


@dataclass(frozen=True)
class Roofline:
    """What bounds a layer's time: how fast the board computes, how fast it moves bytes, what a launch costs."""

    peaks: dict[str, Figure]
    """Most operations a second by number format, in GOP/s: dense, of the GPU or processor alone."""
    efficiency: dict[str, Figure]
    """Share of that peak which layers attain, by number format."""
    bandwidth: Figure
    """Bytes that the memory moves, in GB/s."""
    bandwidth_efficiency: Figure
    """Share of that bandwidth which layers attain."""
    overhead: Figure
    """Added to every layer, in us: launch and synchronisation."""
    call: Figure | None = None
    """Added to every image, in ms: transfers and what starting an engine costs; None where it is not known."""
    error: Figure | None = None
    """How far predictions were off where they could be held against measurements; None where they never were."""

    def __post_init__(self) -> None:
        if not self.peaks or set(self.peaks) != set(self.efficiency) or not set(self.peaks) <= set(FORMATS):
            found = f"roofline of {sorted(self.peaks)} with efficiency of {sorted(self.efficiency)}"
            raise BoardError(found, expected=f"both of the same formats, of {', '.join(FORMATS)}")
        for figure in self.peaks.values():
            _check(figure, "GOP/s")
        for figure in (*self.efficiency.values(), self.bandwidth_efficiency):
            _check(figure, "share", most=1.0)
        _check(self.bandwidth, "GB/s")
        if not (self.overhead.unit == "us" and 0 <= self.overhead.value < math.inf):
            raise BoardError(f"{self.overhead.meaning}: {_told(self.overhead)}", expected="0 us or more")
        if self.call and not (self.call.unit == "ms" and 0 <= self.call.value < math.inf):
            raise BoardError(f"{self.call.meaning}: {_told(self.call)}", expected="0 ms or more")
        if self.error and not (self.error.unit == "factor" and 1 <= self.error.value < math.inf):
            raise BoardError(f"{self.error.meaning}: {_told(self.error)}", expected="a factor of 1 or more")

    def figures(self) -> dict[str, Figure]:
        """Every figure by a name for people, in the order in which they are used."""
        named = {f"peak {name}": figure for name, figure in self.peaks.items()}
        named |= {f"attained {name}": figure for name, figure in self.efficiency.items()}
        named |= {"bandwidth": self.bandwidth, "attained bandwidth": self.bandwidth_efficiency}
        last = {"overhead": self.overhead, "call": self.call, "error": self.error}
        return named | {name: figure for name, figure in last.items() if figure}


def _check(figure: Figure, unit: str, most: float = math.inf) -> None:
    if figure.unit != unit or not (0 < figure.value <= most and math.isfinite(figure.value)):
        limit = "" if most == math.inf else f", at most {most:g}"
        raise BoardError(f"{figure.meaning}: {_told(figure)}", expected=f"a number of {unit} above 0{limit}")


def _told(figure: Figure) -> str:
    return f"{figure.value:g} {figure.unit}"
